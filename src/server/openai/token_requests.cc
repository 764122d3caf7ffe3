// The bodies of /tokenize, /detokenize and /apply-template, in llama-server's and vLLM's words.

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/chat_prompt.h"
#include "server/openai/request.h"
#include "server/openai/request_fields.h"
#include "server/openai/sampling_request.h"

namespace sluice::openai {
namespace {

std::optional<std::string> read_text(FieldReader& fields, std::string_view name) {
  return fields.string(FieldSpec{.name = name, .kind = FieldKind::kString});
}

}  // namespace

Result<Json> parse_body(std::string_view body, const RequestLimits& limits) {
  JsonLimits json_limits;
  json_limits.depth_max = static_cast<int>(limits.json_depth_max);
  json_limits.exact_integers_depth = 2;  // messages, tools and what else templates print; not the settings
  auto parsed = parse_json(body, json_limits);
  if (!parsed.ok() && parsed.error().code == ErrorCode::kInvalidArgument) {
    Error error = std::move(parsed).error();
    error.message = cat("Invalid '", error.param, "': ", error.message, ".");
    error.reason = "invalid_value";
    return error;
  }
  if (!parsed.ok()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("The body could not be read as JSON: ", parsed.error().message),
                 {},
                 "invalid_json"};
  }
  if (!parsed->is_object()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("The body must be a JSON object, but is ", json_type_name(*parsed), "."),
                 {},
                 "invalid_type"};
  }
  return parsed;
}

Result<TokenizeCall> parse_tokenize_request(const Json& body, const ParseOptions& options) {
  FieldReader fields(body);
  TokenizeCall call;
  call.model = fields.string(field::kModel).value_or("");
  call.with_pieces = fields.boolean(field::kWithPieces).value_or(false);
  call.token_strings = fields.boolean(field::kReturnTokenStrings).value_or(false);
  const auto llama_special = fields.boolean(field::kAddSpecial);
  const auto special = fields.boolean(field::kAddSpecialTokens);
  fields.boolean(field::kAddGenerationPrompt);  // of messages; its type is checked in any case
  if (fields.any("messages") != nullptr) {
    api::ChatPrompt prompt;
    (void)read_chat_prompt(fields, options.limits, prompt);
    call.prompt = std::move(prompt);
  } else {
    const auto content = read_text(fields, "content");
    const auto prompt = read_text(fields, "prompt");
    if (fields.ok() && !content && !prompt) fields.fail(missing_parameter("content"));
    // Each keeps its own world's default: llama-server's "content" adds nothing, vLLM's "prompt" does.
    const bool add = llama_special.value_or(special.value_or(!content));
    call.prompt = api::TextPrompt{content ? *content : prompt.value_or(""), add};
  }
  if (!fields.ok()) return fields.error();
  return call;
}

Result<DetokenizeCall> parse_detokenize_request(const Json& body, const ParseOptions&) {
  FieldReader fields(body);
  DetokenizeCall call;
  call.model = fields.string(field::kModel).value_or("");
  const Json* tokens = fields.array("tokens");
  if (!fields.ok()) return fields.error();
  if (tokens == nullptr) return missing_parameter("tokens");
  SLUICE_TRY(call.ids, parse_token_ids(*tokens, "tokens"));
  return call;
}

Result<TemplateCall> parse_template_request(const Json& body, const ParseOptions& options) {
  FieldReader fields(body);
  TemplateCall call;
  call.model = fields.string(field::kModel).value_or("");
  (void)read_chat_prompt(fields, options.limits, call.prompt);
  if (!fields.ok()) return fields.error();
  return call;
}

}  // namespace sluice::openai
