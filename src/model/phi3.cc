// Phi-3 and Phi-4 (and their mini and medium models): a Llama with Q K V in one matrix, gate and up in another, maybe a
// window, and longrope in those for long contexts. When a sequence outgrows the original length transformers drops its
// cache and computes everything anew with the long factors (Phi3ForCausalLM.prepare_inputs_for_generation).
// Source: transformers models/phi3.

#include "base/json.h"
#include "base/strings.h"
#include "model/registry.h"
#include "model/rope_config.h"
#include "model/settings.h"

namespace sluice::model {
namespace {

// Older files call longrope "su", or "yarn" with longrope's factors.
Json with_longrope(const Json& settings) {
  Json renamed = settings;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto block = renamed.find(key);
    if (block == renamed.end() || !block->is_object()) continue;
    for (const char* type : {"rope_type", "type"}) {
      if (const Json* value = json_find(*block, type); value != nullptr && (*value == "su" || *value == "yarn"))
        (*block)[type] = "longrope";
    }
  }
  return renamed;
}

Result<void> complete_phi3(const Json& settings, FileKind, DecoderSpec& spec) {
  SLUICE_TRY(const int window, window_from(settings));
  set_one_window(spec, window);
  SLUICE_TRY(RopeSpec rope, rope_from_settings(with_longrope(settings), {.head_dim = spec.head_dim, .partial = true}));
  rope.restarts = rope.depends_on_length();
  spec.ropes = {std::move(rope)};
  return {};
}

}  // namespace

const Architecture& phi3_architecture() {
  static const Architecture kPhi3 = {
      .name = "phi3",
      .gguf_name = "phi3",
      .class_names = {"Phi3ForCausalLM"},
      .model_types = {"phi3"},
      .defaults =
          R"({"hidden_act": "silu", "vocab_size": 32064, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32,
                      "num_attention_heads": 32, "max_position_embeddings": 4096,
                      "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "partial_rotary_factor": 1.0})",
      .settings = {{"partial_rotary_factor", ""}, {"sliding_window", ""}},
      .weights = with(without(with_fused_gate_up(llama_weights()),
                              {Role::kQ, Role::kK, Role::kV, Role::kQBias, Role::kKBias, Role::kVBias, Role::kOBias}),
                      {{Role::kQkv, "model.layers.{}.self_attn.qkv_proj.weight", "blk.{}.attn_qkv.weight"}}),
      .other_prefixes = {},
      .ignored_suffixes = kRopeTensors,
      .ignored_prefixes = {},
      .complete = complete_phi3,
  };
  return kPhi3;
}

}  // namespace sluice::model
