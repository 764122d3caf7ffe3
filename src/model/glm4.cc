// GLM-4-0414 (and the text half of GLM-4.1V): four RMSNorms a layer (two of them after attention and MLP, before the
// residual), biases on Q K V, rotary embedding over neighbouring pairs of the first half of each head, fused gate_up.
// Source: transformers models/glm4. "post_attention_layernorm" is the norm BEFORE the MLP.

#include "base/json.h"
#include "base/strings.h"
#include "model/registry.h"
#include "model/rope.h"

namespace sluice::model {
namespace {

Result<DecoderSpec> spec_from_config(const Json& config, FileKind) {
  SLUICE_TRY(DecoderSpec spec, common_spec(config));
  if (json_find(text_config(config), "rms_norm_eps") == nullptr)
    spec.norm_epsilon = 1.5625e-07f;  // Glm4Config's default
  SLUICE_TRY(const double factor, partial_rotary_factor(text_config(config), 0.5));
  if (!(factor > 0 && factor <= 1))
    return invalid_argument(cat("partial_rotary_factor must be in (0, 1], not ", factor), "partial_rotary_factor");
  SLUICE_TRY(spec.rope, rope_from_config(text_config(config), static_cast<int>(spec.head_dim * factor), true));
  return spec;
}

}  // namespace

const Architecture& glm4_architecture() {
  static const Architecture kGlm4 = {
      .name = "glm4",
      .class_names = {"Glm4ForCausalLM"},
      .model_types = {"glm4"},
      .weights =
          {
              {Role::kEmbedding, "model.embed_tokens.weight", "token_embd.weight"},
              {Role::kFinalNorm, "model.norm.weight", "output_norm.weight"},
              {Role::kHead, "lm_head.weight", "output.weight", true},
              {Role::kAttentionNorm, "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"},
              {Role::kQ, "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"},
              {Role::kK, "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"},
              {Role::kV, "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"},
              {Role::kQBias, "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias", true},
              {Role::kKBias, "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias", true},
              {Role::kVBias, "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias", true},
              {Role::kO, "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"},
              {Role::kAttentionPostNorm, "model.layers.{}.post_self_attn_layernorm.weight",
               "blk.{}.post_attention_norm.weight"},
              {Role::kMlpNorm, "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
              {Role::kGateUp, "model.layers.{}.mlp.gate_up_proj.weight", "blk.{}.ffn_up.weight"},
              {Role::kDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"},
              {Role::kMlpPostNorm, "model.layers.{}.post_mlp_layernorm.weight", "blk.{}.post_ffw_norm.weight"},
          },
      .ignored_suffixes = {"rotary_emb.inv_freq", "rope_freqs.weight"},
      .spec_from_config = spec_from_config,
  };
  return kGlm4;
}

}  // namespace sluice::model
