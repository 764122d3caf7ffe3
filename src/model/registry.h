#pragma once
// The list of architectures. A new one is a file like llama.cc, a line here and a line in registry.cc.

#include "model/decoder_spec.h"

namespace sluice::model {

const Architecture& llama_architecture();
const Architecture& mistral_architecture();
const Architecture& qwen2_architecture();
const Architecture& qwen3_architecture();
const Architecture& glm_architecture();
const Architecture& glm4_architecture();
const Architecture& gemma2_architecture();
const Architecture& gemma3_architecture();
const Architecture& phi3_architecture();

}  // namespace sluice::model
