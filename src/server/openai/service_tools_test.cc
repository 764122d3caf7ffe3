// Tool calls and reasoning over real sockets, in the form OpenAI's API gives them: a model that writes as its family
// does, answered whole and as a stream.

#include <gtest/gtest.h>

#include "base/strings.h"
#include "server/openai/answer_form.h"
#include "server/openai/json_text.h"
#include "server/openai/response.h"
#include "server/openai/service_test_server.h"

namespace sluice::openai {
namespace {

using testing::event_payloads;
using testing::HttpAnswer;

constexpr std::string_view kWeather =
    R"({"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}})";
constexpr std::string_view kTime = R"({"type":"function","function":{"name":"get_time"}})";

struct ScriptedModel {
  std::string tool_parser = "hermes";
  std::string reasoning_parser;
  std::string text;  // a token per character, as the mock has them
  api::FinishReason finish = api::FinishReason::kStop;
  std::function<void(const api::GenerateRequest&)> on_request;
};

api::MockOptions options_of(const ScriptedModel& model) {
  api::MockOptions options;
  options.models.push_back({.id = "mock",
                            .context_tokens = 8192,
                            .chat = true,
                            .tool_parser = model.tool_parser,
                            .reasoning_parser = model.reasoning_parser});
  options.answer = [model](const api::GenerateRequest& request, int) {
    if (model.on_request) model.on_request(request);
    api::MockAnswer answer{.tokens = {}, .finish = model.finish};
    for (size_t at = 0; at < model.text.size();) {
      size_t size = 1;
      while (at + size < model.text.size() && (static_cast<unsigned char>(model.text[at + size]) & 0xC0) == 0x80)
        ++size;
      answer.tokens.push_back(model.text.substr(at, size));
      at += size;
    }
    return answer;
  };
  return options;
}

std::string with_tools(std::string_view more = "") {
  return chat_body(cat(R"(,"tools":[)", kWeather, ",", kTime, "]", more));
}

// The deltas of a stream's choice put together as clients do.
Json joined_message(const HttpAnswer& answer, int choice = 0) {
  Json message = Json::object();
  for (const std::string& payload : event_payloads(answer.body)) {
    const auto event = parse_json(payload);
    if (!event.ok()) continue;
    for (const Json& piece : (*event)["choices"]) {
      if (piece["index"] != choice) continue;
      const Json& delta = piece["delta"];
      for (const char* name : {"content", "reasoning_content"}) {
        if (delta.contains(name) && delta[name].is_string())
          message[name] = message.value(name, "") + delta[name].get<std::string>();
      }
      for (const Json& call : delta.value("tool_calls", Json::array())) {
        const auto index = call["index"].get<size_t>();
        Json& calls = message["tool_calls"];
        if (index == calls.size())
          calls.push_back(Json{{"id", call["id"]}, {"name", call["function"]["name"]}, {"arguments", ""}});
        EXPECT_LT(index, calls.size()) << payload;
        calls[index]["arguments"] =
            calls[index]["arguments"].get<std::string>() + call["function"]["arguments"].get<std::string>();
      }
      if (!piece["finish_reason"].is_null()) message["finish_reason"] = piece["finish_reason"];
    }
  }
  return message;
}

constexpr std::string_view kTwoCalls =
    "Let me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>\n"
    "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>";

