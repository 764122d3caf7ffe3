#pragma once
// What GLM-4-9B and GLM-4-0414 have in common.

#include "model/decoder_spec.h"

namespace sluice::model {

// transformers' defaults of GlmConfig and Glm4Config.
constexpr std::string_view kGlmDefaults =
    R"({"hidden_act": "silu", "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "max_position_embeddings": 131072,
        "rms_norm_eps": 1.5625e-07, "attention_bias": true, "partial_rotary_factor": 0.5})";

// Biases on Q K V; rotary embedding over neighbouring pairs of a part of each head.
Result<void> complete_glm(const Json& settings, FileKind kind, DecoderSpec& spec);

}  // namespace sluice::model
