// Gemma 2: softcaps on scores and logits, alternating windows. Source: transformers models/gemma2.

#include <cmath>

#include "base/json.h"
#include "base/strings.h"
#include "model/gemma.h"
#include "model/registry.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {

Result<void> complete_gemma(const Json& settings, FileKind kind, DecoderSpec& spec) {
  spec.norm_offset = kind == FileKind::kGguf ? 0 : 1;
  spec.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(spec.hidden_size)));
  SLUICE_TRY(const bool bias, json_bool(settings, "attention_bias", false));
  spec.biases = {.qkv = bias, .o = bias};
  SLUICE_TRY(const float scalar, positive_or_none(settings, "query_pre_attn_scalar"));
  if (scalar > 0) spec.attention_scale = 1.0f / std::sqrt(scalar);
  SLUICE_TRY(spec.final_softcap, positive_or_none(settings, "final_logit_softcapping"));
  return {};
}

std::vector<WeightName> gemma_weights() {
  return with(
      without(llama_weights(), {Role::kGateBias, Role::kUpBias, Role::kDownBias}),
      {{Role::kAttentionPostNorm, "model.layers.{}.post_attention_layernorm.weight",
        "blk.{}.post_attention_norm.weight"},
       {Role::kMlpNorm, "model.layers.{}.pre_feedforward_layernorm.weight", "blk.{}.ffn_norm.weight"},
       {Role::kMlpPostNorm, "model.layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight"}});
}

Result<void> set_gemma_windows(const Json& settings, int64_t period, DecoderSpec& spec) {
  SLUICE_TRY(const int window, window_from(settings));
  SLUICE_TRY(std::optional<std::vector<LayerType>> types, layer_types_from(settings, spec.layers));
  if (!types) {
    if (period < 1)
      return invalid_argument(cat("config.json: sliding_window_pattern must be above 0, not ", period),
                              "sliding_window_pattern");
    types.emplace();
    for (int layer = 0; layer < spec.layers; ++layer)
      types->push_back((layer + 1) % period != 0 ? LayerType::kSliding : LayerType::kFull);
  }
  return set_layer_kinds(spec, *types, window);
}

namespace {

Result<void> complete_gemma2(const Json& settings, FileKind kind, DecoderSpec& spec) {
  SLUICE_RETURN_IF_ERROR(complete_gemma(settings, kind, spec));
  SLUICE_TRY(spec.attention_softcap, positive_or_none(settings, "attn_logit_softcapping"));
  SLUICE_RETURN_IF_ERROR(set_gemma_windows(settings, 2, spec));
  SLUICE_TRY(RopeSpec rope, rope_from_settings(settings, {.head_dim = spec.head_dim}));
  spec.ropes = {std::move(rope)};
  return {};
}

}  // namespace

const Architecture& gemma2_architecture() {
  static const Architecture kGemma2 = {
      .name = "gemma2",
      .gguf_name = "gemma2",
      .class_names = {"Gemma2ForCausalLM"},
      .model_types = {"gemma2"},
      .defaults = R"({"vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
                      "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
                      "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 8192, "rms_norm_eps": 1e-6,
                      "tie_word_embeddings": true, "query_pre_attn_scalar": 256, "sliding_window": 4096,
                      "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0})",
      .activation_key = "hidden_activation",
      .settings = {{"attention_bias", "[false, true]"},
                   {"attn_logit_softcapping", ""},
                   {"final_logit_softcapping", ""},
                   {"layer_types", ""},
                   {"query_pre_attn_scalar", ""},
                   {"sliding_window", ""}},
      .weights = gemma_weights(),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_gemma2,
  };
  return kGemma2;
}

}  // namespace sluice::model
