#pragma once
// What the tensors of a model are called. Most families name them as Llama does, so an architecture starts from
// llama_weights() and says what differs.

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/weights.h"

namespace sluice::model {

struct Architecture;

// What a weight is for; an architecture names each one it has.
enum class Role {
  kEmbedding,      // [vocab, hidden]
  kFinalNorm,      // [hidden]
  kHead,           // [vocab, hidden]; absent when tied
  kAttentionNorm,  // [hidden] before attention
  kQ,
  kK,
  kV,    // [heads·head_dim | kv_heads·head_dim, hidden]
  kQkv,  // [(heads + 2·kv_heads)·head_dim, hidden], in this order: instead of kQ, kK and kV
  kQBias,
  kKBias,
  kVBias,
  kQkvBias,
  kQNorm,
  kKNorm,              // [head_dim] over every head, before the rotation
  kO,                  // [hidden, heads·head_dim]
  kOBias,              // [hidden]
  kAttentionPostNorm,  // [hidden] after attention, before the residual is added (sandwich norm)
  kMlpNorm,            // [hidden] before the MLP
  kGate,
  kUp,      // [intermediate, hidden]
  kGateUp,  // [2·intermediate, hidden], gate first: instead of kGate and kUp
  kDown,    // [hidden, intermediate]
  kGateBias,
  kUpBias,
  kDownBias,
  kMlpPostNorm,  // [hidden] after the MLP
};

enum class FileKind { kHuggingFace, kGguf };

// One tensor name of an architecture. "{}" stands for the layer's number; names without it are there once. An empty
// name: files of that kind do not have it.
struct WeightName {
  Role role;
  std::string_view hugging_face;
  std::string_view gguf;
  std::string_view own_code = {};  // in safetensors of models that came with code of their own (chatglm)
};

// Llama's names: pre-norms, Q K V O with biases where the config asks for them, gate, up and down.
std::vector<WeightName> llama_weights();
// `names` with each of `changes` put in the place of its role, or added when the role is new.
std::vector<WeightName> with(std::vector<WeightName> names, std::initializer_list<WeightName> changes);
std::vector<WeightName> without(std::vector<WeightName> names, std::initializer_list<Role> roles);
// Phi-3 and GGUF's chatglm write one matrix for Q K V, and one for gate and up.
std::vector<WeightName> with_fused_gate_up(std::vector<WeightName> names);

// How the files at hand spell the names.
struct Naming {
  FileKind kind = FileKind::kHuggingFace;
  std::string_view prefix;  // instead of "model."; empty: "model." itself
  bool own_code = false;    // safetensors with the names of WeightName::own_code
};
Naming find_naming(const Architecture& architecture, FileKind kind, const checkpoint::WeightMap& files);
// The name in the files; empty when files of this kind have no such tensor. `layer` matters for names with "{}".
std::string tensor_name(const WeightName& name, const Naming& naming, int layer);
bool per_layer(const WeightName& name);

}  // namespace sluice::model
