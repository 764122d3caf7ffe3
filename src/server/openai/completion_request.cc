#include "base/json.h"
#include "base/strings.h"
#include "server/openai/request.h"
#include "server/openai/request_fields.h"
#include "server/openai/sampling_request.h"
#include "server/openai/text_prompts.h"

namespace sluice::openai {
namespace {

constexpr int kDefaultMaxTokens = 16;  // as OpenAI's

void read_answer_length(FieldReader& fields, api::SamplingParams& sampling, AnswerOptions& answer) {
  const auto given = fields.integer(field::kCompletionMaxTokens);
  const auto newer = fields.integer(field::kMaxCompletionTokens);
  sampling.max_tokens = static_cast<int>(newer.value_or(given.value_or(kDefaultMaxTokens)));
  if (sampling.max_tokens == 0) {
    // A backend always makes a token; it is not shown.
    answer.prompt_only = true;
    sampling.max_tokens = 1;
    sampling.min_tokens = 0;
  }
  check_min_tokens(fields, sampling);
}

void read_completion_logprobs(FieldReader& fields, api::SamplingParams& sampling, AnswerOptions& answer) {
  answer.echo = fields.boolean(field::kEcho).value_or(false);
  const auto logprobs = fields.integer(field::kCompletionLogprobs);
  if (!logprobs) return;
  answer.logprobs = true;
  answer.top_logprobs = static_cast<int>(*logprobs);
  sampling.logprobs = answer.top_logprobs;
  if (answer.echo) sampling.prompt_logprobs = answer.top_logprobs;
}

void refuse_completion_fields(FieldReader& fields, int choices) {
  const Json* suffix = fields.any("suffix");
  if (suffix != nullptr && *suffix != "") {
    fields.fail(unsupported_parameter(
        fields.path("suffix"),
        "Unsupported parameter: 'suffix': this model does not fill in the middle; leave it out."));
  }
  const auto best_of = fields.integer(field::kBestOf);
  if (best_of && *best_of != choices) {
    fields.fail(unsupported_value(fields.path("best_of"), cat("Unsupported value: 'best_of' must equal 'n' (", choices,
                                                              "), but got ", *best_of, ": answers are not ranked.")));
  }
}

}  // namespace

Result<GenerateCall> parse_completion_request(const Json& body, const ParseOptions& options) {
  FieldReader fields(body);
  GenerateCall call;
  api::GenerateRequest request;
  request.model = fields.string(field::kModel).value_or("");
  const bool add_special = fields.boolean(field::kAddSpecialTokens).value_or(true);
  std::vector<api::Prompt> prompts = read_text_prompts(fields, "prompt", add_special, options.limits.prompts_max);
  read_sampling(fields, options, request, call.answer);
  read_answer_length(fields, request.sampling, call.answer);
  read_completion_logprobs(fields, request.sampling, call.answer);
  read_stream_options(fields, call.answer);
  refuse_completion_fields(fields, request.choices);
  if (!fields.ok()) return fields.error();
  const int64_t choices = request.choices * static_cast<int64_t>(prompts.size());
  if (choices > options.limits.choices_max) {
    return invalid_value(
        "n", cat("Invalid 'n': ", prompts.size(), " prompts with ", request.choices, " choices each make ", choices,
                 " choices; at most ", options.limits.choices_max, " are allowed."));
  }
  for (api::Prompt& prompt : prompts) {
    call.requests.push_back(request);
    call.requests.back().prompt = std::move(prompt);
  }
  return call;
}

}  // namespace sluice::openai
