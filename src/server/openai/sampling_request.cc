#include "server/openai/sampling_request.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/request_fields.h"

namespace sluice::openai {
namespace {

Error too_long(std::string param, std::string_view what, int64_t limit, int64_t got) {
  return Error{ErrorCode::kInvalidArgument,
               cat("Invalid '", param, "': ", what, " too long. Expected a maximum length of ", limit,
                   ", but got length ", got, " instead."),
               param, what == "array" ? "array_above_max_length" : "string_above_max_length"};
}

Result<std::string> stop_string(const Json& value, const std::string& param, const RequestLimits& limits) {
  if (!value.is_string()) return invalid_type(param, "a string or an array of strings", value);
  auto text = value.get<std::string>();
  if (text.empty()) return invalid_value(param, cat("Invalid '", param, "': a stop string must not be empty."));
  if (static_cast<int64_t>(text.size()) > limits.stop_bytes_max) {
    return too_long(param, "string", limits.stop_bytes_max, static_cast<int64_t>(text.size()));
  }
  return text;
}

Result<std::vector<std::string>> parse_stop(const Json& value, const std::string& param, const RequestLimits& limits) {
  std::vector<std::string> stops;
  if (!value.is_array()) {
    SLUICE_TRY(std::string text, stop_string(value, param, limits));
    stops.push_back(std::move(text));
    return stops;
  }
  if (static_cast<int64_t>(value.size()) > limits.stop_strings_max) {
    return too_long(param, "array", limits.stop_strings_max, static_cast<int64_t>(value.size()));
  }
  for (size_t i = 0; i < value.size(); ++i) {
    SLUICE_TRY(std::string text, stop_string(value[i], cat(param, "[", i, "]"), limits));
    stops.push_back(std::move(text));
  }
  return stops;
}

Result<std::map<api::TokenId, double>> parse_logit_bias(const Json& object, const std::string& param,
                                                        const RequestLimits& limits) {
  if (static_cast<int64_t>(object.size()) > limits.logit_bias_max) {
    return invalid_value(param, cat("Invalid '", param, "': at most ", limits.logit_bias_max,
                                    " tokens may be biased, but got ", object.size(), "."));
  }
  std::map<api::TokenId, double> bias;
  for (const auto& [key, value] : object.items()) {
    const std::string path = cat(param, ".", key.substr(0, 40));
    api::TokenId id = -1;
    const auto [end, status] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (status != std::errc() || end != key.data() + key.size() || id < 0) {
      return invalid_value(path, cat("Invalid key in '", param, "': expected a token id such as \"1234\", but got \"",
                                     key.substr(0, 40), "\"."));
    }
    if (!value.is_number()) return invalid_type(path, "a number", value);
    const double amount = value.get<double>();
    if (!(amount >= -100 && amount <= 100)) {
      return invalid_value(
          path, cat("Invalid '", path, "': expected a bias between -100 and 100, but got ", dump_json(value), "."));
    }
    bias[id] = amount;
  }
  return bias;
}

void read_seed(FieldReader& fields, api::SamplingParams& sampling) {
  const Json* seed = fields.any("seed");
  if (seed != nullptr && seed->is_number_unsigned()) {
    sampling.seed = seed->get<uint64_t>();
  } else if (const auto value = fields.integer(field::kSeed)) {
    sampling.seed = static_cast<uint64_t>(*value);
  }
}

template <class T>
void keep(FieldReader& fields, Result<T> parsed, T& out) {
  if (parsed.ok()) {
    out = std::move(parsed).value();
  } else {
    fields.fail(std::move(parsed).error());
  }
}

void read_stops(FieldReader& fields, const RequestLimits& limits, api::SamplingParams& sampling) {
  if (const Json* stop = fields.any("stop"))
    keep(fields, parse_stop(*stop, fields.path("stop"), limits), sampling.stop);
  if (const Json* ids = fields.array("stop_token_ids")) {
    if (static_cast<int64_t>(ids->size()) > limits.stop_token_ids_max) {
      fields.fail(too_long(fields.path("stop_token_ids"), "array", limits.stop_token_ids_max,
                           static_cast<int64_t>(ids->size())));
    } else {
      keep(fields, parse_token_ids(*ids, fields.path("stop_token_ids")), sampling.stop_token_ids);
    }
  }
  if (const Json* bias = fields.object("logit_bias")) {
    keep(fields, parse_logit_bias(*bias, fields.path("logit_bias"), limits), sampling.logit_bias);
  }
}

void read_distribution(FieldReader& fields, api::SamplingParams& sampling) {
  sampling.temperature = fields.number(field::kTemperature);
  sampling.top_p = fields.number(field::kTopP);
  // OpenAI takes 0 as "only the most likely token", which a vanishing share keeps.
  if (sampling.top_p == 0.0) sampling.top_p = 1e-9;
  if (const auto top_k = fields.integer(field::kTopK)) sampling.top_k = static_cast<int>(*top_k);
  sampling.min_p = fields.number(field::kMinP);
  sampling.repetition_penalty = fields.number(field::kRepetitionPenalty);
  const auto alias = fields.number(field::kRepeatPenalty);
  if (!sampling.repetition_penalty) sampling.repetition_penalty = alias;
  if (sampling.repetition_penalty == 0.0) {
    const std::string name =
        fields.path(fields.any("repetition_penalty") != nullptr ? "repetition_penalty" : "repeat_penalty");
    fields.fail(invalid_value(name, cat("Invalid '", name, "': expected a value greater than 0, but got 0.")));
  }
  sampling.frequency_penalty = fields.number(field::kFrequencyPenalty).value_or(0);
  sampling.presence_penalty = fields.number(field::kPresencePenalty).value_or(0);
}

// response_format: {"type": "text"} or unset.
void check_response_format(FieldReader& fields) {
  const Json* format = fields.object("response_format");
  if (format == nullptr) return;
  const std::string param = fields.path("response_format.type");
  const Json* type = json_find(*format, "type");
  if (type == nullptr) return fields.fail(missing_parameter(param));
  if (!type->is_string()) return fields.fail(invalid_type(param, "a string", *type));
  const auto name = type->get<std::string>();
  if (name == "text") return;
  if (name == "json_object" || name == "json_schema") {
    return fields.fail(unsupported_value(
        param, cat("Unsupported value: '", param, "' does not support '", name,
                   "' with this model. Only 'text' is supported: ask for JSON in the prompt instead.")));
  }
  fields.fail(invalid_value(param, cat("Invalid value: '", name.substr(0, 60), "'. Supported values are: 'text'.")));
}

}  // namespace

Result<std::vector<api::TokenId>> parse_token_ids(const Json& array, std::string_view param) {
  std::vector<api::TokenId> ids;
  ids.reserve(array.size());
  for (const Json& value : array) {
    const auto id = whole_number(value);
    if (!id) return invalid_type(cat(param, "[", ids.size(), "]"), "an integer", value);
    if (*id < 0 || *id > INT32_MAX) {
      const std::string path = cat(param, "[", ids.size(), "]");
      return invalid_value(
          path, cat("Invalid '", path, "': expected a token id between 0 and ", INT32_MAX, ", but got ", *id, "."));
    }
    ids.push_back(static_cast<api::TokenId>(*id));
  }
  return ids;
}

void refuse_unsupported(FieldReader& fields) {
  struct Unsupported {
    std::string_view name;
    std::string_view advice;
  };
  static constexpr Unsupported kUnsupported[] = {
      {"guided_json", "constrained decoding is not available"},
      {"guided_regex", "constrained decoding is not available"},
      {"guided_choice", "constrained decoding is not available"},
      {"guided_grammar", "constrained decoding is not available"},
      {"structured_outputs", "constrained decoding is not available"},
      {"grammar", "constrained decoding is not available"},
      {"json_schema", "constrained decoding is not available"},
      {"functions", "use 'tools' instead"},
      {"audio", "this model makes text only"},
  };
  for (const auto& [name, advice] : kUnsupported) {
    const Json* value = fields.any(name);
    if (value == nullptr || (value->is_structured() && value->empty()) || *value == "") continue;
    fields.fail(unsupported_parameter(fields.path(name),
                                      cat("Unsupported parameter: '", fields.path(name), "': ", advice, ".")));
  }
  check_response_format(fields);
}

void read_stream_options(FieldReader& fields, AnswerOptions& answer) {
  answer.stream = fields.boolean(field::kStream).value_or(false);
  const Json* given = fields.object("stream_options");
  if (given == nullptr) return;
  if (!answer.stream) {
    return fields.fail(invalid_value(fields.path("stream_options"),
                                     "The 'stream_options' parameter is only allowed when 'stream' is true."));
  }
  FieldReader stream(*given, fields.path("stream_options"));
  answer.include_usage = stream.boolean(field::kIncludeUsage).value_or(false);
  answer.continuous_usage = stream.boolean(field::kContinuousUsage).value_or(false);
  if (!stream.ok()) fields.fail(stream.error());
}

void check_min_tokens(FieldReader& fields, const api::SamplingParams& sampling) {
  if (sampling.max_tokens > 0 && sampling.min_tokens > sampling.max_tokens) {
    fields.fail(
        invalid_value(fields.path("min_tokens"), cat("Invalid 'min_tokens': expected at most max_tokens (",
                                                     sampling.max_tokens, "), but got ", sampling.min_tokens, ".")));
  }
}

void read_sampling(FieldReader& fields, const ParseOptions& options, api::GenerateRequest& request,
                   AnswerOptions& answer) {
  api::SamplingParams& sampling = request.sampling;
  read_distribution(fields, sampling);
  read_seed(fields, sampling);
  read_stops(fields, options.limits, sampling);
  sampling.min_tokens = static_cast<int>(fields.integer(field::kMinTokens).value_or(0));
  sampling.ignore_eos = fields.boolean(field::kIgnoreEos).value_or(false);
  sampling.skip_special_tokens = fields.boolean(field::kSkipSpecialTokens).value_or(true);
  sampling.include_stop = fields.boolean(field::kIncludeStop).value_or(false);
  answer.include_stop = sampling.include_stop;
  answer.token_ids = fields.boolean(field::kReturnTokenIds).value_or(false);
  request.choices = static_cast<int>(fields.integer(field::kN).value_or(1));
  answer.choices = request.choices;
  request.priority = static_cast<int>(fields.integer(field::kPriority).value_or(0));
  request.cache_salt = fields.string(field::kCacheSalt).value_or("");
  if (const auto timeout_s = fields.number(field::kTimeout)) {
    request.deadline_us = options.now_us + static_cast<int64_t>(*timeout_s * 1e6);
  }
  fields.string(field::kUser);
  refuse_unsupported(fields);
}

}  // namespace sluice::openai
