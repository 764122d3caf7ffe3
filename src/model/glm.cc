// GLM-4-9B: pre-norm, biases on Q K V, rotary embedding over neighbouring pairs of the first half of each head, fused
// gate_up. Source: transformers models/glm. llama.cpp's converter calls it chatglm and, made from the older files with
// code of their own, fuses Q K V as well.

#include "model/glm.h"

#include "base/json.h"
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

const Architecture& glm_architecture() {
  static const Architecture kGlm = {
      .name = "glm",
      .gguf_name = "chatglm",
      .class_names = {"GlmForCausalLM"},
      .model_types = {"glm"},
      .defaults = kGlmDefaults,
      .settings = {{"attention_bias", "[false, true]"}, {"partial_rotary_factor", ""}},
      .weights = with(with_fused_gate_up(llama_weights()),
                      {{Role::kQkv, "", "blk.{}.attn_qkv.weight"}, {Role::kQkvBias, "", "blk.{}.attn_qkv.bias"}}),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_glm,
  };
  return kGlm;
}

}  // namespace sluice::model
