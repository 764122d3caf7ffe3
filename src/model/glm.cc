// GLM-4-9B: pre-norm, biases on Q K V, rotary embedding over neighbouring pairs of the first half of each head, fused
// gate_up. Source: transformers models/glm. Its first files came with code of their own, as chatglm, with other names
// and Q K V fused (transformers models/glm/convert_glm_weights_to_hf.py); llama.cpp's converter calls it chatglm too
// and, made from those files, keeps Q K V fused.

#include "model/glm.h"

#include "base/json.h"
#include "model/chatglm.h"
#include "model/registry.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {

Result<void> complete_glm(const Json& settings, FileKind, DecoderSpec& spec) {
  SLUICE_TRY(const bool bias, json_bool(settings, "attention_bias", true));
  spec.biases = {.qkv = bias};
  SLUICE_TRY(RopeSpec rope,
             rope_from_settings(settings, {.head_dim = spec.head_dim, .interleaved = true, .partial = true}));
  spec.ropes = {std::move(rope)};
  return {};
}

namespace {

// Llama's names changed to GLM's, with those of the first files beside them.
std::vector<WeightName> glm_weights() {
  std::vector<WeightName> names = with(with_fused_gate_up(llama_weights()),
                                       {{Role::kQkv, "", "blk.{}.attn_qkv.weight",
                                         "transformer.encoder.layers.{}.self_attention.query_key_value.weight"},
                                        {Role::kQkvBias, "", "blk.{}.attn_qkv.bias",
                                         "transformer.encoder.layers.{}.self_attention.query_key_value.bias"}});
  constexpr std::pair<Role, std::string_view> kOwnCode[] = {
      {Role::kEmbedding, "transformer.embedding.word_embeddings.weight"},
      {Role::kFinalNorm, "transformer.encoder.final_layernorm.weight"},
      {Role::kHead, "transformer.output_layer.weight"},
      {Role::kAttentionNorm, "transformer.encoder.layers.{}.input_layernorm.weight"},
      {Role::kO, "transformer.encoder.layers.{}.self_attention.dense.weight"},
      {Role::kMlpNorm, "transformer.encoder.layers.{}.post_attention_layernorm.weight"},
      {Role::kGateUp, "transformer.encoder.layers.{}.mlp.dense_h_to_4h.weight"},
      {Role::kDown, "transformer.encoder.layers.{}.mlp.dense_4h_to_h.weight"}};
  for (WeightName& name : names) {
    for (const auto& [role, text] : kOwnCode) {
      if (name.role == role) name.own_code = text;
    }
  }
  return names;
}

}  // namespace

const Architecture& glm_architecture() {
  static const Architecture kGlm = {
      .name = "glm",
      .gguf_name = "chatglm",
      .class_names = {"GlmForCausalLM", "ChatGLMModel", "ChatGLMForConditionalGeneration"},
      .model_types = {"glm", "chatglm"},
      .defaults = kGlmDefaults,
      .settings = {{"attention_bias", "[false, true]"}, {"partial_rotary_factor", ""}},
      .weights = glm_weights(),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .translate = glm_config_of_chatglm,
      .complete = complete_glm,
  };
  return kGlm;
}

}  // namespace sluice::model
