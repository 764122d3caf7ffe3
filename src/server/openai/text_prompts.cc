#include "server/openai/text_prompts.h"

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/sampling_request.h"

namespace sluice::openai {
namespace {

constexpr std::string_view kExpected =
    "a string, an array of strings, an array of token ids, or an array of arrays of token ids";

Error empty_array(std::string param) {
  std::string message = cat("Invalid '", param, "': empty array. Expected an array with minimum length 1.");
  return Error{ErrorCode::kInvalidArgument, std::move(message), std::move(param), "empty_array"};
}

Result<api::Prompt> parse_element(const Json& value, const std::string& param, bool add_special) {
  if (value.is_string()) return api::Prompt(api::TextPrompt{value.get<std::string>(), add_special});
  if (!value.is_array()) return invalid_type(param, "a string or an array of token ids", value);
  if (value.empty()) return empty_array(param);
  SLUICE_TRY(std::vector<api::TokenId> ids, parse_token_ids(value, param));
  return api::Prompt(api::TokenPrompt{std::move(ids)});
}

Result<std::vector<api::Prompt>> parse_prompts(const Json& value, const std::string& param, bool add_special,
                                               int64_t prompts_max) {
  std::vector<api::Prompt> prompts;
  if (value.is_string()) {
    prompts.push_back(api::TextPrompt{value.get<std::string>(), add_special});
    return prompts;
  }
  if (!value.is_array()) return invalid_type(param, kExpected, value);
  if (value.empty()) return empty_array(param);
  if (value.front().is_number()) {
    SLUICE_TRY(std::vector<api::TokenId> ids, parse_token_ids(value, param));
    prompts.push_back(api::TokenPrompt{std::move(ids)});
    return prompts;
  }
  if (static_cast<int64_t>(value.size()) > prompts_max) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("Invalid '", param, "': array too long. Expected an array with maximum length ", prompts_max,
                     ", but got length ", value.size(), " instead."),
                 param, "array_above_max_length"};
  }
  for (size_t i = 0; i < value.size(); ++i) {
    SLUICE_TRY(api::Prompt prompt, parse_element(value[i], cat(param, "[", i, "]"), add_special));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

}  // namespace

std::vector<api::Prompt> read_text_prompts(FieldReader& fields, std::string_view name, bool add_special,
                                           int64_t prompts_max) {
  const std::string param = fields.path(name);
  const Json* value = fields.any(name);
  if (value == nullptr) {
    fields.fail(missing_parameter(param));
    return {};
  }
  auto prompts = parse_prompts(*value, param, add_special, prompts_max);
  if (prompts.ok()) return std::move(prompts).value();
  fields.fail(std::move(prompts).error());
  return {};
}

}  // namespace sluice::openai
