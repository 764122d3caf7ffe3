// /v1/models, /v1/models/{model}, /v1/embeddings.

#include "base/json.h"
#include "server/http/event_channel.h"
#include "server/http/io_thread.h"
#include "server/openai/reply.h"
#include "server/openai/response.h"
#include "server/openai/service.h"

namespace sluice::openai {
namespace {

using EmbedChannel = http::EventChannel<Result<api::EmbedAnswer>>;

struct OpenEmbedding {
  EmbedCall call;  // without its inputs
  std::shared_ptr<EmbedChannel> channel;
};

}  // namespace

void Service::add_model_routes(http::Router& router) const {
  const auto list = [this](const http::Request&, http::ResponseWriter& writer) {
    return reply_json(writer, render_models(backend_.models()));
  };
  const auto show = [this](const http::Request& request, http::ResponseWriter& writer) {
    const auto card = find_model(std::string(request.param("model")));
    return reply_json(writer, card.ok() ? Result<std::string>(render_model(*card)) : card.error());
  };
  const auto embed_answer = [this](const http::Request& request, http::ResponseWriter& writer) {
    return embed(request, writer);
  };
  for (const std::string prefix : {"/v1", ""}) {
    router.add(
        {.method = "GET", .path = prefix + "/models", .answer = list, .summary = "The served models", .tag = "models"});
    router.add({.method = "GET",
                .path = prefix + "/models/{model...}",
                .answer = show,
                .summary = "One served model",
                .tag = "models"});
    router.add({.method = "POST",
                .path = prefix + "/embeddings",
                .answer = embed_answer,
                .summary = "Texts as vectors",
                .tag = "embeddings"});
  }
}

http::Task<void> Service::embed(const http::Request& request, http::ResponseWriter& writer) const {
  auto opened = co_await http::run_blocking([&]() -> Result<OpenEmbedding> {
    SLUICE_TRY(const Json body, parse_body(request.body, options_.limits));
    SLUICE_TRY(EmbedCall call, parse_embedding_request(body, parse_options()));
    SLUICE_TRY(const api::ModelCard card, find_model(call.request.model));
    call.request.model = card.id;
    call.request.id = api::next_request_id();
    api::EmbedRequest sent = std::move(call.request);
    call.request = {.id = sent.id,
                    .model = sent.model,
                    .inputs = {},
                    .pooling = sent.pooling,
                    .normalize = sent.normalize,
                    .cache_salt = {}};
    auto channel = std::make_shared<EmbedChannel>(1);
    SLUICE_RETURN_IF_ERROR(backend_.embed(
        std::move(sent), [channel](Result<api::EmbedAnswer> answer) { channel->push_last(std::move(answer)); }));
    return OpenEmbedding{std::move(call), std::move(channel)};
  });
  if (!opened.ok()) {
    (void)co_await writer.send_error(opened.error());
    co_return;
  }
  writer.on_disconnect([backend = &backend_, id = opened->call.request.id, channel = opened->channel] {
    backend->cancel(id);
    channel->close();
  });
  auto answer = co_await opened->channel->next();
  if (!answer) co_return;
  const EmbedCall& call = opened->call;
  if (answer->ok()) {
    const Result<void> cut = cut_embeddings(answer->value(), call.dimensions, call.request.normalize);
    if (!cut.ok()) *answer = cut.error();
  }
  if (!answer->ok()) {
    (void)co_await writer.send_error(answer->error());
    co_return;
  }
  std::string body = render_embeddings(call.request.model, answer->value(), call.encoding);
  (void)co_await writer.send_json(200, std::move(body));
}

}  // namespace sluice::openai
