// Mistral: a Llama without biases, with a sliding window in v0.1 and a head_dim of its own in Nemo.
// Source: transformers models/mistral. GGUF files of it are called "llama" (llama.cc).

#include "base/json.h"
#include "model/registry.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {
namespace {

Result<void> complete_mistral(const Json& settings, FileKind, DecoderSpec& spec) {
  SLUICE_TRY(const int window, window_from(settings));
  set_one_window(spec, window);
  SLUICE_TRY(RopeSpec rope, rope_from_settings(settings, {.head_dim = spec.head_dim}));
  spec.ropes = {std::move(rope)};
  return {};
}

}  // namespace

const Architecture& mistral_architecture() {
  static const Architecture kMistral = {
      .name = "mistral",
      .gguf_name = {},
      .class_names = {"MistralForCausalLM"},
      .model_types = {"mistral"},
      .defaults =
          R"({"hidden_act": "silu", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                      "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
                      "rms_norm_eps": 1e-6, "sliding_window": 4096})",
      .settings = {{"sliding_window", ""}},
      .weights = llama_weights(),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_mistral,
  };
  return kMistral;
}

}  // namespace sluice::model
