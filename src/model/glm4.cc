// GLM-4-0414: GLM-4-9B with four RMSNorms a layer, two of them after attention and MLP, before the residual.
// Source: transformers models/glm4. "post_attention_layernorm" is the norm BEFORE the MLP.

#include "base/json.h"
#include "model/glm.h"
#include "model/registry.h"

namespace sluice::model {

const Architecture& glm4_architecture() {
  static const Architecture kGlm4 = {
      .name = "glm4",
      .gguf_name = "glm4",
      .class_names = {"Glm4ForCausalLM"},
      .model_types = {"glm4"},
      .defaults = kGlmDefaults,
      .settings = {{"attention_bias", "[false, true]"}, {"partial_rotary_factor", ""}},
      .weights =
          with(with_fused_gate_up(llama_weights()),
               {{Role::kAttentionPostNorm, "model.layers.{}.post_self_attn_layernorm.weight",
                 "blk.{}.post_attention_norm.weight"},
                {Role::kMlpPostNorm, "model.layers.{}.post_mlp_layernorm.weight", "blk.{}.post_ffw_norm.weight"}}),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_glm,
  };
  return kGlm4;
}

}  // namespace sluice::model
