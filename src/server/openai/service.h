#pragma once
// Service: the OpenAI-compatible API over any api::Backend, as routes of the HTTP core. It translates and decides
// nothing.
//
//   openai::Service service(backend, metrics, {});
//   http::Router router;
//   service.add_routes(router);            // other routes may be added before or after
//   service.add_description_routes(router);  // last: /openapi.json describes what the router then holds
//
// Owner: whoever owns the server; it outlives the server, and the backend and the metrics outlive it.
// Handlers run on I/O threads; parsing, templates and tokenising on the blocking pool.

#include <chrono>
#include <memory>
#include <string>

#include "api/backend.h"
#include "base/metrics.h"
#include "server/http/router.h"
#include "server/openai/answer_writer.h"
#include "server/openai/request.h"

namespace sluice::openai {

struct ServiceOptions {
  RequestLimits limits;
  // A stream that has had nothing to say for so long gets a comment line, which clients skip and proxies take as life;
  // with it the status line, so a later failure is an event and no status. 0: never.
  std::chrono::milliseconds keep_alive{15'000};
  std::string version = "0.1.0";
  std::string fingerprint;  // system_fingerprint; "": "sluice-" and the version
};

class Service {
 public:
  Service(api::Backend& backend, const MetricsRegistry& metrics, ServiceOptions options);

  void add_routes(http::Router& router) const;
  void add_description_routes(http::Router& router) const;

 private:
  void add_generation_routes(http::Router& router) const;
  void add_model_routes(http::Router& router) const;
  void add_token_routes(http::Router& router) const;
  void add_state_routes(http::Router& router) const;

  http::Task<void> chat(const http::Request& request, http::ResponseWriter& writer) const;
  http::Task<void> complete(const http::Request& request, http::ResponseWriter& writer) const;
  http::Task<void> infer(const http::Request& request, http::ResponseWriter& writer) const;
  http::Task<void> embed(const http::Request& request, http::ResponseWriter& writer) const;
  http::Task<void> tokenize(const http::Request& request, http::ResponseWriter& writer) const;
  http::Task<void> detokenize(const http::Request& request, http::ResponseWriter& writer) const;
  http::Task<void> apply_template(const http::Request& request, http::ResponseWriter& writer) const;

  // The served model of that name, or the first one for ""; else kNotFound with the reason "model_not_found".
  Result<api::ModelCard> find_model(const std::string& name) const;
  ParseOptions parse_options() const;
  AnswerHead answer_head(std::string_view id_prefix, const std::string& model) const;

  api::Backend& backend_;
  const MetricsRegistry& metrics_;
  const ServiceOptions options_;
};

}  // namespace sluice::openai
