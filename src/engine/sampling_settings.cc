#include "engine/sampling_settings.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace sluice::engine {
namespace {

// Below this, dividing by the temperature leaves only the best token anyway, and may overflow.
constexpr double kGreedyTemperature = 1e-5;

template <class Number>
Result<void> in_range(std::string_view name, Number value, Number low, Number high) {
  if (value >= low && value <= high) return {};  // false for NaN
  return invalid_argument(cat(name, " must be between ", low, " and ", high, ", but is ", value, "."),
                          std::string(name));
}

template <class Number>
Number first_set(const std::optional<Number>& wanted, const std::optional<Number>& usual, Number otherwise) {
  return wanted ? *wanted : usual.value_or(otherwise);
}

Result<void> resolve_distribution(const api::SamplingParams& params, const api::SamplingParams& defaults,
                                  SamplingSettings& out) {
  const double temperature = first_set(params.temperature, defaults.temperature, 1.0);
  const double top_p = first_set(params.top_p, defaults.top_p, 1.0);
  const double min_p = first_set(params.min_p, defaults.min_p, 0.0);
  const double repetition = first_set(params.repetition_penalty, defaults.repetition_penalty, 1.0);
  SLUICE_RETURN_IF_ERROR(in_range("temperature", temperature, 0.0, 1000.0));
  SLUICE_RETURN_IF_ERROR(in_range("top_p", top_p, 0.0, 1.0));
  SLUICE_RETURN_IF_ERROR(in_range("min_p", min_p, 0.0, 1.0));
  if (!(repetition > 0 && repetition <= 1000)) {
    return invalid_argument(cat("repetition_penalty must be above 0 and at most 1000, but is ", repetition, "."),
                            "repetition_penalty");
  }
  SLUICE_RETURN_IF_ERROR(in_range("frequency_penalty", params.frequency_penalty, -2.0, 2.0));
  SLUICE_RETURN_IF_ERROR(in_range("presence_penalty", params.presence_penalty, -2.0, 2.0));
  out.temperature = temperature < kGreedyTemperature ? 0 : static_cast<float>(temperature);
  out.top_p = top_p;
  out.top_k = std::max(0, first_set(params.top_k, defaults.top_k, 0));
  out.min_p = static_cast<float>(min_p);
  out.repetition_penalty = static_cast<float>(repetition);
  out.frequency_penalty = static_cast<float>(params.frequency_penalty);
  out.presence_penalty = static_cast<float>(params.presence_penalty);
  return {};
}

Result<void> resolve_end(const api::SamplingParams& params, const api::SamplingParams& defaults,
                         std::span<const TokenId> eos, SamplingSettings& out) {
  if (params.max_tokens < 0) return invalid_argument("max_tokens must not be negative.", "max_tokens");
  if (params.min_tokens < 0) return invalid_argument("min_tokens must not be negative.", "min_tokens");
  if (params.max_tokens > 0 && params.min_tokens > params.max_tokens) {
    return invalid_argument(
        cat("min_tokens (", params.min_tokens, ") must not be above max_tokens (", params.max_tokens, ")."),
        "min_tokens");
  }
  if (params.stop.size() > kStopStringsMax) {
    return invalid_argument(
        cat("At most ", kStopStringsMax, " stop strings are possible, but ", params.stop.size(), " came."), "stop");
  }
  for (const std::string& stop : params.stop) {
    if (stop.empty()) return invalid_argument("A stop string must not be empty.", "stop");
    if (stop.size() > kStopBytesMax)
      return invalid_argument(cat("A stop string may have at most ", kStopBytesMax, " bytes."), "stop");
  }
  out.max_tokens = params.max_tokens;
  if (params.max_tokens == 0 && defaults.max_tokens > 0)
    out.max_tokens = std::max(defaults.max_tokens, params.min_tokens);
  out.min_tokens = params.min_tokens;
  out.stop = params.stop;
  out.end_ids = params.stop_token_ids;
  if (!params.ignore_eos) out.end_ids.insert(out.end_ids.end(), eos.begin(), eos.end());
  std::sort(out.end_ids.begin(), out.end_ids.end());
  out.end_ids.erase(std::unique(out.end_ids.begin(), out.end_ids.end()), out.end_ids.end());
  return {};
}

}  // namespace

bool SamplingSettings::ends(TokenId id) const { return std::binary_search(end_ids.begin(), end_ids.end(), id); }

Result<SamplingSettings> resolve_sampling(const api::SamplingParams& params, const api::SamplingParams& defaults,
                                          std::span<const TokenId> eos, int vocab_size) {
  SamplingSettings out;
  SLUICE_RETURN_IF_ERROR(resolve_distribution(params, defaults, out));
  SLUICE_RETURN_IF_ERROR(resolve_end(params, defaults, eos, out));
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || id >= vocab_size) {
      return invalid_argument(
          cat("logit_bias names token ", id, ", but the model's tokens are 0 to ", vocab_size - 1, "."), "logit_bias");
    }
    SLUICE_RETURN_IF_ERROR(in_range("logit_bias", bias, -100.0, 100.0));
    out.logit_bias.emplace_back(id, static_cast<float>(bias));
  }
  if (params.logprobs) SLUICE_RETURN_IF_ERROR(in_range("logprobs", *params.logprobs, 0, kTopLogprobsMax));
  if (params.prompt_logprobs)
    SLUICE_RETURN_IF_ERROR(in_range("prompt_logprobs", *params.prompt_logprobs, 0, kTopLogprobsMax));
  out.logprobs = params.logprobs;
  out.prompt_logprobs = params.prompt_logprobs;
  out.seed = params.seed;
  out.include_stop = params.include_stop;
  out.skip_special_tokens = params.skip_special_tokens;
  out.shown_tokens = params.shown_tokens;
  return out;
}

}  // namespace sluice::engine
