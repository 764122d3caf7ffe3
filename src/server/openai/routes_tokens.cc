// /tokenize, /detokenize, /apply-template: on the blocking pool from end to end.

#include "base/json.h"
#include "server/http/io_thread.h"
#include "server/openai/reply.h"
#include "server/openai/response.h"
#include "server/openai/service.h"

namespace sluice::openai {
void Service::add_token_routes(http::Router& router) const {
  router.add({.method = "POST",
              .path = "/tokenize",
              .answer = [this](const http::Request& request,
                               http::ResponseWriter& writer) { return tokenize(request, writer); },
              .summary = "A text or messages as token ids",
              .tag = "tokens"});
  router.add({.method = "POST",
              .path = "/detokenize",
              .answer = [this](const http::Request& request,
                               http::ResponseWriter& writer) { return detokenize(request, writer); },
              .summary = "Token ids as a text",
              .tag = "tokens"});
  router.add({.method = "POST",
              .path = "/apply-template",
              .answer = [this](const http::Request& request,
                               http::ResponseWriter& writer) { return apply_template(request, writer); },
              .summary = "The text that messages become",
              .tag = "tokens"});
}

http::Task<void> Service::tokenize(const http::Request& request, http::ResponseWriter& writer) const {
  auto body = co_await http::run_blocking([&]() -> Result<std::string> {
    SLUICE_TRY(const Json parsed, parse_body(request.body, options_.limits));
    SLUICE_TRY(const TokenizeCall call, parse_tokenize_request(parsed, parse_options()));
    SLUICE_TRY(const api::ModelCard card, find_model(call.model));
    SLUICE_TRY(const std::vector<api::TokenId> ids, backend_.tokenize(card.id, call.prompt));
    std::vector<std::string> pieces;
    if (call.with_pieces || call.token_strings) {
      SLUICE_TRY(pieces, backend_.token_pieces(card.id, ids));
    }
    return render_tokens(call, ids, pieces, card.context_tokens);
  });
  co_await reply_json(writer, std::move(body));
}

http::Task<void> Service::detokenize(const http::Request& request, http::ResponseWriter& writer) const {
  auto body = co_await http::run_blocking([&]() -> Result<std::string> {
    SLUICE_TRY(const Json parsed, parse_body(request.body, options_.limits));
    SLUICE_TRY(const DetokenizeCall call, parse_detokenize_request(parsed, parse_options()));
    SLUICE_TRY(const api::ModelCard card, find_model(call.model));
    SLUICE_TRY(const std::string text, backend_.detokenize(card.id, call.ids, false));
    std::string out = R"({"content":)";
    append_json_string(out, text);
    out += R"(,"prompt":)";
    append_json_string(out, text);
    out += '}';
    return out;
  });
  co_await reply_json(writer, std::move(body));
}

http::Task<void> Service::apply_template(const http::Request& request, http::ResponseWriter& writer) const {
  auto body = co_await http::run_blocking([&]() -> Result<std::string> {
    SLUICE_TRY(const Json parsed, parse_body(request.body, options_.limits));
    SLUICE_TRY(const TemplateCall call, parse_template_request(parsed, parse_options()));
    SLUICE_TRY(const api::ModelCard card, find_model(call.model));
    SLUICE_TRY(const std::string text, backend_.apply_template(card.id, call.prompt));
    std::string out = R"({"prompt":)";
    append_json_string(out, text);
    out += '}';
    return out;
  });
  co_await reply_json(writer, std::move(body));
}

}  // namespace sluice::openai
