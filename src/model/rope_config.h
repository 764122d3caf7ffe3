#pragma once
// Rope settings of a config → RopeSpec. Source of all formulas: transformers modeling_rope_utils.py.

#include <string_view>

#include "base/json_fwd.h"
#include "model/decoder_spec.h"

namespace sluice::model {

// How a family rotates, whatever its config says.
struct RopeStyle {
  int head_dim = 0;
  bool interleaved = false;
  bool partial = false;  // partial_rotary_factor may be below 1
};

// The rope block of a config in either spelling: rope_parameters {rope_theta, rope_type, …} (transformers 5) or
// rope_theta with rope_scaling {type | rope_type, factor, …} (before; it wins when both are there).
// Types default, linear, dynamic, llama3, yarn, longrope. Another type, or blocks by layer type, are kUnimplemented and
// named; a missing factor is kInvalidArgument.
Result<RopeSpec> rope_from_settings(const Json& settings, const RopeStyle& style);
// The same from a block whose rope_theta is given, for families that keep one per layer type.
Result<RopeSpec> rope_from_block(const Json& settings, const Json& block, const RopeStyle& style);

// Positions a model was made for: its max_position_embeddings, and what a scaled rope adds where configs do not count
// it in (dynamic, yarn).
int rope_context_max(const Json& settings, const DecoderSpec& spec);

}  // namespace sluice::model
