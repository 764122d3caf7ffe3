// Llama 2 and 3.x: pre-norm, SwiGLU, grouped-query attention, rotary embedding over the whole head.
// Source: transformers models/llama; in GGUF files the rows of Q and K are permuted so that rotary pairs are
// neighbours. GGUF also calls Mistral "llama".

#include "base/json.h"
#include "model/registry.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {
namespace {

Result<void> complete_llama(const Json& settings, FileKind kind, DecoderSpec& spec) {
  const bool gguf = kind == FileKind::kGguf;
  SLUICE_TRY(const bool attention_bias, json_bool(settings, "attention_bias", false));
  SLUICE_TRY(const bool mlp_bias, json_bool(settings, "mlp_bias", false));
  spec.biases = {.qkv = attention_bias, .o = attention_bias, .mlp = mlp_bias};
  SLUICE_TRY(const int window, window_from(settings));
  if (window > 0 && !gguf) {
    return Error{ErrorCode::kUnimplemented,
                 "config.json: 'sliding_window' has no meaning for llama; a Mistral is model_type mistral",
                 "sliding_window",
                 {}};
  }
  set_one_window(spec, window);
  SLUICE_TRY(RopeSpec rope, rope_from_settings(settings, {.head_dim = spec.head_dim, .interleaved = gguf}));
  spec.ropes = {std::move(rope)};
  return {};
}

}  // namespace

const Architecture& llama_architecture() {
  static const Architecture kLlama = {
      .name = "llama",
      .gguf_name = "llama",
      .class_names = {"LlamaForCausalLM", "LLaMAForCausalLM"},
      .model_types = {"llama"},
      .defaults =
          R"({"hidden_act": "silu", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
                      "num_attention_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6})",
      .settings = {{"attention_bias", "[false, true]"}, {"mlp_bias", "[false, true]"}, {"sliding_window", ""}},
      .weights = llama_weights(),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_llama,
  };
  return kLlama;
}

}  // namespace sluice::model
