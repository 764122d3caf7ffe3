#pragma once
// For the tests of this folder: the whole API on a real server over loopback, with a backend without a model behind it.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/mock_backend.h"
#include "base/check.h"
#include "base/json.h"
#include "server/http/server.h"
#include "server/openai/api_keys.h"
#include "server/openai/service.h"
#include "server/testing/loopback_client.h"

namespace sluice::openai {

class TestServer {
 public:
  explicit TestServer(api::MockOptions mock = {}, ServiceOptions options = {}, std::vector<std::string> keys = {})
      : backend(std::move(mock)), service(backend, metrics, std::move(options)), api_keys(keys) {
    http::Router router;
    service.add_routes(router);
    service.add_description_routes(router);
    http::ServerOptions server_options;
    server_options.port = 0;
    server_options.limits.body_bytes_max = size_t{4} << 20;
    server_options.metrics = &metrics;
    if (!api_keys.empty()) {
      server_options.authenticate = [this](http::Request& request, const http::Route&) {
        return api_keys.authenticate(request);
      };
    }
    auto started = http::Server::start(std::move(server_options), std::move(router));
    SLUICE_CHECK(started.ok());
    server = std::move(started).value();
  }
  ~TestServer() { server->stop(); }

  uint16_t port() const { return server->port(); }
  testing::HttpAnswer post(std::string_view path, std::string_view body) const {
    return testing::exchange(port(), "POST", path, body);
  }
  testing::HttpAnswer get(std::string_view path) const { return testing::exchange(port(), "GET", path); }

  MetricsRegistry metrics;
  api::MockBackend backend;
  Service service;
  ApiKeys api_keys;
  std::unique_ptr<http::Server> server;
};

inline api::MockOptions scripted(api::MockAnswer answer) {
  api::MockOptions options;
  options.answer = [answer](const api::GenerateRequest&, int) { return answer; };
  return options;
}

// An answer that goes on until it is cancelled.
inline api::MockOptions endless() {
  api::MockOptions options = scripted({.tokens = {"tick "}, .repeat = true});
  options.token_latency = std::chrono::milliseconds(2);
  options.models.push_back({.id = "mock", .context_tokens = 1 << 30, .chat = true});
  return options;
}

inline Json json_of(const testing::HttpAnswer& answer) {
  auto parsed = parse_json(answer.body);
  return parsed.ok() ? std::move(parsed).value() : Json(answer.body);
}

// The texts of a stream's choice, joined.
inline std::string streamed_text(const testing::HttpAnswer& answer, int choice = 0) {
  std::string text;
  for (const std::string& payload : testing::event_payloads(answer.body)) {
    const auto event = parse_json(payload);
    if (!event.ok() || !event->contains("choices")) continue;
    for (const Json& piece : (*event)["choices"]) {
      if (piece["index"] != choice) continue;
      text += piece.contains("delta") ? piece["delta"].value("content", "") : piece.value("text", "");
    }
  }
  return text;
}

inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

constexpr std::string_view kChat = "/v1/chat/completions";
inline std::string chat_body(std::string_view more = "") {
  return R"({"messages":[{"role":"user","content":"hi"}])" + std::string(more) + "}";
}

}  // namespace sluice::openai
