#pragma once
// The cos/sin tables of a step, and which cached tokens were rotated alike.

#include <span>

#include "model/decoder_spec.h"
#include "model/language_model.h"

namespace sluice::model {

// cos, sin: [positions, rotary_dim/2]. lengths[i]: the length of the pass that computes row i
// (StepBatch::rope_lengths).
void fill_rope_tables(const RopeSpec& rope, std::span<const int32_t> positions, std::span<const int32_t> lengths,
                      float* cos, float* sin);

// LanguageModel::cache_regime of a model with these ropes.
CacheRegime rope_cache_regime(std::span<const RopeSpec> ropes, int pass_tokens);

}  // namespace sluice::model
