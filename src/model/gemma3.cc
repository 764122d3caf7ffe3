// Gemma 3, the text model: Gemma 2 with norms of Q and K instead of a softcap on the scores, five sliding layers to one
// that sees all, and a rope for either kind. The vision half of a multimodal checkpoint is not loaded.
// Source: transformers models/gemma3.

#include "base/json.h"
#include "base/strings.h"
#include "model/gemma.h"
#include "model/registry.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {
namespace {

// Gemma3TextConfig.convert_rope_params_to_dict: a block per layer type; rope_scaling speaks of the full layers.
Result<Json> rope_block(const Json& settings, const char* layer_type, const char* theta_key, double theta_default) {
  Json block = Json::object();
  const Json* parameters = json_find(settings, "rope_parameters");
  if (parameters != nullptr && parameters->is_object()) {
    if (const Json* own = json_find(*parameters, layer_type); own != nullptr && own->is_object()) block = *own;
  }
  const Json* scaling = json_find(settings, "rope_scaling");
  if (scaling != nullptr && scaling->is_object() && std::string_view(layer_type) == "full_attention") {
    for (const auto& [key, value] : scaling->items()) block[key] = value;
  }
  if (!block.contains("rope_theta")) {
    SLUICE_TRY(block["rope_theta"], json_number(settings, theta_key, theta_default));
  }
  return block;
}

Result<void> complete_gemma3(const Json& settings, FileKind kind, DecoderSpec& spec) {
  SLUICE_RETURN_IF_ERROR(complete_gemma(settings, kind, spec));
  // Gemma3ForConditionalGeneration leaves the softcap out.
  if (json_find(settings, kMultimodal) != nullptr) spec.final_softcap = 0;
  SLUICE_TRY(const int64_t period, json_int(settings, "sliding_window_pattern", 6));
  SLUICE_RETURN_IF_ERROR(set_gemma_windows(settings, period, spec));
  const RopeStyle style{.head_dim = spec.head_dim};
  SLUICE_TRY(const Json global, rope_block(settings, "full_attention", "rope_theta", 1e6));
  SLUICE_TRY(const Json local, rope_block(settings, "sliding_attention", "rope_local_base_freq", 1e4));
  SLUICE_TRY(RopeSpec global_rope, rope_from_block(settings, global, style));
  SLUICE_TRY(RopeSpec local_rope, rope_from_block(settings, local, style));
  spec.ropes = {std::move(global_rope), std::move(local_rope)};
  for (LayerKind& layer : spec.layer_kinds) layer.rope = layer.window > 0 ? 1 : 0;
  return {};
}

}  // namespace

const Architecture& gemma3_architecture() {
  static const Architecture kGemma3 = {
      .name = "gemma3",
      .gguf_name = "gemma3",
      .class_names = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"},
      .model_types = {"gemma3_text", "gemma3"},
      .defaults = R"({"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
                      "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
                      "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072,
                      "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "query_pre_attn_scalar": 256,
                      "sliding_window": 4096})",
      .activation_key = "hidden_activation",
      .rope_by_layer_type = true,
      .settings = {{"attention_bias", "[false, true]"},
                   {"final_logit_softcapping", ""},
                   {"layer_types", ""},
                   {"query_pre_attn_scalar", ""},
                   {"rope_local_base_freq", ""},
                   {"sliding_window", ""}},
      .weights = with(gemma_weights(),
                      {{Role::kQNorm, "model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"},
                       {Role::kKNorm, "model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"}}),
      .other_prefixes = {"language_model.model.", "model.language_model."},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.",
                           "model.multi_modal_projector."},
      .complete = complete_gemma3,
  };
  return kGemma3;
}

}  // namespace sluice::model
