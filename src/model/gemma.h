#pragma once
// What Gemma 2 and 3 have in common.

#include <vector>

#include "model/decoder_spec.h"

namespace sluice::model {

// Four norms a layer whose weights are stored as w − 1 (GGUF: as w), embeddings times √hidden, GELU, a scale of the
// scores of its own, and a softcap of the logits.
Result<void> complete_gemma(const Json& settings, FileKind kind, DecoderSpec& spec);
std::vector<WeightName> gemma_weights();
// Layers slide but for every `period`th; period 1: none slides.
Result<void> set_gemma_windows(const Json& settings, int64_t period, DecoderSpec& spec);

}  // namespace sluice::model
