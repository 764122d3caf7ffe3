#pragma once
// What Qwen2 and Qwen3 have in common.

#include "model/decoder_spec.h"

namespace sluice::model {

// Windows from use_sliding_window, sliding_window and layer_types, or max_window_layers when there are none; and the
// rope, over the whole head.
Result<void> complete_qwen(const Json& settings, DecoderSpec& spec);

}  // namespace sluice::model
