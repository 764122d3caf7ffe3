#pragma once
// A decoder as data: everything in which one model family differs from another. model/decoder.cc is the one program
// that runs it; an architecture file (llama.cc, glm4.cc) fills it in from a config and says how its tensors are called.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "kernels/ops.h"

namespace sluice::model {

// Rotary position embedding: angle(position, i) = position · inverse_frequency[i].
struct RopeSpec {
  int rotary_dim = 0;                    // leading elements of each head that rotate; even
  bool interleaved = false;              // pairs (2i, 2i+1) instead of (i, i + rotary_dim/2)
  std::vector<float> inverse_frequency;  // [rotary_dim/2]
  float magnitude = 1;                   // multiplies cos and sin (the "attention factor" of yarn and longrope)
};

struct DecoderSpec {
  std::string architecture;  // registry name: "llama"
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int context_max = 0;
  float norm_epsilon = 1e-5f;
  bool tied_embeddings = false;  // the head is the embedding table
  kernels::Activation activation = kernels::Activation::kSilu;
  RopeSpec rope;
};

// What a weight is for; an architecture names each one it has.
enum class Role {
  kEmbedding,      // [vocab, hidden]
  kFinalNorm,      // [hidden]
  kHead,           // [vocab, hidden]; absent when tied
  kAttentionNorm,  // [hidden] before attention
  kQ,
  kK,
  kV,  // [heads·head_dim | kv_heads·head_dim, hidden]
  kQBias,
  kKBias,
  kVBias,
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

// One tensor name of an architecture. "{}" stands for the layer's number; names without it are there once.
struct WeightName {
  Role role;
  std::string_view hugging_face;
  std::string_view gguf;
  bool optional = false;  // e.g. a bias that only some checkpoints have
};

struct Architecture {
  std::string_view name;                      // GGUF general.architecture and our own name
  std::vector<std::string_view> class_names;  // config.json "architectures"
  std::vector<std::string_view> model_types;  // config.json "model_type"
  std::vector<WeightName> weights;
  std::vector<std::string_view> ignored_suffixes;  // tensors some files hold that the decoder does not need
  // `config` is config.json, or the same keys made from GGUF metadata (gguf_config.h).
  Result<DecoderSpec> (*spec_from_config)(const Json& config, FileKind kind);
};

// Every architecture this program knows (registry.cc).
const std::vector<const Architecture*>& architectures();
// The one a config names; kUnimplemented lists those known and the nearest.
Result<const Architecture*> find_architecture(const Json& config);

// The fields all decoders share, from config.json in either spelling (flat or under text_config). Checks ranges.
Result<DecoderSpec> common_spec(const Json& config);
// The part of config.json that describes the text model: text_config if there is one, else the whole.
const Json& text_config(const Json& config);

}  // namespace sluice::model
