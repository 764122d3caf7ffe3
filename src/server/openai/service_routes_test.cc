// The other routes over real sockets: models, embeddings, tokens, state, description, and who may enter.

#include <gtest/gtest.h>

#include <unistd.h>

#include <bit>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/strings.h"
#include "server/openai/service_test_server.h"

namespace sluice::openai {
namespace {

using testing::exchange;
using testing::HttpAnswer;

TEST(Models, AreListedAndShown) {
  api::MockOptions mock;
  mock.models = {{.id = "autoglm-phone-9b", .created = 5, .context_tokens = 100, .chat = true},
                 {.id = "zai-org/GLM-4/v1", .context_tokens = 100}};
  const TestServer server(mock);
  for (const std::string prefix : {"/v1", ""}) {
    const Json list = json_of(server.get(prefix + "/models"));
    EXPECT_EQ(list["object"], "list");
    ASSERT_EQ(list["data"].size(), 2U);
    EXPECT_EQ(list["data"][0]["id"], "autoglm-phone-9b");
    EXPECT_EQ(list["data"][0]["object"], "model");
    EXPECT_EQ(list["data"][0]["max_model_len"], 100);
    EXPECT_EQ(json_of(server.get(prefix + "/models/autoglm-phone-9b"))["created"], 5);
    EXPECT_EQ(json_of(server.get(prefix + "/models/zai-org/GLM-4/v1"))["id"], "zai-org/GLM-4/v1");
    EXPECT_EQ(json_of(server.get(prefix + "/models/zai-org%2FGLM-4%2Fv1"))["id"], "zai-org/GLM-4/v1");
    const HttpAnswer unknown = server.get(prefix + "/models/other");
    EXPECT_EQ(unknown.status, 404);
    EXPECT_EQ(json_of(unknown)["error"]["code"], "model_not_found");
  }
  // A request without a model goes to the first; one with a name is answered under that name.
  EXPECT_EQ(json_of(server.post("/v1/completions", R"({"prompt":"a"})"))["model"], "autoglm-phone-9b");
  EXPECT_EQ(json_of(server.post("/v1/completions", R"({"prompt":"a","model":"zai-org/GLM-4/v1"})"))["model"],
            "zai-org/GLM-4/v1");
}

std::vector<float> decode_floats(const std::string& text) {
  std::string bytes;
  uint32_t group = 0;
  int held = 0;
  for (const char c : text) {
    if (c == '=') break;
    const uint32_t six = c >= 'a' ? c - 'a' + 26 : c >= 'A' ? c - 'A' : c >= '0' ? c - '0' + 52 : c == '+' ? 62 : 63;
    group = group << 6 | six;
    held += 6;
    if (held >= 8) bytes += static_cast<char>(group >> (held -= 8) & 0xFF);
  }
  std::vector<float> values;
  for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    uint32_t bits = 0;
    for (size_t j = 4; j-- > 0;) bits = bits << 8 | static_cast<uint8_t>(bytes[i + j]);
    values.push_back(std::bit_cast<float>(bits));
  }
  return values;
}

TEST(Embeddings, AsNumbersAsBase64AndCut) {
  const TestServer server;
  const Json plain = json_of(server.post("/v1/embeddings", R"({"model":"mock","input":["a cat","a dog"],"user":"u"})"));
  ASSERT_EQ(plain["data"].size(), 2U) << plain;
  EXPECT_EQ(plain["data"][1]["index"], 1);
  EXPECT_EQ(plain["usage"]["prompt_tokens"], 10);
  const auto values = plain["data"][0]["embedding"].get<std::vector<float>>();
  const Json coded = json_of(server.post("/embeddings", R"({"input":"a cat","encoding_format":"base64"})"));
  EXPECT_EQ(decode_floats(coded["data"][0]["embedding"]), values);
  const Json ids = json_of(server.post("/v1/embeddings", R"({"input":[97,32,99,97,116]})"));
  EXPECT_EQ(ids["data"][0]["embedding"].get<std::vector<float>>(), values);
  const auto cut = json_of(server.post("/v1/embeddings", R"({"input":"a cat","dimensions":4})"))["data"][0]["embedding"]
                       .get<std::vector<float>>();
  ASSERT_EQ(cut.size(), 4U);
  double squares = 0;
  for (const float value : cut) squares += static_cast<double>(value) * value;
  EXPECT_NEAR(squares, 1, 1e-5);
  const HttpAnswer wide = server.post("/v1/embeddings", R"({"input":"a","dimensions":100000})");
  EXPECT_EQ(wide.status, 400);
  EXPECT_EQ(json_of(wide)["error"]["param"], "dimensions");
}

TEST(Tokens, ThereAndBack) {
  const TestServer server;
  for (const char* name : {"content", "prompt"}) {
    const Json tokens = json_of(server.post("/tokenize", cat(R"({")", name, R"(":"hé"})")));
    EXPECT_EQ(tokens["tokens"], Json::array({104, 233}));
    EXPECT_EQ(tokens["count"], 2);
    EXPECT_EQ(tokens["max_model_len"], 8192);
  }
  EXPECT_EQ(dump_json(json_of(server.post("/tokenize", R"({"content":"hé","with_pieces":true})"))["tokens"]),
            R"([{"id":104,"piece":"h"},{"id":233,"piece":"é"}])");
  EXPECT_EQ(json_of(server.post("/tokenize", R"({"prompt":"hé","return_token_strs":true})"))["token_strs"],
            Json::array({"h", "é"}));
  EXPECT_EQ(json_of(server.post("/detokenize", R"({"tokens":[104,233]})"))["content"], "hé");
  EXPECT_EQ(json_of(server.post("/detokenize", R"({"tokens":[104,233]})"))["prompt"], "hé");
  EXPECT_EQ(server.post("/detokenize", R"({"tokens":[1999999999]})").status, 400);
  const std::string text =
      json_of(server.post("/apply-template", R"({"messages":[{"role":"user","content":"hi"}]})"))["prompt"];
  EXPECT_EQ(text, "<|user|>\nhi\n<|assistant|>\n");
  EXPECT_EQ(json_of(server.post("/tokenize", R"({"messages":[{"role":"user","content":"hi"}]})"))["count"],
            text.size());
}

TEST(State, HealthReadyVersionMetrics) {
  TestServer server({}, {.limits = {}, .version = "9.8.7"});
  EXPECT_EQ(server.get("/health").status, 200);
  EXPECT_EQ(server.get("/ready").status, 200);
  server.backend.set_ready(false);
  EXPECT_EQ(server.get("/health").status, 200);
  EXPECT_EQ(server.get("/ready").status, 503);
  EXPECT_EQ(json_of(server.get("/version"))["version"], "9.8.7");
  server.metrics.counter("sluice_test_total", "A test.").add(3);
  const HttpAnswer metrics = server.get("/metrics");
  EXPECT_TRUE(metrics.headers.at("content-type").starts_with("text/plain"));
  EXPECT_NE(metrics.body.find("\nsluice_test_total 3\n"), std::string::npos);
  EXPECT_EQ(server.get("/").status, 302);
  EXPECT_EQ(server.get("/").headers.at("location"), "/docs");
}

// Every reference resolves, every route is there, and every POST takes a described body.
TEST(Description, CoversTheRouteTable) {
  const TestServer server;
  const Json document = json_of(server.get("/openapi.json"));
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<std::string> ids;
  for (const http::Route& route : server.server->router().routes()) {
    std::string path = route.path;
    if (const size_t dots = path.find("..."); dots != std::string::npos) path.erase(dots, 3);
    const Json* methods = json_find(document["paths"], path);
    ASSERT_NE(methods, nullptr) << path;
    const Json operation = (*methods)[to_lower_ascii(route.method)];
    EXPECT_FALSE(operation["summary"].get<std::string>().empty()) << path;
    EXPECT_TRUE(ids.insert(operation["operationId"]).second) << path;
    EXPECT_EQ(operation.contains("requestBody"), route.method == "POST") << path;
    EXPECT_EQ(operation["responses"].contains("401"), !route.is_public) << path;
  }
  const std::string text = dump_json(document);
  const std::string_view marker = R"("$ref":"#/components/schemas/)";
  for (size_t at = text.find(marker); at != std::string::npos; at = text.find(marker, at + 1)) {
    const size_t begin = at + marker.size();
    const std::string name = text.substr(begin, text.find('"', begin) - begin);
    EXPECT_TRUE(document["components"]["schemas"].contains(name)) << name;
  }
  // What is described as an example is accepted.
  for (const auto& [path, methods] : document["paths"].items()) {
    if (!methods.contains("post")) continue;
    const Json& content = methods["post"]["requestBody"]["content"]["application/json"];
    Json example = content["example"];
    if (example.contains("model")) example.erase("model");
    EXPECT_EQ(server.post(path, dump_json(example)).status, 200) << path << example;
  }
}

TEST(Description, ThePageNeedsNothingFromOutside) {
  const TestServer server;
  const HttpAnswer page = server.get("/docs");
  EXPECT_EQ(page.status, 200);
  EXPECT_TRUE(page.headers.at("content-type").starts_with("text/html"));
  EXPECT_EQ(page.body.find("http://"), std::string::npos);
  EXPECT_EQ(page.body.find("https://"), std::string::npos);
  EXPECT_NE(page.headers.at("content-security-policy").find("default-src 'none'"), std::string::npos);
}

std::string concrete(std::string path) {
  const size_t open = path.find('{');
  return open == std::string::npos ? path : path.substr(0, open) + "mock";
}

TEST(Keys, OpenEveryRouteAndOnlyHealthAndReadyStandOpen) {
  const TestServer server({}, {}, {"first-key", "second-key"});
  int closed = 0;
  for (const http::Route& route : server.server->router().routes()) {
    const std::string path = concrete(route.path);
    const bool open = path == "/health" || path == "/ready";
    EXPECT_EQ(route.is_public, open) << path;
    const auto status = [&](const testing::LoopbackClient::HeaderList& headers) {
      return exchange(server.port(), route.method, path, "{}", headers).status;
    };
    for (const testing::LoopbackClient::HeaderList& wrong : {testing::LoopbackClient::HeaderList{},
                                                             {{"authorization", "Bearer first-ke"}},
                                                             {{"authorization", "Bearer first-key2"}},
                                                             {{"authorization", "Basic first-key"}},
                                                             {{"x-api-key", "third"}},
                                                             {{"authorization", "Bearer "}}}) {
      EXPECT_EQ(status(wrong) == 401, !open) << route.method << ' ' << path;
    }
    for (const testing::LoopbackClient::HeaderList& right :
         {testing::LoopbackClient::HeaderList{{"authorization", "Bearer first-key"}},
          {{"authorization", "bearer second-key"}},
          {{"x-api-key", "second-key"}}}) {
      EXPECT_NE(status(right), 401) << route.method << ' ' << path;
    }
    closed += open ? 0 : 1;
  }
  EXPECT_GT(closed, 15);
  const HttpAnswer answer = server.get("/v1/models");
  EXPECT_EQ(json_of(answer)["error"]["code"], "missing_api_key");
  EXPECT_FALSE(answer.headers.at("www-authenticate").empty());
}

TEST(Keys, AServerWithoutKeysAcceptsAnyAuthorization) {
  const TestServer server;
  EXPECT_EQ(exchange(server.port(), "POST", kChat, chat_body(), {{"authorization", "Bearer EMPTY"}}).status, 200);
}

TEST(Keys, AreReadFromAFile) {
  const auto path = std::filesystem::temp_directory_path() / cat("sluice-keys-", ::getpid());
  std::ofstream(path) << "# team a\n  key-a \n\nkey-b\r\n";
  EXPECT_EQ(ApiKeys::read_file(path.string()).value(), (std::vector<std::string>{"key-a", "key-b"}));
  std::ofstream(path) << "# none\n\n";
  EXPECT_FALSE(ApiKeys::read_file(path.string()).ok());
  std::filesystem::remove(path);
  EXPECT_FALSE(ApiKeys::read_file(path.string()).ok());
}

}  // namespace
}  // namespace sluice::openai
