// /health, /ready, /version, /metrics, and the pages that describe the rest.

#include "base/json.h"
#include "base/strings.h"
#include "server/docs/docs_page.h"
#include "server/openai/openapi.h"
#include "server/openai/reply.h"
#include "server/openai/service.h"

namespace sluice::openai {
namespace {

Result<std::string> readiness(const api::Backend& backend) {
  if (backend.status().ready) return std::string(R"({"status":"ready"})");
  return Error{ErrorCode::kUnavailable, "The server does not accept requests now.", {}, "not_ready"};
}

std::string version_text(std::string_view version) {
  std::string body = R"({"version":)";
  append_json_string(body, version);
  body += '}';
  return body;
}

}  // namespace

void Service::add_state_routes(http::Router& router) const {
  router.add(
      {.method = "GET",
       .path = "/health",
       .answer = [](const http::Request&,
                    http::ResponseWriter& writer) { return reply_json(writer, std::string(R"({"status":"ok"})")); },
       .is_public = true,
       .summary = "200 as long as the process lives",
       .tag = "state"});
  router.add({.method = "GET",
              .path = "/ready",
              .answer = [this](const http::Request&,
                               http::ResponseWriter& writer) { return reply_json(writer, readiness(backend_)); },
              .is_public = true,
              .summary = "200 while requests are accepted, else 503",
              .tag = "state"});
  router.add(
      {.method = "GET",
       .path = "/version",
       .answer = [this](const http::Request&,
                        http::ResponseWriter& writer) { return reply_json(writer, version_text(options_.version)); },
       .summary = "The program's version",
       .tag = "state"});
  router.add({.method = "GET",
              .path = "/metrics",
              .answer =
                  [this](const http::Request&, http::ResponseWriter& writer) {
                    return reply(writer, 200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
                                 metrics_.render());
                  },
              .summary = "Metrics in Prometheus' text format",
              .tag = "state"});
}

void Service::add_description_routes(http::Router& router) const {
  auto text = std::make_shared<std::string>();
  router.add(
      {.method = "GET",
       .path = "/openapi.json",
       .answer = [text](const http::Request&, http::ResponseWriter& writer) { return reply_json(writer, *text); },
       .summary = "This API as an OpenAPI 3.1 document",
       .tag = "state"});
  router.add({.method = "GET",
              .path = "/docs",
              .answer =
                  [](const http::Request&, http::ResponseWriter& writer) {
                    http::Headers headers{{"content-type", "text/html; charset=utf-8"},
                                          {"content-security-policy", docs::content_security_policy()},
                                          {"cache-control", "no-cache"}};
                    return reply(writer, 200, std::move(headers), std::string(docs::page()));
                  },
              .summary = "This API as a page to read and try",
              .tag = "state"});
  router.add({.method = "GET",
              .path = "/",
              .answer =
                  [](const http::Request&, http::ResponseWriter& writer) {
                    return reply(writer, 302, {{"content-type", "text/plain; charset=utf-8"}, {"location", "/docs"}},
                                 "Sluice. The API is described at /docs and /openapi.json.\n");
                  },
              .summary = "The way to /docs",
              .tag = "state"});
  *text = openapi_json(router.routes(), options_.version);
}

}  // namespace sluice::openai
