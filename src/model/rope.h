#pragma once
// Inverse frequencies of every rope type, and the cos/sin tables of a step.

#include <span>

#include "base/json_fwd.h"
#include "model/decoder_spec.h"

namespace sluice::model {

// The rope block of a config in either spelling: rope_parameters {rope_theta, rope_type, …} (transformers 5) or
// rope_theta with rope_scaling {type | rope_type, factor, …} (before). `rotary_dim` elements of a head rotate.
// Types default, linear, llama3. An unknown type is kUnimplemented and names it; a missing factor is kInvalidArgument.
// Source of the formulas: transformers modeling_rope_utils.py; llama3: Llama 3.1's apply_scaling.
Result<RopeSpec> rope_from_config(const Json& config, int rotary_dim, bool interleaved);
// `partial_rotary_factor` of a config in either spelling, or `fallback`.
Result<double> partial_rotary_factor(const Json& config, double fallback);

// cos, sin: [positions, rotary_dim/2]
void fill_rope_tables(const RopeSpec& rope, std::span<const int32_t> positions, float* cos, float* sin);

}  // namespace sluice::model
