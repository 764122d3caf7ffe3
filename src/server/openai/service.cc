#include "server/openai/service.h"

#include <chrono>

#include "base/strings.h"

namespace sluice::openai {

Service::Service(api::Backend& backend, const MetricsRegistry& metrics, ServiceOptions options)
    : backend_(backend), metrics_(metrics), options_([&] {
        if (options.fingerprint.empty()) options.fingerprint = "sluice-" + options.version;
        return std::move(options);
      }()) {}

void Service::add_routes(http::Router& router) const {
  add_generation_routes(router);
  add_model_routes(router);
  add_token_routes(router);
  add_state_routes(router);
}

Result<api::ModelCard> Service::find_model(const std::string& name) const {
  std::vector<api::ModelCard> cards = backend_.models();
  if (name.empty() && !cards.empty()) return std::move(cards.front());
  std::string served;
  for (api::ModelCard& card : cards) {
    if (card.id == name) return std::move(card);
    served += cat(served.empty() ? "'" : ", '", card.id, "'");
  }
  return Error{ErrorCode::kNotFound,
               cat("The model '", name.substr(0, 200), "' does not exist. Served here: ", served, "."), "model",
               "model_not_found"};
}

ParseOptions Service::parse_options() const {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return {.limits = options_.limits, .now_us = std::chrono::duration_cast<std::chrono::microseconds>(now).count()};
}

AnswerHead Service::answer_head(std::string_view id_prefix, const std::string& model) const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {.id = make_answer_id(id_prefix),
          .model = model,
          .fingerprint = options_.fingerprint,
          .created = std::chrono::duration_cast<std::chrono::seconds>(now).count()};
}

}  // namespace sluice::openai
