// /v1/chat/completions, /v1/completions, /infer.

#include "base/json.h"
#include "base/strings.h"
#include "server/http/io_thread.h"
#include "server/openai/delivery.h"
#include "server/openai/response.h"
#include "server/openai/service.h"

namespace sluice::openai {
namespace {

Result<void> require_chat(const api::ModelCard& card) {
  if (card.chat) return {};
  return Error{
      ErrorCode::kInvalidArgument,
      cat("The model '", card.id, "' has no chat template. Use /v1/completions, or serve it with a chat template."),
      "messages", "unsupported_endpoint"};
}

// The texts that an echoing completion's prompts begin its answers with.
Result<std::vector<std::string>> echo_texts(const api::Backend& backend, const GenerateCall& call) {
  std::vector<std::string> texts;
  if (!call.answer.echo) return texts;
  for (const api::GenerateRequest& request : call.requests) {
    if (const auto* text = std::get_if<api::TextPrompt>(&request.prompt)) {
      texts.push_back(text->text);
    } else {
      SLUICE_TRY(std::string spelled, backend.detokenize(request.model, std::get<api::TokenPrompt>(request.prompt).ids,
                                                         request.sampling.skip_special_tokens));
      texts.push_back(std::move(spelled));
    }
  }
  return texts;
}

Result<void> set_prompt_ids(const api::Backend& backend, const GenerateCall& call, AnswerWriter& writer) {
  if (!call.answer.token_ids) return {};
  std::vector<std::vector<api::TokenId>> ids;
  for (const api::GenerateRequest& request : call.requests) {
    SLUICE_TRY(std::vector<api::TokenId> prompt, backend.tokenize(request.model, request.prompt));
    ids.push_back(std::move(prompt));
  }
  writer.set_prompt_ids(std::move(ids));
  return {};
}

struct OpenInference {
  std::unique_ptr<OpenAnswer> answer;
  AnswerHead head;
  bool batch = false;
};

}  // namespace

void Service::add_generation_routes(http::Router& router) const {
  const auto chat_answer = [this](const http::Request& request, http::ResponseWriter& writer) {
    return chat(request, writer);
  };
  const auto completion_answer = [this](const http::Request& request, http::ResponseWriter& writer) {
    return complete(request, writer);
  };
  for (const char* path : {"/v1/chat/completions", "/chat/completions"}) {
    router.add(
        {.method = "POST", .path = path, .answer = chat_answer, .summary = "Answer a conversation", .tag = "chat"});
  }
  for (const char* path : {"/v1/completions", "/completions"}) {
    router.add({.method = "POST",
                .path = path,
                .answer = completion_answer,
                .summary = "Continue a text",
                .tag = "completions"});
  }
  router.add(
      {.method = "POST",
       .path = "/infer",
       .answer = [this](const http::Request& request, http::ResponseWriter& writer) { return infer(request, writer); },
       .summary = "Input in, output out: a text, texts or messages",
       .tag = "completions"});
}

http::Task<void> Service::chat(const http::Request& request, http::ResponseWriter& writer) const {
  auto opened = co_await http::run_blocking([&]() -> Result<Delivery> {
    SLUICE_TRY(const Json body, parse_body(request.body, options_.limits));
    SLUICE_TRY(GenerateCall call, parse_chat_request(body, parse_options()));
    SLUICE_TRY(const api::ModelCard card, find_model(call.requests.front().model));
    SLUICE_RETURN_IF_ERROR(require_chat(card));
    call.requests.front().model = card.id;
    SLUICE_TRY(AnswerForm form, prepare_answer_form(backend_, card, call));
    Delivery delivery{.answer = nullptr,
                      .text = make_chat_writer(answer_head("chatcmpl-", card.id), call.answer, std::move(form)),
                      .echo_texts = {},
                      .keep_alive = options_.keep_alive};
    SLUICE_RETURN_IF_ERROR(set_prompt_ids(backend_, call, *delivery.text));
    SLUICE_TRY(delivery.answer, OpenAnswer::submit(backend_, std::move(call)));
    return delivery;
  });
  if (!opened.ok()) {
    (void)co_await writer.send_error(opened.error());
    co_return;
  }
  co_await deliver(std::move(opened).value(), writer);
}

http::Task<void> Service::complete(const http::Request& request, http::ResponseWriter& writer) const {
  auto opened = co_await http::run_blocking([&]() -> Result<Delivery> {
    SLUICE_TRY(const Json body, parse_body(request.body, options_.limits));
    SLUICE_TRY(GenerateCall call, parse_completion_request(body, parse_options()));
    SLUICE_TRY(const api::ModelCard card, find_model(call.requests.front().model));
    for (api::GenerateRequest& one : call.requests) one.model = card.id;
    Delivery delivery{.answer = nullptr,
                      .text = make_completion_writer(answer_head("cmpl-", card.id), call.answer),
                      .echo_texts = {},
                      .keep_alive = options_.keep_alive};
    SLUICE_TRY(delivery.echo_texts, echo_texts(backend_, call));
    SLUICE_RETURN_IF_ERROR(set_prompt_ids(backend_, call, *delivery.text));
    SLUICE_TRY(delivery.answer, OpenAnswer::submit(backend_, std::move(call)));
    return delivery;
  });
  if (!opened.ok()) {
    (void)co_await writer.send_error(opened.error());
    co_return;
  }
  co_await deliver(std::move(opened).value(), writer);
}

http::Task<void> Service::infer(const http::Request& request, http::ResponseWriter& writer) const {
  auto opened = co_await http::run_blocking([&]() -> Result<OpenInference> {
    SLUICE_TRY(const Json body, parse_body(request.body, options_.limits));
    // Whether the model chats decides what a bare text means; a name of a wrong type is refused by the parser.
    const Json* name = json_find(body, "model");
    SLUICE_TRY(const api::ModelCard card,
               find_model(name != nullptr && name->is_string() ? name->get<std::string>() : std::string()));
    SLUICE_TRY(InferCall infer, parse_infer_request(body, card.chat, parse_options()));
    for (api::GenerateRequest& one : infer.call.requests) {
      one.model = card.id;
      if (std::holds_alternative<api::ChatPrompt>(one.prompt)) SLUICE_RETURN_IF_ERROR(require_chat(card));
    }
    OpenInference open{.answer = nullptr, .head = answer_head("infer-", card.id), .batch = infer.batch};
    SLUICE_TRY(open.answer, OpenAnswer::submit(backend_, std::move(infer.call)));
    return open;
  });
  if (!opened.ok()) {
    (void)co_await writer.send_error(opened.error());
    co_return;
  }
  RenderWhole render = [head = opened->head, batch = opened->batch](std::span<const ChoicePart> choices,
                                                                    const api::Usage& usage) {
    return render_inference(head, choices, usage, batch);
  };
  co_await deliver_whole(std::move(opened->answer), writer, std::move(render));
}

}  // namespace sluice::openai
