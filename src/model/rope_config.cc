#include "model/rope_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/json.h"
#include "base/strings.h"
#include "model/rope.h"

namespace sluice::model {
namespace {

const Json* object_or_null(const Json& settings, std::string_view key) {
  const Json* block = json_find(settings, key);
  return block != nullptr && block->is_object() && !block->empty() ? block : nullptr;
}

// One rope block with what stands beside it.
struct Block {
  const Json& settings;
  const Json& rope;
  bool flat;  // not one of several by layer type
  std::string type;
  double theta;
  int dim;  // of the head, that rotate: odd is rounded up

  Result<double> number(std::string_view key) const {
    const Json* value = json_find(rope, key);
    if (value == nullptr || !value->is_number()) {
      return invalid_argument(cat("rope type '", type, "' needs a number '", key, "' in rope_parameters"),
                              std::string(key));
    }
    return value->get<double>();
  }
  Result<double> positive(std::string_view key) const {
    SLUICE_TRY(const double value, number(key));
    if (!(value > 0))
      return invalid_argument(cat("rope type '", type, "': ", key, " must be above 0"), std::string(key));
    return value;
  }
  bool has(std::string_view key) const {
    const Json* value = json_find(rope, key);
    return value != nullptr && !value->is_null();
  }
  double max_positions() const { return (*json_find(settings, "max_position_embeddings")).get<double>(); }
  // Flat blocks give way to a key beside them (Phi-3 keeps it there).
  Result<double> original_positions() const {
    SLUICE_TRY(const double inside, json_number(rope, "original_max_position_embeddings", max_positions()));
    SLUICE_TRY(const double original,
               flat ? json_number(settings, "original_max_position_embeddings", inside) : Result<double>(inside));
    if (!(original >= 1 && original <= 1 << 28)) {
      return invalid_argument(cat("original_max_position_embeddings must be between 1 and 2^28, not ", original),
                              "original_max_position_embeddings");
    }
    return original;
  }
  // base^(2i/dim), in float as the reference computes it.
  std::vector<float> periods(double base) const {
    std::vector<float> out;
    for (int i = 0; i < dim; i += 2)
      out.push_back(std::pow(static_cast<float>(base), static_cast<float>(i) / static_cast<float>(dim)));
    return out;
  }
};

std::vector<float> inverse(std::vector<float> periods) {
  for (float& period : periods) period = 1.0f / period;
  return periods;
}

Result<void> linear(const Block& block, RopeSpec& rope) {
  SLUICE_TRY(const double factor, block.positive("factor"));
  for (float& frequency : rope.inverse_frequency) frequency /= static_cast<float>(factor);
  return {};
}

Result<void> dynamic(const Block& block, RopeSpec& rope) {
  SLUICE_TRY(const double factor, block.positive("factor"));
  if (block.dim <= 2) return invalid_argument("rope type 'dynamic' needs more than 2 rotating elements");
  if (block.has("alpha"))
    return unimplemented("rope type 'dynamic' with 'alpha' (HunYuan) is not supported; it must be absent");
  rope.original_length = static_cast<int>(block.max_positions());
  rope.dynamic_factor = static_cast<float>(factor);
  rope.theta = static_cast<float>(block.theta);
  rope.exponent_dim = block.dim;
  return {};
}

Result<void> llama3(const Block& block, RopeSpec& rope) {
  SLUICE_TRY(const double factor, block.number("factor"));
  SLUICE_TRY(const double low, block.number("low_freq_factor"));
  SLUICE_TRY(const double high, block.number("high_freq_factor"));
  SLUICE_TRY(const double original, block.original_positions());
  if (factor <= 0 || low <= 0 || high <= low) {
    return invalid_argument("rope type 'llama3': factor and low_freq_factor < high_freq_factor must be positive");
  }
  for (float& frequency : rope.inverse_frequency) {
    const auto wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
    if (wavelength < original / high) continue;
    if (wavelength > original / low) {
      frequency = static_cast<float>(frequency / factor);
    } else {
      const double smooth = (original / wavelength - low) / (high - low);
      frequency = static_cast<float>((1 - smooth) * frequency / factor + smooth * frequency);
    }
  }
  return {};
}

Result<double> yarn_magnitude(const Block& block, double factor) {
  if (block.has("attention_factor")) return block.number("attention_factor");
  SLUICE_TRY(const double mscale, json_number(block.rope, "mscale", 0));
  SLUICE_TRY(const double mscale_all_dim, json_number(block.rope, "mscale_all_dim", 0));
  const auto scale = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1.0; };
  return mscale != 0 && mscale_all_dim != 0 ? scale(mscale) / scale(mscale_all_dim) : scale(1);
}

Result<void> yarn(const Block& block, RopeSpec& rope) {
  SLUICE_TRY(const double original, block.original_positions());
  SLUICE_TRY(const double factor,
             block.has("factor") ? block.positive("factor") : Result<double>(block.max_positions() / original));
  SLUICE_TRY(const double magnitude, yarn_magnitude(block, factor));
  SLUICE_TRY(double beta_fast, json_number(block.rope, "beta_fast", 32));
  SLUICE_TRY(double beta_slow, json_number(block.rope, "beta_slow", 1));
  if (beta_fast == 0) beta_fast = 32;
  if (beta_slow == 0) beta_slow = 1;
  // The reference looks for it beside the blocks when there are several.
  const Json* beside = object_or_null(block.settings, "rope_parameters");
  SLUICE_TRY(const bool truncate, block.flat          ? json_bool(block.rope, "truncate", true)
                                  : beside != nullptr ? json_bool(*beside, "truncate", true)
                                                      : Result<bool>(true));
  if (!(beta_fast > 0 && beta_slow > 0 && block.theta > 1))
    return invalid_argument("rope type 'yarn': beta_fast and beta_slow must be above 0 and rope_theta above 1");

  const double dim = block.dim;
  const auto correction = [&](double rotations) {
    return dim * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(block.theta));
  };
  double low = correction(beta_fast), high = correction(beta_slow);
  if (truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;

  const std::vector<float> periods = block.periods(block.theta);
  for (size_t i = 0; i < periods.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double interpolated = 1.0 / (factor * static_cast<double>(periods[i]));
    const double extrapolated = 1.0 / static_cast<double>(periods[i]);
    rope.inverse_frequency[i] = static_cast<float>(interpolated * ramp + extrapolated * (1 - ramp));
  }
  rope.magnitude = static_cast<float>(magnitude);
  return {};
}

Result<std::vector<float>> factors(const Block& block, const char* key) {
  const Json* list = json_find(block.rope, key);
  const auto expected = static_cast<size_t>((block.dim + 1) / 2);
  if (list == nullptr || !list->is_array() || list->size() != expected) {
    return invalid_argument(cat("rope type 'longrope' needs '", key, "', a list of ", expected,
                                " numbers, one for every pair that rotates"),
                            key);
  }
  std::vector<float> out;
  for (const Json& factor : *list) {
    if (!factor.is_number() || !(factor.get<double>() > 0))
      return invalid_argument(cat("rope type 'longrope': ", key, " must hold numbers above 0"), key);
    out.push_back(factor.get<float>());
  }
  return out;
}

Result<void> longrope(const Block& block, RopeSpec& rope) {
  SLUICE_TRY(const std::vector<float> short_factors, factors(block, "short_factor"));
  SLUICE_TRY(const std::vector<float> long_factors, factors(block, "long_factor"));
  SLUICE_TRY(const double original, block.original_positions());
  SLUICE_TRY(const double factor,
             block.has("factor") ? block.positive("factor") : Result<double>(block.max_positions() / original));
  double magnitude = factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original));
  if (block.has("attention_factor")) {
    SLUICE_TRY(magnitude, block.number("attention_factor"));
  }
  if (!std::isfinite(magnitude))
    return invalid_argument("rope type 'longrope': original_max_position_embeddings must be above 1");
  rope.magnitude = static_cast<float>(magnitude);
  rope.original_length = static_cast<int>(original);
  const std::vector<float> periods = block.periods(block.theta);
  for (size_t i = 0; i < periods.size(); ++i) {
    rope.inverse_frequency[i] = 1.0f / (short_factors[i] * periods[i]);
    rope.long_inverse_frequency.push_back(1.0f / (long_factors[i] * periods[i]));
  }
  return {};
}

