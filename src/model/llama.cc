// Llama 2 and 3.x: pre-norm, SwiGLU, grouped-query attention, rotary embedding over the whole head.
// Source: transformers models/llama; in GGUF files the rows of Q and K are permuted so that rotary pairs are
// neighbours.

#include "base/json.h"
#include "base/strings.h"
#include "model/registry.h"
#include "model/rope.h"

namespace sluice::model {
namespace {

Result<DecoderSpec> spec_from_config(const Json& config, FileKind kind) {
  SLUICE_TRY(DecoderSpec spec, common_spec(config));
  SLUICE_TRY(spec.rope, rope_from_config(text_config(config), spec.head_dim, kind == FileKind::kGguf));
  return spec;
}

}  // namespace

const Architecture& llama_architecture() {
  static const Architecture kLlama = {
      .name = "llama",
      .class_names = {"LlamaForCausalLM"},
      .model_types = {"llama"},
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
              {Role::kOBias, "model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias", true},
              {Role::kMlpNorm, "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
              {Role::kGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"},
              {Role::kUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
              {Role::kDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"},
              {Role::kGateBias, "model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias", true},
              {Role::kUpBias, "model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias", true},
              {Role::kDownBias, "model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias", true},
          },
      .ignored_suffixes = {"rotary_emb.inv_freq", "rope_freqs.weight"},
      .spec_from_config = spec_from_config,
  };
  return kLlama;
}

}  // namespace sluice::model
