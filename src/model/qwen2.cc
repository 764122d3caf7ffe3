// Qwen2 and Qwen2.5: a Llama with biases on Q K V, and in some of the larger models a sliding window in the last
// layers. Source: transformers models/qwen2.

#include <algorithm>

#include "base/json.h"
#include "model/qwen.h"
#include "model/registry.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {

Result<void> complete_qwen(const Json& settings, DecoderSpec& spec) {
  SLUICE_TRY(const bool windowed, json_bool(settings, "use_sliding_window", false));
  int window = 0;
  if (windowed) {
    SLUICE_TRY(window, window_from(settings));
  }
  SLUICE_TRY(std::optional<std::vector<LayerType>> types, layer_types_from(settings, spec.layers));
  if (!types) {
    SLUICE_TRY(const int64_t full_layers, json_int(settings, "max_window_layers", 28));
    types.emplace(static_cast<size_t>(spec.layers), LayerType::kFull);
    const auto first = static_cast<size_t>(std::clamp<int64_t>(full_layers, 0, spec.layers));
    if (window > 0) std::fill(types->begin() + static_cast<long>(first), types->end(), LayerType::kSliding);
  }
  SLUICE_RETURN_IF_ERROR(set_layer_kinds(spec, *types, window));
  SLUICE_TRY(RopeSpec rope, rope_from_settings(settings, {.head_dim = spec.head_dim}));
  spec.ropes = {std::move(rope)};
  return {};
}

namespace {

Result<void> complete_qwen2(const Json& settings, FileKind, DecoderSpec& spec) {
  spec.biases = {.qkv = true};
  return complete_qwen(settings, spec);
}

}  // namespace

const Architecture& qwen2_architecture() {
  static const Architecture kQwen2 = {
      .name = "qwen2",
      .gguf_name = "qwen2",
      .class_names = {"Qwen2ForCausalLM"},
      .model_types = {"qwen2"},
      .defaults =
          R"({"hidden_act": "silu", "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
                      "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 32768,
                      "rms_norm_eps": 1e-6, "use_sliding_window": false, "sliding_window": 4096,
                      "max_window_layers": 28})",
      // attention_bias has no say: Q K V always have biases, O never.
      .settings = {{"attention_bias", ""}, {"layer_types", ""}, {"sliding_window", ""}, {"use_sliding_window", ""}},
      .weights = llama_weights(),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_qwen2,
  };
  return kQwen2;
}

}  // namespace sluice::model
