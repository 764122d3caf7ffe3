// Qwen3 (dense): Qwen2 with RMSNorms over each head of Q and K instead of biases.
// Source: transformers models/qwen3.

#include "base/json.h"
#include "model/qwen.h"
#include "model/registry.h"

namespace sluice::model {
namespace {

Result<void> complete_qwen3(const Json& settings, FileKind, DecoderSpec& spec) {
  SLUICE_TRY(const bool bias, json_bool(settings, "attention_bias", false));
  spec.biases = {.qkv = bias, .o = bias};
  return complete_qwen(settings, spec);
}

}  // namespace

const Architecture& qwen3_architecture() {
  static const Architecture kQwen3 = {
      .name = "qwen3",
      .gguf_name = "qwen3",
      .class_names = {"Qwen3ForCausalLM"},
      .model_types = {"qwen3"},
      .defaults =
          R"({"hidden_act": "silu", "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
                      "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128,
                      "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "use_sliding_window": false,
                      "sliding_window": 4096, "max_window_layers": 28})",
      .settings = {{"attention_bias", "[false, true]"},
                   {"layer_types", ""},
                   {"sliding_window", ""},
                   {"use_sliding_window", ""}},
      .weights = with(llama_weights(),
                      {{Role::kQNorm, "model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"},
                       {Role::kKNorm, "model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"}}),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_qwen3,
  };
  return kQwen3;
}

}  // namespace sluice::model
