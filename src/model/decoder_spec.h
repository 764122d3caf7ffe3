#pragma once
// A decoder as data: everything in which one model family differs from another. model/decoder.cc is the one program
// that runs it; an architecture file (llama.cc, gemma3.cc, …) fills it in from a config and says how its tensors are
// called.

#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "kernels/ops.h"
#include "model/weight_names.h"

namespace sluice::model {

// Rotary position embedding: angle(position, i) = position · inverse_frequency[i]. Two types choose their frequencies
// by the length of the forward pass that computes a row (StepBatch::rope_lengths): longrope has a second set, dynamic
// a base that grows.
struct RopeSpec {
  int rotary_dim = 0;                    // leading elements of each head that rotate; even
  bool interleaved = false;              // pairs (2i, 2i+1) instead of (i, i + rotary_dim/2)
  std::vector<float> inverse_frequency;  // [rotary_dim/2]
  float magnitude = 1;                   // multiplies cos and sin (the "attention factor" of yarn and longrope)

  int original_length = 0;                    // > 0: longer passes use what follows instead
  std::vector<float> long_inverse_frequency;  // longrope: [rotary_dim/2]
  float dynamic_factor = 0;                   // dynamic (NTK): base · (factor · length / original − factor + 1)^…
  float theta = 0;                            // dynamic: the base up to original_length
  int exponent_dim = 0;                       // dynamic: the d in base^(−2i/d)
  // When a sequence grows beyond original_length, everything is computed anew as one longer pass (Phi-3).
  bool restarts = false;

  bool depends_on_length() const { return original_length > 0; }
};

// In what one layer differs from another.
struct LayerKind {
  int window = 0;  // > 0: attention sees only the last `window` tokens, the row's own included
  int rope = 0;    // index into DecoderSpec::ropes
};

// Which biases a checkpoint must have; in GGUF files the tensors themselves say it.
struct BiasSpec {
  bool qkv = false;
  bool o = false;
  bool mlp = false;
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
  float norm_offset = 0;         // 1 where files store weight − 1 (Gemma, not in GGUF)
  bool tied_embeddings = false;  // the head is the embedding table
  float embedding_scale = 1;     // rounded to the embedding's type, as the reference does
  float attention_scale = 0;     // of q·k; usually 1/√head_dim
  float attention_softcap = 0;   // > 0: score = cap · tanh(score / cap)
  float final_softcap = 0;       // the same for logits
  BiasSpec biases;
  kernels::Activation activation = kernels::Activation::kSilu;
  std::vector<RopeSpec> ropes;         // at least one
  std::vector<LayerKind> layer_kinds;  // [layers]
};

// A setting that changes results and must have one of the values this program computes, or be absent or null.
struct Setting {
  std::string_view key;
  std::string_view allowed;  // a JSON array; empty: any value, the architecture reads it itself
};

// What files hold of ropes besides their settings; gguf_config.cc reads the last three.
inline const std::vector<std::string_view> kRopeTensors = {"rotary_emb.inv_freq", "rotary_pos_emb.inv_freq",
                                                           "rope_freqs.weight", "rope_factors_long.weight",
                                                           "rope_factors_short.weight"};

struct Architecture {
  std::string_view name;                      // our own name
  std::string_view gguf_name;                 // GGUF general.architecture
  std::vector<std::string_view> class_names;  // config.json "architectures"
  std::vector<std::string_view> model_types;  // config.json "model_type"
  std::string_view defaults;                  // a JSON object: what transformers takes for absent keys
  std::string_view activation_key = "hidden_act";
  bool rope_by_layer_type = false;  // full and sliding layers have rope parameters of their own
  std::vector<Setting> settings;    // beyond those of settings.cc, or instead of them
  std::vector<WeightName> weights;
  // The text model's tensors may begin with one of these instead of "model." (multimodal checkpoints).
  std::vector<std::string_view> other_prefixes;
  std::vector<std::string_view> ignored_suffixes;  // tensors some files hold that the decoder does not need
  std::vector<std::string_view> ignored_prefixes;  // the parts of a multimodal model that see or hear
  // A config in the words of other code → in those of `settings`; any other as it is. Null: there are no others.
  Result<Json> (*translate)(const Json& config) = nullptr;
  // Completes a spec whose common fields are filled in. `settings`: the text model's config, with defaults.
  Result<void> (*complete)(const Json& settings, FileKind kind, DecoderSpec& spec);
};

// Every architecture this program knows (registry.cc).
const std::vector<const Architecture*>& architectures();
// The one a config names; kUnimplemented lists those known and the nearest.
Result<const Architecture*> find_architecture(const Json& config);
// The spec of a model from its config.json, or from the same keys made of GGUF metadata (gguf_config.h).
// kUnimplemented names a setting that would change results and that this program does not compute.
Result<DecoderSpec> decoder_spec(const Architecture& architecture, const Json& config, FileKind kind);

}  // namespace sluice::model
