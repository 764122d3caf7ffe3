// Generation over real sockets: answers, streams, faults, clients that leave.

#include <gtest/gtest.h>

#include "base/strings.h"
#include "server/openai/service_test_server.h"

namespace sluice::openai {
namespace {

using std::chrono::milliseconds;
using testing::event_payloads;
using testing::HttpAnswer;
using testing::LoopbackClient;

TEST(Chat, AnswersWhole) {
  const TestServer server(scripted({.tokens = {"Hel", "lo ", "\xF0\x9F", "\x98\x80"}, .cached_tokens = 3}));
  const HttpAnswer answer = server.post(kChat, chat_body(R"(,"model":"mock")"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  const Json body = json_of(answer);
  EXPECT_TRUE(body["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "mock");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello 😀");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["completion_tokens"], 5);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
  EXPECT_EQ(body["usage"]["total_tokens"], body["usage"]["prompt_tokens"].get<int>() + 5);
}

TEST(Chat, StreamsTheSameText) {
  const TestServer server;
  for (const std::string path : {"/v1/chat/completions", "/chat/completions", "/v1/completions", "/completions"}) {
    const bool chat = path.find("chat") != std::string::npos;
    const std::string base =
        chat ? R"({"messages":[{"role":"user","content":"hi"}],"n":3,"seed":5,"stop":["wait"],"max_tokens":30)"
             : R"({"prompt":["hi","ho"],"n":3,"seed":5,"echo":true,"max_tokens":30)";
    const Json whole = json_of(server.post(path, base + "}"));
    const HttpAnswer stream = server.post(path, base + R"(,"stream":true})");
    ASSERT_EQ(stream.status, 200);
    EXPECT_TRUE(stream.whole);
    EXPECT_TRUE(stream.headers.at("content-type").starts_with("text/event-stream"));
    EXPECT_EQ(event_payloads(stream.body).back(), "[DONE]");
    ASSERT_EQ(whole["choices"].size(), chat ? 3U : 6U) << whole;
    for (const Json& choice : whole["choices"]) {
      const std::string text = chat ? choice["message"]["content"] : choice["text"];
      EXPECT_EQ(streamed_text(stream, choice["index"]), text);
      EXPECT_EQ(text.find("wait"), chat ? std::string::npos : text.find("wait"));
    }
  }
}

TEST(Chat, UsageComesOnlyWhenAskedFor) {
  const TestServer server(scripted({.tokens = {"a", "b"}}));
  const auto plain = event_payloads(server.post(kChat, chat_body(R"(,"stream":true)")).body);
  for (const std::string& payload : plain) EXPECT_EQ(payload.find("usage"), std::string::npos);
  const auto asked =
      event_payloads(server.post(kChat, chat_body(R"(,"stream":true,"stream_options":{"include_usage":true})")).body);
  ASSERT_GE(asked.size(), 3U);
  const Json last = parse_json(asked[asked.size() - 2]).value();
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["usage"]["completion_tokens"], 3);
  for (size_t i = 0; i + 2 < asked.size(); ++i) EXPECT_TRUE(parse_json(asked[i]).value()["usage"].is_null());
}

TEST(Chat, TheFirstChunkWaitsForTheFirstToken) {
  api::MockOptions slow = scripted({.tokens = {"a", "b"}});
  slow.first_token_latency = milliseconds(300);
  const TestServer server(slow);
  LoopbackClient client(server.port(), "POST", kChat, chat_body(R"(,"stream":true)"));
  EXPECT_FALSE(client.read_until("data", milliseconds(100)));
  EXPECT_EQ(client.answer().status, 0);
  EXPECT_TRUE(client.read_until("data"));
  const Json first = parse_json(event_payloads(client.answer().body).at(0)).value();
  EXPECT_EQ(first["choices"][0]["delta"]["role"], "assistant");
  EXPECT_FALSE(first["choices"][0]["delta"]["content"].get<std::string>().empty());
}

TEST(Chat, ASilentStreamIsKeptAliveByComments) {
  api::MockOptions slow = scripted({.tokens = {"a"}});
  slow.first_token_latency = milliseconds(400);
  const TestServer server(slow, {.limits = {}, .keep_alive = milliseconds(50)});
  const HttpAnswer answer = server.post(kChat, chat_body(R"(,"stream":true)"));
  EXPECT_TRUE(answer.body.starts_with(": keep-alive\n\n")) << answer.body;
  EXPECT_EQ(streamed_text(answer), "a");
}

TEST(Chat, AFaultBeforeTheFirstTokenIsAStatus) {
  for (const char* stream : {"true", "false"}) {
    const TestServer server(
        scripted({.tokens = {"a"}, .error = Error{ErrorCode::kInternal, "broken", {}, {}}, .error_after = 0}));
    const HttpAnswer answer = server.post(kChat, chat_body(cat(R"(,"stream":)", stream)));
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(json_of(answer)["error"]["message"], "broken");
    EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  }
}

TEST(Chat, AFaultInTheMiddleOfAStreamIsAnEvent) {
  api::MockOptions mock =
      scripted({.tokens = {"a", "b", "c"}, .error = Error{ErrorCode::kInternal, "broken", {}, {}}, .error_after = 2});
  mock.token_latency = milliseconds(30);
  const TestServer server(mock);
  const HttpAnswer answer = server.post(kChat, chat_body(R"(,"stream":true)"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(streamed_text(answer), "ab");
  const auto events = event_payloads(answer.body);
  EXPECT_EQ(parse_json(events.back()).value()["error"]["message"], "broken");
  // Whole answers are all or nothing.
  EXPECT_EQ(server.post(kChat, chat_body()).status, 500);
}

TEST(Chat, AClientThatLeavesCancelsAtOnce) {
  for (const std::string more : {R"(,"stream":true,"n":3)", R"(,"stream":false,"max_tokens":1000000)"}) {
    const TestServer server(endless());
    LoopbackClient client(server.port(), "POST", kChat, chat_body(more));
    ASSERT_TRUE(eventually([&] { return server.backend.open() == 1; }));
    if (more.find("true") != std::string::npos) EXPECT_TRUE(client.read_until("tick"));
    client.leave();
    EXPECT_TRUE(eventually([&] { return server.backend.open() == 0; }));
    EXPECT_EQ(server.backend.cancelled(), 1);
  }
}

TEST(Completions, AClientThatLeavesCancelsEveryPrompt) {
  const TestServer server(endless());
  LoopbackClient client(server.port(), "POST", "/v1/completions",
                        R"({"prompt":["a","b","c"],"max_tokens":100000,"stream":true})");
  EXPECT_TRUE(client.read_until("tick"));
  EXPECT_EQ(server.backend.open(), 3);
  client.leave();
  EXPECT_TRUE(eventually([&] { return server.backend.open() == 0; }));
  EXPECT_EQ(server.backend.cancelled(), 3);
}

TEST(Chat, AServerThatStopsEndsItsStreams) {
  auto server = std::make_unique<TestServer>(endless());
  LoopbackClient client(server->port(), "POST", kChat, chat_body(R"(,"stream":true)"));
  EXPECT_TRUE(client.read_until("tick"));
  server->server->stop();
  EXPECT_TRUE(eventually([&] { return server->backend.open() == 0; }));
  EXPECT_FALSE(client.read().whole);
}

TEST(Chat, AFullQueueIs429WithRetryAfter) {
  api::MockOptions mock = endless();
  mock.running_max = 1;
  mock.waiting_max = 1;
  const TestServer server(mock);
  LoopbackClient running(server.port(), "POST", kChat, chat_body(R"(,"stream":true)"));
  EXPECT_TRUE(running.read_until("tick"));
  LoopbackClient waiting(server.port(), "POST", kChat, chat_body(R"(,"stream":true)"));
  ASSERT_TRUE(eventually([&] { return server.backend.open() == 2; }));
  const HttpAnswer refused = server.post(kChat, chat_body());
  EXPECT_EQ(refused.status, 429);
  EXPECT_FALSE(refused.headers.at("retry-after").empty());
  EXPECT_EQ(json_of(refused)["error"]["type"], "rate_limit_error");
  // Of several prompts none is left running when one is refused.
  waiting.leave();
  ASSERT_TRUE(eventually([&] { return server.backend.open() == 1; }));
  EXPECT_EQ(server.post("/v1/completions", R"({"prompt":["a","b"]})").status, 429);
  EXPECT_TRUE(eventually([&] { return server.backend.open() == 1; }));
}

TEST(Chat, AnOverlongPromptIs400WithItsCode) {
  const TestServer server;
  const HttpAnswer answer =
      server.post(kChat, cat(R"({"messages":[{"role":"user","content":")", std::string(9000, 'x'), R"("}]})"));
  EXPECT_EQ(answer.status, 400);
  const Json error = json_of(answer)["error"];
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["param"], "messages");
}

TEST(Chat, WrongRequestsAreNamed) {
  const TestServer server;
  const auto error_of = [&](std::string_view path, std::string_view body, int status) {
    const HttpAnswer answer = server.post(path, body);
    EXPECT_EQ(answer.status, status) << body;
    return json_of(answer)["error"];
  };
  EXPECT_EQ(error_of(kChat, chat_body(R"(,"temperature":"hot")"), 400)["param"], "temperature");
  EXPECT_EQ(error_of(kChat, R"({"messages":[{"role":"user"}]})", 400)["param"], "messages[0].content");
  EXPECT_EQ(error_of(kChat, "{oops", 400)["code"], "invalid_json");
  EXPECT_EQ(error_of(kChat, std::string(100'000, '['), 400)["code"], "invalid_json");
  EXPECT_EQ(error_of(kChat, "", 400)["code"], "invalid_json");
  EXPECT_EQ(error_of(kChat, chat_body(R"(,"model":"gpt-99")"), 404)["code"], "model_not_found");
  EXPECT_EQ(error_of(kChat, std::string(size_t{5} << 20, ' '), 413)["type"], "invalid_request_error");
  EXPECT_EQ(error_of("/v1/completions", R"({"prompt":[-1]})", 400)["param"], "prompt[0]");
}

TEST(Chat, AModelWithoutATemplateSaysSo) {
  api::MockOptions mock;
  mock.models.push_back({.id = "base", .context_tokens = 100});
  const TestServer server(mock);
  const HttpAnswer answer = server.post(kChat, chat_body());
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("/v1/completions"), std::string::npos);
  EXPECT_EQ(server.post("/v1/completions", R"({"prompt":"a"})").status, 200);
}

TEST(Chat, ATimeoutEndsTheRequest) {
  const TestServer server(endless());
  EXPECT_EQ(server.post(kChat, chat_body(R"(,"timeout":0.05)")).status, 504);
}

TEST(Completions, EchoWithLogprobsScoresThePrompt) {
  const TestServer server(scripted({.tokens = {"x"}}));
  const Json body =
      json_of(server.post("/v1/completions", R"({"prompt":"héy","echo":true,"logprobs":1,"max_tokens":0})"));
  const Json choice = body["choices"][0];
  EXPECT_EQ(choice["text"], "héy");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["logprobs"]["tokens"], Json::array({"h", "é", "y"}));
  EXPECT_TRUE(choice["logprobs"]["token_logprobs"][0].is_null());
  EXPECT_LT(choice["logprobs"]["token_logprobs"][1].get<double>(), 0);
  EXPECT_EQ(choice["logprobs"]["text_offset"], Json::array({0, 1, 2}));
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
}

TEST(Completions, EveryFormOfPromptMakesItsChoices) {
  const TestServer server(scripted({.tokens = {"!"}}));
  const auto texts = [&](std::string_view prompt) {
    std::vector<std::string> out;
    const Json body =
        json_of(server.post("/v1/completions", cat(R"({"echo":true,"n":2,"best_of":2,"prompt":)", prompt, "}")));
    for (const Json& choice : body["choices"]) {
      EXPECT_EQ(choice["index"], out.size());
      out.push_back(choice["text"]);
    }
    return out;
  };
  EXPECT_EQ(texts(R"("a")"), (std::vector<std::string>{"a!", "a!"}));
  EXPECT_EQ(texts(R"(["a","b"])"), (std::vector<std::string>{"a!", "a!", "b!", "b!"}));
  EXPECT_EQ(texts("[104,105]"), (std::vector<std::string>{"hi!", "hi!"}));
  EXPECT_EQ(texts("[[104],[105]]"), (std::vector<std::string>{"h!", "h!", "i!", "i!"}));
}

TEST(Infer, TakesTextTextsAndMessages) {
  const TestServer server(scripted({.tokens = {"out", "put"}}));
  for (const char* input : {R"("hi")", R"([{"role":"user","content":"hi"}])",
                            R"({"messages":[{"role":"user","content":"hi"}]})", R"({"prompt":"hi"})"}) {
    const HttpAnswer answer = server.post("/infer", cat(R"({"input":)", input, "}"));
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(json_of(answer)["output"], "output");
  }
  EXPECT_EQ(json_of(server.post("/infer", R"({"input":["a","b"]})"))["output"], Json::array({"output", "output"}));
  for (const char* input : {"5", "[1.5]", R"({"nodes":[]})"}) {
    const HttpAnswer answer = server.post("/infer", cat(R"({"input":)", input, "}"));
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find("It accepts a text"), std::string::npos);
  }
}

// A reader that does not read: the text waits in the inbox, merged, and comes whole when it reads again.
TEST(Chat, ASlowReaderGetsFewerLongerChunks) {
  api::MockAnswer script{.tokens = std::vector<std::string>(20'000, std::string(50, 'x')),
                         .finish = api::FinishReason::kStop};
  api::MockOptions mock = scripted(script);
  mock.models.push_back({.id = "mock", .context_tokens = 1 << 20, .chat = true});
  const TestServer server(mock);
  LoopbackClient client(server.port(), "POST", kChat, chat_body(R"(,"stream":true)"));
  ASSERT_TRUE(client.read_until("data"));
  ASSERT_TRUE(eventually([&] { return server.backend.open() == 0; }));  // the backend never waits for the client
  const HttpAnswer answer = client.read();
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(streamed_text(answer).size(), 1'000'000U);
  EXPECT_LT(event_payloads(answer.body).size(), 20'000U);
}

TEST(Chat, ManyStreamsAtOnce) {
  const TestServer server;
  std::vector<std::unique_ptr<LoopbackClient>> clients;
  for (int i = 0; i < 48; ++i) {
    clients.push_back(std::make_unique<LoopbackClient>(server.port(), "POST", kChat,
                                                       chat_body(cat(R"(,"stream":true,"seed":)", i % 4))));
  }
  std::map<int, std::string> by_seed;
  for (int i = 0; i < 48; ++i) {
    const HttpAnswer answer = clients[static_cast<size_t>(i)]->read();
    EXPECT_TRUE(answer.whole);
    const std::string text = streamed_text(answer);
    EXPECT_EQ(by_seed.try_emplace(i % 4, text).first->second, text);
  }
  EXPECT_EQ(server.backend.open(), 0);
}

}  // namespace
}  // namespace sluice::openai
