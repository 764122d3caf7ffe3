#include "model/weight_names.h"

#include <algorithm>

#include "base/strings.h"
#include "model/decoder_spec.h"

namespace sluice::model {

std::vector<WeightName> llama_weights() {
  return {
      {Role::kEmbedding, "model.embed_tokens.weight", "token_embd.weight"},
      {Role::kFinalNorm, "model.norm.weight", "output_norm.weight"},
      {Role::kHead, "lm_head.weight", "output.weight"},
      {Role::kAttentionNorm, "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"},
      {Role::kQ, "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"},
      {Role::kK, "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"},
      {Role::kV, "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"},
      {Role::kQBias, "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias"},
      {Role::kKBias, "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias"},
      {Role::kVBias, "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"},
      {Role::kO, "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"},
      {Role::kOBias, "model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias"},
      {Role::kMlpNorm, "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
      {Role::kGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"},
      {Role::kUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
      {Role::kDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"},
      {Role::kGateBias, "model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"},
      {Role::kUpBias, "model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"},
      {Role::kDownBias, "model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"},
  };
}

std::vector<WeightName> with(std::vector<WeightName> names, std::initializer_list<WeightName> changes) {
  for (const WeightName& change : changes) {
    const auto found = std::ranges::find(names, change.role, &WeightName::role);
    if (found != names.end()) {
      *found = change;
    } else {
      names.push_back(change);
    }
  }
  return names;
}

std::vector<WeightName> without(std::vector<WeightName> names, std::initializer_list<Role> roles) {
  std::erase_if(names, [&](const WeightName& name) { return std::ranges::count(roles, name.role) > 0; });
  return names;
}

std::vector<WeightName> with_fused_gate_up(std::vector<WeightName> names) {
  return with(without(std::move(names), {Role::kGate, Role::kUp, Role::kGateBias, Role::kUpBias, Role::kDownBias}),
              {{Role::kGateUp, "model.layers.{}.mlp.gate_up_proj.weight", "blk.{}.ffn_up.weight"}});
}

Naming find_naming(const Architecture& architecture, FileKind kind, const checkpoint::WeightMap& files) {
  if (kind == FileKind::kGguf || files.contains("model.embed_tokens.weight")) return {.kind = kind};
  for (const WeightName& name : architecture.weights) {
    if (name.role == Role::kEmbedding && !name.own_code.empty() && files.contains(name.own_code))
      return {.kind = kind, .own_code = true};
  }
  for (const std::string_view prefix : architecture.other_prefixes) {
    if (files.contains(cat(prefix, "embed_tokens.weight"))) return {.kind = kind, .prefix = prefix};
  }
  return {.kind = kind};
}

bool per_layer(const WeightName& name) {
  const auto counts = [](std::string_view text) { return text.find("{}") != std::string_view::npos; };
  return counts(name.hugging_face) || counts(name.gguf) || counts(name.own_code);
}

std::string tensor_name(const WeightName& name, const Naming& naming, int layer) {
  constexpr std::string_view kModel = "model.";
  std::string text(naming.kind == FileKind::kGguf ? name.gguf : naming.own_code ? name.own_code : name.hugging_face);
  if (!naming.prefix.empty() && !text.empty()) {
    if (text.starts_with(kModel)) {
      text.replace(0, kModel.size(), naming.prefix);
    } else if (naming.prefix.ends_with(".model.")) {  // "language_model.model.": the head is "language_model.lm_head"
      text.insert(0, naming.prefix.substr(0, naming.prefix.size() - kModel.size()));
    }
  }
  if (const size_t braces = text.find("{}"); braces != std::string::npos)
    text.replace(braces, 2, std::to_string(layer));
  return text;
}

}  // namespace sluice::model
