#include "model/rope.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sluice::model {
namespace {

// transformers' _compute_dynamic_ntk_parameters for a pass of `length` > original_length tokens, in its float32.
void dynamic_frequencies(const RopeSpec& rope, int length, std::vector<float>& out) {
  const auto original = static_cast<float>(rope.original_length);
  const float stretch = rope.dynamic_factor * static_cast<float>(length) / original - (rope.dynamic_factor - 1.0f);
  const auto d = static_cast<float>(rope.exponent_dim);
  const float base = rope.theta * std::pow(stretch, d / (d - 2.0f));
  for (size_t i = 0; i < out.size(); ++i) out[i] = 1.0f / std::pow(base, static_cast<float>(2 * i) / d);
}

}  // namespace

void fill_rope_tables(const RopeSpec& rope, std::span<const int32_t> positions, std::span<const int32_t> lengths,
                      float* cos, float* sin) {
  SLUICE_CHECK(!rope.depends_on_length() || lengths.size() == positions.size());
  std::vector<float> dynamic;
  int dynamic_length = 0;
  for (size_t row = 0; row < positions.size(); ++row) {
    const std::vector<float>* frequencies = &rope.inverse_frequency;
    if (rope.depends_on_length() && lengths[row] > rope.original_length) {
      if (rope.dynamic_factor > 0) {
        if (lengths[row] != dynamic_length) {
          dynamic_length = lengths[row];
          dynamic.resize(rope.inverse_frequency.size());
          dynamic_frequencies(rope, dynamic_length, dynamic);
        }
        frequencies = &dynamic;
      } else {
        frequencies = &rope.long_inverse_frequency;
      }
    }
    for (const float frequency : *frequencies) {
      const float angle = static_cast<float>(positions[row]) * frequency;  // rounded to float as the reference does
      *cos++ = static_cast<float>(std::cos(static_cast<double>(angle))) * rope.magnitude;
      *sin++ = static_cast<float>(std::sin(static_cast<double>(angle))) * rope.magnitude;
    }
  }
}

CacheRegime rope_cache_regime(std::span<const RopeSpec> ropes, int pass_tokens) {
  CacheRegime regime;
  int64_t bit = 1;
  bool dynamic = false;
  for (const RopeSpec& rope : ropes) {
    if (!rope.depends_on_length()) continue;
    if (pass_tokens <= rope.original_length) {
      regime.shared_tokens = std::min(regime.shared_tokens, rope.original_length);
      if (rope.restarts) regime.tokens_max = std::min(regime.tokens_max, rope.original_length);
    } else if (rope.dynamic_factor > 0) {
      // Every length has a base of its own.
      dynamic = true;
      regime.shared_tokens = std::min(regime.shared_tokens, pass_tokens);
    } else {
      regime.id -= bit;
    }
    bit *= 2;
  }
  if (dynamic) regime.id = pass_tokens;
  return regime;
}

}  // namespace sluice::model
