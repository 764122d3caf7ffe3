#include "base/json.h"
#include "base/strings.h"
#include "server/openai/chat_messages.h"
#include "server/openai/chat_prompt.h"
#include "server/openai/request.h"
#include "server/openai/request_fields.h"
#include "server/openai/sampling_request.h"

namespace sluice::openai {
namespace {

void read_answer_length(FieldReader& fields, api::SamplingParams& sampling) {
  const auto older = fields.integer(field::kMaxTokens);
  const auto newer = fields.integer(field::kMaxCompletionTokens);
  sampling.max_tokens = static_cast<int>(newer.value_or(older.value_or(0)));
  check_min_tokens(fields, sampling);
}

void read_chat_logprobs(FieldReader& fields, api::SamplingParams& sampling, AnswerOptions& answer) {
  answer.logprobs = fields.boolean(field::kChatLogprobs).value_or(false);
  const auto top = fields.integer(field::kTopLogprobs);
  if (top.value_or(0) > 0 && !answer.logprobs) {
    fields.fail(invalid_value(fields.path("top_logprobs"),
                              "The 'top_logprobs' parameter is only allowed when 'logprobs' is true."));
  }
  if (!answer.logprobs) return;
  answer.top_logprobs = static_cast<int>(top.value_or(0));
  sampling.logprobs = answer.top_logprobs;
}

void check_modalities(FieldReader& fields) {
  const Json* modalities = fields.array("modalities");
  if (modalities == nullptr) return;
  for (size_t i = 0; i < modalities->size(); ++i) {
    const std::string param = cat(fields.path("modalities"), "[", i, "]");
    if (!(*modalities)[i].is_string()) return fields.fail(invalid_type(param, "a string", (*modalities)[i]));
    if ((*modalities)[i] != "text") {
      return fields.fail(
          unsupported_value(param, cat("Unsupported value: '", param, "': this model makes text only.")));
    }
  }
}

}  // namespace

Result<GenerateCall> parse_chat_request(const Json& body, const ParseOptions& options) {
  FieldReader fields(body);
  GenerateCall call;
  api::GenerateRequest request;
  api::ChatPrompt prompt;
  request.model = fields.string(field::kModel).value_or("");
  call.tools = read_chat_prompt(fields, options.limits, prompt);
  call.answer.reasoning = fields.boolean(field::kIncludeReasoning).value_or(true);
  read_sampling(fields, options, request, call.answer);
  read_answer_length(fields, request.sampling);
  read_chat_logprobs(fields, request.sampling, call.answer);
  read_stream_options(fields, call.answer);
  check_modalities(fields);
  if (!fields.ok()) return fields.error();
  request.prompt = std::move(prompt);
  call.requests.push_back(std::move(request));
  return call;
}

}  // namespace sluice::openai