TEST(Tools, CallsOfAWholeAnswer) {
  const TestServer server(options_of({.text = std::string(kTwoCalls)}));
  const Json body = json_of(server.post(kChat, with_tools()));
  const Json& choice = body["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  const Json& message = choice["message"];
  EXPECT_EQ(message["role"], "assistant");
  EXPECT_EQ(message["content"], "Let me see.");
  ASSERT_EQ(message["tool_calls"].size(), 2U) << body;
  const Json& call = message["tool_calls"][0];
  EXPECT_TRUE(call["id"].get<std::string>().starts_with("call_"));
  EXPECT_NE(call["id"], message["tool_calls"][1]["id"]);
  EXPECT_EQ(call["type"], "function");
  EXPECT_EQ(call["function"]["name"], "get_weather");
  EXPECT_EQ(call["function"]["arguments"], R"({"city": "Köln"})");
  EXPECT_EQ(message["tool_calls"][1]["function"]["arguments"], "{}");
  EXPECT_EQ(body["usage"]["completion_tokens"], count_characters(kTwoCalls) + 1);
}

TEST(Tools, WithoutContentItIsNull) {
  const TestServer server(options_of({.text = "<tool_call>{\"name\": \"get_time\", \"arguments\": {}}</tool_call>"}));
  const Json message = json_of(server.post(kChat, with_tools()))["choices"][0]["message"];
  EXPECT_TRUE(message["content"].is_null());
  EXPECT_EQ(message["tool_calls"].size(), 1U);
}

TEST(Tools, StreamedChunksAreOpenAIs) {
  const TestServer server(options_of(
      {.text = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>"}));
  const HttpAnswer stream = server.post(kChat, with_tools(R"(,"stream":true)"));
  const auto payloads = event_payloads(stream.body);
  ASSERT_GE(payloads.size(), 4U);
  Json first = parse_json(payloads[0]).value()["choices"][0];
  EXPECT_EQ(first["delta"]["role"], "assistant");
  EXPECT_TRUE(first["delta"]["content"].is_null());
  EXPECT_TRUE(first["finish_reason"].is_null());
  Json& call = first["delta"]["tool_calls"][0];
  EXPECT_TRUE(call["id"].get<std::string>().starts_with("call_"));
  call.erase("id");
  EXPECT_EQ(dump_json(call), R"({"index":0,"type":"function","function":{"name":"get_weather","arguments":""}})");
  std::string arguments;
  for (size_t i = 1; i + 2 < payloads.size(); ++i) {
    const Json delta = parse_json(payloads[i]).value()["choices"][0]["delta"];
    ASSERT_EQ(delta.size(), 1U) << delta;
    ASSERT_EQ(delta["tool_calls"][0].size(), 2U) << delta;
    EXPECT_EQ(delta["tool_calls"][0]["index"], 0);
    arguments += delta["tool_calls"][0]["function"]["arguments"].get<std::string>();
  }
  EXPECT_EQ(arguments, R"({"city": "Paris"})");
  const Json last = parse_json(payloads[payloads.size() - 2]).value()["choices"][0];
  EXPECT_EQ(last["finish_reason"], "tool_calls");
  EXPECT_TRUE(last["delta"].empty());
  EXPECT_EQ(payloads.back(), "[DONE]");
}

TEST(Tools, AStreamSaysWhatTheWholeSays) {
  const std::pair<std::string, std::string> kAnswers[] = {
      {"hermes", std::string(kTwoCalls)},
      {"hermes", "No call, but <tool_call>{broken} and 1 < 2."},
      {"llama3_json",
       R"({"name": "get_weather", "parameters": {"city": "a"}}; {"name": "get_time", "parameters": {}})"},
      {"pythonic", R"([get_weather(city="a"), get_time()])"},
      {"mistral", R"([TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "a"}}])"},
      {"mistral_v11", R"(Yes.[TOOL_CALLS]get_weather[CALL_ID]abcDEF123[ARGS]{"city": "a"})"},
      {"glm4", "get_weather\n{\"city\": \"北京\"}"},
      {"glm45", "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>北京</arg_value>\n</tool_call>"},
      {"qwen3_coder",
       "<tool_call>\n<function=get_weather>\n<parameter=city>\na\n</parameter>\n</function>\n</tool_call>"},
  };
  for (const auto& [dialect, text] : kAnswers) {
    const TestServer server(options_of({.tool_parser = dialect, .text = text}));
    const Json whole = json_of(server.post(kChat, with_tools(R"(,"n":2)")));
    const HttpAnswer stream = server.post(kChat, with_tools(R"(,"n":2,"stream":true)"));
    for (int i = 0; i < 2; ++i) {
      const Json& choice = whole["choices"][static_cast<size_t>(i)];
      const Json joined = joined_message(stream, i);
      const Json content = choice["message"]["content"];
      EXPECT_EQ(joined.value("content", ""), content.is_null() ? "" : content.get<std::string>());
      EXPECT_EQ(joined["finish_reason"], choice["finish_reason"]);
      const Json calls = choice["message"].value("tool_calls", Json::array());
      ASSERT_EQ(joined.value("tool_calls", Json::array()).size(), calls.size()) << dialect << stream.body;
      for (size_t j = 0; j < calls.size(); ++j) {
        EXPECT_EQ(joined["tool_calls"][j]["name"], calls[j]["function"]["name"]);
        EXPECT_EQ(joined["tool_calls"][j]["arguments"], calls[j]["function"]["arguments"]);
      }
      EXPECT_EQ(calls.empty(), text.find("broken") != std::string::npos) << dialect;
    }
  }
}

TEST(Tools, AHalfFinishedCallIsNeverContent) {
  const std::string text =
      "See.<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
  for (int length = 1; length <= static_cast<int>(text.size()); ++length) {
    const TestServer server(options_of({.text = text}));
    const std::string limit = cat(R"(,"max_tokens":)", length);
    const Json choice = json_of(server.post(kChat, with_tools(limit)))["choices"][0];
    const Json joined = joined_message(server.post(kChat, with_tools(limit + R"(,"stream":true)")));
    EXPECT_EQ(choice["finish_reason"], "length");
    EXPECT_EQ(joined["finish_reason"], "length");
    const Json content = choice["message"]["content"];
    const std::string shown = content.is_null() ? "" : content.get<std::string>();
    EXPECT_EQ(shown, std::string("See.").substr(0, static_cast<size_t>(length)));
    EXPECT_EQ(joined.value("content", ""), shown);
    for (const Json& call : choice["message"].value("tool_calls", Json::array())) {
      const std::string arguments = call["function"]["arguments"];
      EXPECT_TRUE(std::string(R"({"city": "Paris"})").starts_with(arguments)) << arguments;
      EXPECT_EQ(joined["tool_calls"][0]["arguments"], arguments);
    }
  }
}

TEST(Tools, AreParsedOnlyWhenOffered) {
  const TestServer server(options_of({.text = std::string(kTwoCalls)}));
  for (const std::string& body : {chat_body(), with_tools(R"(,"tool_choice":"none")")}) {
    const Json choice = json_of(server.post(kChat, body))["choices"][0];
    EXPECT_EQ(choice["message"]["content"], kTwoCalls);
    EXPECT_EQ(choice["finish_reason"], "stop");
  }
  const TestServer unknown(options_of({.tool_parser = "", .text = std::string(kTwoCalls)}));
  EXPECT_EQ(json_of(unknown.post(kChat, with_tools()))["choices"][0]["message"]["content"], kTwoCalls);
}

TEST(Tools, SpecialTokensAreShownToTheParserOnly) {
  std::vector<std::string> shown;
  const TestServer server(
      options_of({.tool_parser = "mistral", .text = "hi", .on_request = [&](const api::GenerateRequest& request) {
                    shown = request.sampling.shown_tokens;
                  }}));
  (void)server.post(kChat, with_tools());
  EXPECT_NE(std::find(shown.begin(), shown.end(), "[TOOL_CALLS]"), shown.end());
  (void)server.post(kChat, chat_body());
  EXPECT_TRUE(shown.empty());
}

TEST(Tools, OneCallWhenNotParallel) {
  const TestServer server(options_of({.text = std::string(kTwoCalls)}));
  const std::string body = with_tools(R"(,"parallel_tool_calls":false)");
  const Json message = json_of(server.post(kChat, body))["choices"][0]["message"];
  EXPECT_EQ(message["tool_calls"].size(), 1U);
  const Json joined = joined_message(server.post(kChat, with_tools(R"(,"parallel_tool_calls":false,"stream":true)")));
  EXPECT_EQ(joined["tool_calls"].size(), 1U);
}

TEST(Tools, ANamedFunctionIsBegunInThePrompt) {
  std::string opening;
  const TestServer server(options_of(
      {.text = " {\"city\": \"Rome\"}}\n</tool_call>", .on_request = [&](const api::GenerateRequest& request) {
         opening = std::get<api::ChatPrompt>(request.prompt).answer_opening;
       }}));
  const std::string choice = R"(,"tool_choice":{"type":"function","function":{"name":"get_weather"}})";
  const Json whole = json_of(server.post(kChat, with_tools(choice)))["choices"][0];
  EXPECT_EQ(opening, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\":");
  ASSERT_EQ(whole["message"]["tool_calls"].size(), 1U) << whole;
  EXPECT_EQ(whole["message"]["tool_calls"][0]["function"]["name"], "get_weather");
  EXPECT_EQ(whole["message"]["tool_calls"][0]["function"]["arguments"], R"({"city": "Rome"})");
  EXPECT_EQ(whole["finish_reason"], "tool_calls");
  const Json joined = joined_message(server.post(kChat, with_tools(choice + R"(,"stream":true)")));
  EXPECT_EQ(joined["tool_calls"][0]["arguments"], R"({"city": "Rome"})");
}

TEST(Tools, RequiredBeginsAnyCall) {
  const TestServer server(options_of({.text = "get_time\", \"arguments\": {}}\n</tool_call>"}));
  const Json whole = json_of(server.post(kChat, with_tools(R"(,"tool_choice":"required")")))["choices"][0];
  ASSERT_EQ(whole["message"]["tool_calls"].size(), 1U) << whole;
  EXPECT_EQ(whole["message"]["tool_calls"][0]["function"]["name"], "get_time");
}

TEST(Tools, WhatCannotBeForcedIsRefused) {
  const TestServer unknown(options_of({.tool_parser = "", .text = "hi"}));
  const TestServer glm(options_of({.tool_parser = "glm4", .text = "hi"}));
  for (const TestServer* server : {&unknown, &glm}) {
    const HttpAnswer answer = server->post(kChat, with_tools(R"(,"tool_choice":"required")"));
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_EQ(json_of(answer)["error"]["param"], "tool_choice");
    EXPECT_EQ(json_of(answer)["error"]["code"], "unsupported_value");
  }
  EXPECT_EQ(
      json_of(glm.post(
          kChat, with_tools(R"(,"tool_choice":{"type":"function","function":{"name":"nope"}})")))["error"]["param"],
      "tool_choice.function.name");
}

TEST(Tools, MistralsIdsHaveNineLetters) {
  std::string first, second;
  const TestServer server(options_of({.tool_parser = "mistral",
                                      .text = R"([TOOL_CALLS][{"name": "get_time", "arguments": {}}])",
                                      .on_request = [&](const api::GenerateRequest& request) {
                                        const Json& messages = *std::get<api::ChatPrompt>(request.prompt).messages;
                                        if (messages.size() < 3) return;
                                        first = messages[1]["tool_calls"][0]["id"];
                                        second = messages[2]["tool_call_id"];
                                      }}));
  const Json message = json_of(server.post(kChat, with_tools()))["choices"][0]["message"];
  EXPECT_EQ(message["tool_calls"][0]["id"].get<std::string>().size(), 9U);
  (void)server.post(
      kChat, R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"call_1234567890",
      "type":"function","function":{"name":"get_time","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1234567890","content":"5"}]})");
  EXPECT_EQ(first.size(), 9U);
  EXPECT_EQ(first, second);
}

TEST(Reasoning, IsItsOwnMember) {
  const TestServer server(
      options_of({.tool_parser = "", .reasoning_parser = "qwen3", .text = "<think>\nHm.\n</think>\n\nYes."}));
  const Json message = json_of(server.post(kChat, chat_body()))["choices"][0]["message"];
  EXPECT_EQ(message["reasoning_content"], "Hm.");
  EXPECT_EQ(message["content"], "Yes.");
  const HttpAnswer stream = server.post(kChat, chat_body(R"(,"stream":true)"));
  const Json joined = joined_message(stream);
  EXPECT_EQ(joined["reasoning_content"], "Hm.");
  EXPECT_EQ(joined["content"], "Yes.");
  EXPECT_EQ(parse_json(event_payloads(stream.body)[0]).value()["choices"][0]["delta"]["role"], "assistant");
  const Json without = json_of(server.post(kChat, chat_body(R"(,"include_reasoning":false)")))["choices"][0]["message"];
  EXPECT_FALSE(without.contains("reasoning_content"));
  EXPECT_EQ(without["content"], "Yes.");
}

TEST(Reasoning, ThatThePromptHasBegunIsFound) {
  // The mock's template ends with the last message when no generation prompt is asked for.
  const TestServer server(options_of({.tool_parser = "", .reasoning_parser = "qwen3", .text = "Hm.</think>Yes."}));
  const Json begun = json_of(server.post(
      kChat, R"({"messages":[{"role":"user","content":"x <think>"}],"add_generation_prompt":false})"))["choices"][0];
  EXPECT_EQ(begun["message"]["reasoning_content"], "Hm.") << begun;
  EXPECT_EQ(begun["message"]["content"], "Yes.");
  const Json plain = json_of(server.post(kChat, chat_body()))["choices"][0];
  EXPECT_EQ(plain["message"]["content"], "Hm.</think>Yes.");
}

TEST(Reasoning, LogprobsAndTokenIdsStayWhole) {
  const std::string text =
      "<think>\nHm.\n</think>\n\nYes <tool_call>{\"name\": \"get_time\", \"arguments\": {}}</tool_call>";
  const TestServer server(options_of({.reasoning_parser = "qwen3", .text = text}));
  const std::string more = R"(,"logprobs":true,"return_token_ids":true)";
  const Json whole = json_of(server.post(kChat, with_tools(more)));
  const HttpAnswer stream = server.post(kChat, with_tools(more + R"(,"stream":true)"));
  Json ids = Json::array(), logprobs = Json::array(), prompt;
  for (const std::string& payload : event_payloads(stream.body)) {
    const auto event = parse_json(payload);
    if (!event.ok()) continue;
    if (event->contains("prompt_token_ids")) prompt = (*event)["prompt_token_ids"];
    for (const Json& piece : (*event)["choices"]) {
      for (const Json& id : piece.value("token_ids", Json::array())) ids.push_back(id);
      if (piece["logprobs"].is_null()) continue;
      for (const Json& token : piece["logprobs"]["content"]) logprobs.push_back(token);
    }
  }
  EXPECT_EQ(ids, whole["choices"][0]["token_ids"]);
  EXPECT_EQ(logprobs, whole["choices"][0]["logprobs"]["content"]);
  EXPECT_EQ(logprobs.size(), text.size());
  EXPECT_EQ(prompt, whole["prompt_token_ids"]);
  EXPECT_EQ(prompt.size(), whole["usage"]["prompt_tokens"]);
}

TEST(TokenIds, CompletionsHaveThoseOfTheirPrompts) {
  const TestServer server(scripted({.tokens = {"x"}}));
  const std::string body = R"({"prompt":["hi","h"],"return_token_ids":true)";
  const Json whole = json_of(server.post("/v1/completions", body + "}"));
  EXPECT_EQ(whole["choices"][0]["prompt_token_ids"], Json::array({104, 105}));
  EXPECT_EQ(whole["choices"][1]["prompt_token_ids"], Json::array({104}));
  int seen = 0;
  for (const std::string& payload : event_payloads(server.post("/v1/completions", body + R"(,"stream":true})").body)) {
    const auto event = parse_json(payload);
    if (event.ok() && (*event)["choices"][0].contains("prompt_token_ids")) ++seen;
  }
  EXPECT_EQ(seen, 2);
}

TEST(Tokens, PartsOfCharactersAreBytes) {
  const TestServer server(scripted({.tokens = {"\xE4", "\xBD\xA0"}}));
  const Json ids =
      json_of(server.post("/v1/completions", R"({"prompt":"a","return_token_ids":true})"))["choices"][0]["token_ids"];
  const Json messages = Json{{"model", "mock"}, {"tokens", Json::array({ids[0], ids[1]})}};
  EXPECT_EQ(json_of(server.post("/detokenize", dump_json(messages)))["content"], "你");
  const auto pieces = server.backend.token_pieces("mock", {ids[0], ids[1]});
  TokenizeCall call;
  call.with_pieces = true;
  EXPECT_NE(render_tokens(call, {ids[0], ids[1]}, *pieces, 5).find(R"("piece":[228])"), std::string::npos);
}

TEST(Templates, OfARequestAreRefused) {
  const TestServer server;
  for (const char* more : {R"(,"chat_template":"{{ x }}")", R"(,"chat_template_kwargs":{"chat_template":"x"})"}) {
    const HttpAnswer answer = server.post(kChat, chat_body(more));
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(json_of(answer)["error"]["code"], "unsupported_parameter");
  }
}

// A browser asks its user for a password, and the key is it; for pages only.
TEST(Keys, ABrowserCanShowOneAsAPassword) {
  const TestServer server({}, {}, {"sk-a"});
  using List = testing::LoopbackClient::HeaderList;
  const List browser = {{"accept", "text/html,application/xhtml+xml"}};
  const HttpAnswer asked = testing::exchange(server.port(), "GET", "/docs", "", browser);
  EXPECT_EQ(asked.status, 401);
  EXPECT_TRUE(asked.headers.at("www-authenticate").find("Basic realm") != std::string::npos);
  EXPECT_EQ(server.get("/docs").headers.at("www-authenticate").find("Basic"), std::string::npos);
  const auto status = [&](std::string_view method, std::string_view path, const std::string& plain) {
    return testing::exchange(server.port(), method, path, method == "POST" ? chat_body() : "",
                             {{"authorization", "Basic " + base64(plain)}})
        .status;
  };
  for (const char* path : {"/docs", "/openapi.json"}) {
    EXPECT_EQ(status("GET", path, "any:sk-a"), 200);
    EXPECT_EQ(status("GET", path, ":sk-a"), 200);
    EXPECT_EQ(status("GET", path, "sk-a:"), 200);
    EXPECT_EQ(status("GET", path, "any:sk-b"), 401);
    EXPECT_EQ(status("GET", path, "sk-a"), 401);
    EXPECT_EQ(status("GET", path, ":"), 401);
  }
  EXPECT_EQ(status("POST", kChat, "any:sk-a"), 401);
}

}  // namespace
}  // namespace sluice::openai