Result<void> scale(const Block& block, RopeSpec& rope) {
  if (block.type == "default") return {};
  if (block.type == "linear") return linear(block, rope);
  if (block.type == "dynamic") return dynamic(block, rope);
  if (block.type == "llama3") return llama3(block, rope);
  if (block.type == "yarn") return yarn(block, rope);
  if (block.type == "longrope") return longrope(block, rope);
  return Error{ErrorCode::kUnimplemented,
               cat("config.json: rope type '", block.type,
                   "' is not supported; known are default, linear, dynamic, llama3, yarn, longrope"),
               "rope_type",
               {}};
}

// Factors per frequency that a file gives outright (GGUF rope_freqs.weight, from gguf_config.h).
Result<void> divide_by_factors(const Json& block, RopeSpec& rope) {
  const Json* factors = json_find(block, "frequency_factors");
  if (factors == nullptr) return {};
  if (!factors->is_array() || factors->size() != rope.inverse_frequency.size())
    return corrupt_data(cat("rope_freqs.weight must have ", rope.inverse_frequency.size(), " elements"));
  for (size_t i = 0; i < factors->size(); ++i) rope.inverse_frequency[i] /= (*factors)[i].get<float>();
  return {};
}

Result<RopeSpec> make_rope(const Json& settings, const Json& rope_block, const RopeStyle& style, bool flat) {
  if (const Json* sections = json_find(rope_block, "mrope_section"); sections != nullptr && !sections->is_null())
    return Error{ErrorCode::kUnimplemented, "config.json: 'mrope_section' is not supported", "mrope_section", {}};
  SLUICE_TRY(const double theta_outside, json_number(settings, "rope_theta", 10000.0));
  SLUICE_TRY(const double theta, json_number(rope_block, "rope_theta", theta_outside));
  SLUICE_TRY(const std::string old_type, json_string(rope_block, "type", "default"));
  SLUICE_TRY(std::string type, json_string(rope_block, "rope_type", old_type));
  SLUICE_TRY(const double partial_outside, json_number(settings, "partial_rotary_factor", 1.0));
  SLUICE_TRY(const double partial, json_number(rope_block, "partial_rotary_factor", partial_outside));
  if (!(theta > 0)) return invalid_argument(cat("rope_theta must be positive, not ", theta), "rope_theta");
  if (!(partial > 0 && partial <= 1)) {
    return invalid_argument(cat("partial_rotary_factor must be in (0, 1], not ", partial), "partial_rotary_factor");
  }
  if (partial != 1 && !style.partial) {
    return Error{
        ErrorCode::kUnimplemented,
        cat("config.json: 'partial_rotary_factor' is ", partial, ", but this family rotates whole heads; supported: 1"),
        "partial_rotary_factor",
        {}};
  }
  // GGUF files count the elements (gguf_config.cc), configs give their share.
  SLUICE_TRY(const int64_t dim,
             json_int(rope_block, "dimension_count", static_cast<int64_t>(style.head_dim * partial)));
  const Block block{settings, rope_block, flat, std::move(type), theta, static_cast<int>(dim)};
  if (dim < 1 || dim > style.head_dim)
    return invalid_argument(cat("of a head of ", style.head_dim, " elements ", dim, " cannot rotate"),
                            "partial_rotary_factor");
  RopeSpec rope{.rotary_dim = (block.dim + 1) / 2 * 2, .interleaved = style.interleaved};
  rope.inverse_frequency = inverse(block.periods(theta));
  SLUICE_RETURN_IF_ERROR(scale(block, rope));
  SLUICE_RETURN_IF_ERROR(divide_by_factors(rope_block, rope));
  return rope;
}

}  // namespace

