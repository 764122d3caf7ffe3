#pragma once
// The weights of a decoder, as the decoder reads them: matrices in their stored type (mapped from the file where no
// conversion was asked for), vectors widened to f32.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/weights.h"
#include "model/decoder_spec.h"
#include "model/pack_cache.h"
#include "model/weight_conversion.h"

namespace sluice::model {

struct DecoderLayerWeights {
  std::vector<float> attention_norm;                 // [hidden]
  Tensor q, k, v;                                    // [heads·head_dim, hidden], [kv_heads·head_dim, hidden] twice
  std::vector<float> q_bias, k_bias, v_bias;         // empty when the model has none
  std::vector<float> q_norm, k_norm;                 // [head_dim] or empty
  Tensor o;                                          // [hidden, heads·head_dim]
  std::vector<float> o_bias;                         // [hidden] or empty
  std::vector<float> attention_post_norm;            // [hidden] or empty
  std::vector<float> mlp_norm;                       // [hidden]
  Tensor gate, up;                                   // [intermediate, hidden]
  Tensor down;                                       // [hidden, intermediate]
  std::vector<float> gate_bias, up_bias, down_bias;  // [intermediate] twice, [hidden]; or empty
  std::vector<float> mlp_post_norm;                  // [hidden] or empty
};

struct DecoderWeights {
  Tensor embedding;               // [vocab, hidden]
  Tensor head;                    // [vocab, hidden]; the embedding when tied
  std::vector<float> final_norm;  // [hidden]
  std::vector<DecoderLayerWeights> layers;

  size_t mapped_bytes = 0;  // read from the file's mapping
  size_t owned_bytes = 0;   // converted copies in memory
  std::vector<Buffer> owned;
  std::shared_ptr<const checkpoint::WeightMap> files;  // keeps the mapping
  std::shared_ptr<const checkpoint::PackFile> packs;   // the same, of packed matrices; may be null
};

enum class WeightQuantization { kNone, kInt8, kInt4 };

// How weights are multiplied: from float32 activations, or packed: quantised weights from activations rounded to 8 bits
// in groups of 128 (kernels/cpu/packed.h), bf16 weights from activations rounded to bf16 (kernels/cpu/packed_bf16.h).
// kAuto is settled by resolve_activations, into one of the others.
enum class Activations { kAuto, kF32, kInt8, kBF16, kInt8AndBF16 };
inline bool packs_quantized(Activations a) { return a == Activations::kInt8 || a == Activations::kInt8AndBF16; }
inline bool packs_bf16(Activations a) { return a == Activations::kBF16 || a == Activations::kInt8AndBF16; }

struct WeightOptions {
  std::optional<DType> dtype;  // f32, f16 or bf16 for what is not quantised; nothing: as the file has it ("auto")
  WeightQuantization quantization = WeightQuantization::kNone;
  Activations activations = Activations::kAuto;
  PackCache* cache = nullptr;  // where packed matrices are looked for and remembered; may be null
};

// The type a matrix [rows, columns] stored as `stored` is kept in. int8 is q8_0 and int4 is q4_0 (blocks of 32 along
// columns); with int4 the embedding and the head stay at int8, where 4 bits cost most accuracy. A matrix whose columns
// are no multiple of 32, and one that is already quantised at least as far, keeps its type. A stored type that has no
// kernels (Q4_K and its kin) becomes f16 unless something else is asked for.
DType target_dtype(DType stored, Role role, int64_t columns, const WeightOptions& options);

// kAuto becomes what `ops` have fast units for when the model is large enough to gain, else kF32.
WeightOptions resolve_activations(WeightOptions options, const DecoderSpec& spec, const kernels::Ops& ops);

// What the matrix `entry` becomes. With int8 activations every quantised matrix is packed in the form that keeps its
// codes, or in int8 or int4 in groups of 32 where --quantize asks for something smaller than what is stored. An
// embedding table that is not also the head (`lookup_only`) is no factor of a product and stays as target_dtype says.
// With bf16 activations a matrix that would be kept as bf16 is packed.
Result<MatrixTarget> matrix_target(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry, Role role,
                                   bool lookup_only, const WeightOptions& options);
// The rows of each part of a matrix that holds several, in their order; empty for any other role.
std::vector<int64_t> fused_rows(Role role, const DecoderSpec& spec);
// Whether the embedding is the head too: then it is stored once.
bool head_is_embedding(const DecoderSpec& spec, FileKind kind, bool files_have_head);

// Loads and checks every weight the architecture names. Errors name the tensor, what was expected and what was found.
// `progress(done_bytes, total_bytes)` is called from this thread now and then; may be empty.
Result<DecoderWeights> load_decoder_weights(const Architecture& architecture, const DecoderSpec& spec, FileKind kind,
                                            std::shared_ptr<const checkpoint::WeightMap> files,
                                            const WeightOptions& options, ThreadPool& pool,
                                            const std::function<void(size_t, size_t)>& progress);

}  // namespace sluice::model
