#include "model/rope.h"

#include <cmath>
#include <numbers>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::model {
namespace {

// Where a config keeps rope settings: the newer block, the older one, or null.
const Json* rope_block(const Json& config) {
  const Json* block = json_find(config, "rope_parameters");
  if (block == nullptr || block->is_null()) block = json_find(config, "rope_scaling");
  return block != nullptr && block->is_object() ? block : nullptr;
}

Result<double> required_number(const Json& block, std::string_view key, std::string_view type) {
  const Json* value = json_find(block, key);
  if (value == nullptr || !value->is_number()) {
    return invalid_argument(cat("rope type '", type, "' needs a number '", key, "' in rope_parameters"),
                            std::string(key));
  }
  return value->get<double>();
}

Result<void> apply_llama3(const Json& block, std::vector<float>& frequencies) {
  SLUICE_TRY(const double factor, required_number(block, "factor", "llama3"));
  SLUICE_TRY(const double low, required_number(block, "low_freq_factor", "llama3"));
  SLUICE_TRY(const double high, required_number(block, "high_freq_factor", "llama3"));
  SLUICE_TRY(const double original, required_number(block, "original_max_position_embeddings", "llama3"));
  if (factor <= 0 || low <= 0 || high <= low || original <= 0) {
    return invalid_argument(
        "rope type 'llama3': factor, low_freq_factor < high_freq_factor and "
        "original_max_position_embeddings must be positive");
  }
  for (float& frequency : frequencies) {
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

}  // namespace

Result<double> partial_rotary_factor(const Json& config, double fallback) {
  if (const Json* block = rope_block(config);
      block != nullptr && json_find(*block, "partial_rotary_factor") != nullptr) {
    return json_number(*block, "partial_rotary_factor", fallback);
  }
  return json_number(config, "partial_rotary_factor", fallback);
}

Result<RopeSpec> rope_from_config(const Json& config, int rotary_dim, bool interleaved) {
  static const Json kNone = Json::object();
  const Json* found = rope_block(config);
  const Json& block = found != nullptr ? *found : kNone;
  SLUICE_TRY(const double theta_outside, json_number(config, "rope_theta", 10000.0));
  SLUICE_TRY(const double theta, json_number(block, "rope_theta", theta_outside));
  SLUICE_TRY(const std::string old_type, json_string(block, "type", "default"));
  SLUICE_TRY(const std::string type, json_string(block, "rope_type", old_type));
  if (rotary_dim <= 0 || rotary_dim % 2 != 0) {
    return invalid_argument(cat("the rotary part of a head must be an even number of elements, not ", rotary_dim));
  }
  if (!(theta > 0)) return invalid_argument(cat("rope_theta must be positive, not ", theta), "rope_theta");

  RopeSpec rope{.rotary_dim = rotary_dim, .interleaved = interleaved};
  for (int i = 0; i < rotary_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rotary_dim);
    rope.inverse_frequency.push_back(1.0f / std::pow(static_cast<float>(theta), exponent));
  }
  if (type == "linear") {
    SLUICE_TRY(const double factor, required_number(block, "factor", type));
    if (!(factor > 0)) return invalid_argument("rope factor must be positive", "factor");
    for (float& frequency : rope.inverse_frequency) frequency = static_cast<float>(frequency / factor);
  } else if (type == "llama3") {
    SLUICE_RETURN_IF_ERROR(apply_llama3(block, rope.inverse_frequency));
  } else if (type != "default") {
    return unimplemented(cat("rope type '", type, "' is not supported; known are default, linear, llama3"));
  }
  // Factors per frequency that a file gives outright (GGUF rope_freqs.weight, from gguf_config.h).
  if (const Json* factors = json_find(block, "frequency_factors"); factors != nullptr) {
    if (!factors->is_array() || factors->size() != rope.inverse_frequency.size()) {
      return corrupt_data(cat("rope_freqs.weight must have ", rope.inverse_frequency.size(), " elements"));
    }
    for (size_t i = 0; i < factors->size(); ++i) rope.inverse_frequency[i] /= (*factors)[i].get<float>();
  }
  return rope;
}

void fill_rope_tables(const RopeSpec& rope, std::span<const int32_t> positions, float* cos, float* sin) {
  for (const int32_t position : positions) {
    for (const float frequency : rope.inverse_frequency) {
      const float angle = static_cast<float>(position) * frequency;  // rounded to float as the reference does
      *cos++ = static_cast<float>(std::cos(static_cast<double>(angle))) * rope.magnitude;
      *sin++ = static_cast<float>(std::sin(static_cast<double>(angle))) * rope.magnitude;
    }
  }
}

}  // namespace sluice::model