Result<RopeSpec> rope_from_settings(const Json& settings, const RopeStyle& style) {
  static const Json kNone = Json::object();
  const Json* block = object_or_null(settings, "rope_scaling");
  if (block == nullptr) block = object_or_null(settings, "rope_parameters");
  if (block == nullptr) block = &kNone;
  for (const char* key : {"full_attention", "sliding_attention"}) {
    if (json_find(*block, key) != nullptr) {
      return Error{ErrorCode::kUnimplemented,
                   cat("config.json: rope parameters by layer type ('", key, "') are not supported for this family"),
                   "rope_parameters",
                   {}};
    }
  }
  return make_rope(settings, *block, style, true);
}

Result<RopeSpec> rope_from_block(const Json& settings, const Json& block, const RopeStyle& style) {
  return make_rope(settings, block, style, false);
}

int rope_context_max(const Json& settings, const DecoderSpec& spec) {
  double most = spec.context_max;
  for (const RopeSpec& rope : spec.ropes) {
    if (rope.dynamic_factor > 0) most = std::max(most, static_cast<double>(spec.context_max) * rope.dynamic_factor);
  }
  const Json* block = object_or_null(settings, "rope_scaling");
  if (block == nullptr) block = object_or_null(settings, "rope_parameters");
  if (block != nullptr) {
    const auto number = [&](const char* key) {
      const Json* value = json_find(*block, key);
      return value != nullptr && value->is_number() ? value->get<double>() : 0.0;
    };
    const auto is_yarn = [&](const char* key) {
      const Json* value = json_find(*block, key);
      return value != nullptr && *value == "yarn";
    };
    if (is_yarn("rope_type") || is_yarn("type")) {
      const double original = number("original_max_position_embeddings");
      most = std::max(most, number("factor") * (original > 0 ? original : spec.context_max));
    }
  }
  return static_cast<int>(std::min(most, static_cast<double>(1 << 28)));
}

}  // namespace sluice::model
