#pragma once
// The one decoder: a causal transformer that a DecoderSpec describes, over a paged cache.
// x ← x + post_norm(O · attention(rope(q_norm(Q·n)), rope(k_norm(K·n)), V·n)), n = norm(x);
// x ← x + post_norm(down · (act(gate·m) ⊙ up·m)), m = norm(x); logits = softcap(head · norm(x)).
// The post_norms, the norms of Q and K, and the softcaps exist only in some families.

#include <memory>

#include "model/decoder_weights.h"
#include "model/language_model.h"

namespace sluice::model {

struct DecoderOptions {
  DType kv_dtype = DType::kF32;  // f32, f16, bf16, or q8_0 (int8 with a scale for every 32 elements)
  int block_tokens = 16;
};

// What a step is computed with.
struct StepMeans {
  const kernels::Ops* ops = nullptr;
  int threads = 0;         // of the pool; 0: all
  int prefetch_bytes = 0;  // kernels::MatmulArgs
};

class Decoder final : public LanguageModel {
 public:
  // `ops` and `pool` must outlive it. kInvalidArgument when kv_dtype does not fit the head's size.
  static Result<std::unique_ptr<Decoder>> create(DecoderSpec spec, DecoderWeights weights,
                                                 const DecoderOptions& options, const kernels::Ops& ops,
                                                 ThreadPool& pool);

  const ModelTraits& traits() const override { return traits_; }
  CacheLayout cache_layout() const override;
  CacheRegime cache_regime(int pass_tokens) const override;
  Result<void> reserve(CacheSize size, int step_rows_max, int logits_rows_max) override;
  void copy_block(BlockPlace from, BlockPlace to, int tokens) override;
  Result<StepOutput> run(const StepBatch& batch) override;

  // From the next step on: steps of at most `few_rows_max` rows (decoding) are computed with `few`, others (prefill)
  // with `many`. All tables must give the bits of the one the decoder was made with. Not while a step runs.
  void compute_with(const StepMeans& few, const StepMeans& many, int few_rows_max);

  const DecoderSpec& spec() const { return spec_; }
  const DecoderWeights& weights() const { return weights_; }

 private:
  Decoder(DecoderSpec spec, DecoderWeights weights, const DecoderOptions& options, const kernels::Ops& ops,
          ThreadPool& pool);

  // Returns the rows that x_ then holds: with `only_wanted` those of batch.logits_rows, in their order, else all.
  int64_t attention(const DecoderLayerWeights& layer, int index, const StepBatch& batch, int64_t rows,
                    bool only_wanted);
  // Brings the rows of batch.logits_rows to the front of x_ and the layer's rope, with wanted_sequences_ of
  // one row for each. Returns how many there are.
  int64_t keep_wanted_rows(int layer, const StepBatch& batch);
  void mlp(const DecoderLayerWeights& layer, int64_t rows);
  kernels::KvLayer kv_layer(int index);
  std::span<const SequenceRows> sequences_of(int layer, const StepBatch& batch) const;
  // out = weight · x (+ bias) (+ out)
  struct Projection {
    const Tensor& weight;
    const std::vector<float>& bias;
    float* out = nullptr;
    bool accumulate = false;
  };
  // Several of one x, which is in memory or what `source` makes.
  void project(const float* x, int64_t rows, std::initializer_list<Projection> all, const kernels::RowSource& source);
  // Of norm(x).
  void project_normed(const float* x, int64_t rows, const std::vector<float>& norm_weight,
                      std::initializer_list<Projection> all);
  // x_ ← x_ + post_norm(projection of x).
  void join(const float* x, int64_t rows, const Projection& projection, const std::vector<float>& post_norm,
            const kernels::RowSource& source);
  // RMSNorm of rows as wide as the weight.
  void norm(const float* x, int64_t rows, const std::vector<float>& weight, float* out);
  kernels::NormArgs norm_args(const float* x, int64_t rows, const std::vector<float>& weight, float* out) const;
  void rotate(float* x, int64_t rows, int heads, int rope);
  void fill_ropes(const StepBatch& batch);

  DecoderSpec spec_;
  DecoderWeights weights_;
  DecoderOptions options_;
  StepMeans few_, many_;
  int few_rows_max_ = 0;
  kernels::Ops ops_;        // of the step that runs
  int prefetch_bytes_ = 0;  // the same
  ThreadPool& pool_;
  const float embedding_scale_;
  std::vector<int> kv_index_;  // [layers] its number among the layers of its kind, with a window or without
  ModelTraits traits_;

  // Set by reserve().
  CacheSize size_ = 0;
  int step_rows_max_ = 0;
  int logits_rows_max_ = 0;
  // Of the layers of each kind [layers, 2 (k, v), blocks or slots, kv_heads, …] of kv_dtype (kernels::KvLayer).
  Buffer cache_, window_cache_;
  Buffer x_;                                    // [rows, hidden] the residual stream
  Buffer normed_;                               // [rows, hidden] where products read floats
  Buffer projected_;                            // [rows, hidden] a block's output before it joins the stream
  Buffer q_, k_, v_;                            // [rows, heads·head_dim], [rows, kv_heads·head_dim] twice
  Buffer attended_;                             // [rows, heads·head_dim]
  Buffer gate_, up_;                            // [rows, intermediate]
  std::vector<SequenceRows> wanted_sequences_;  // [logits_rows]
  std::vector<Buffer> cos_, sin_;               // of each rope [rows, rotary_dim/2]
  Buffer hidden_;                               // [rows, hidden] after the final norm
  Buffer logits_;                               // [logits_rows, vocab]
};

// Bytes reserve() allocates besides the cache: the memory plan's activations.
size_t activation_bytes(const DecoderSpec& spec, int step_rows_max, int logits_rows_max);
// Whether a layer attends to the last tokens alone. A window as long as the model's context is none.
bool has_window(const DecoderSpec& spec, int layer);
// The cache of such a model.
CacheLayout cache_layout(const DecoderSpec& spec, DType kv_dtype, int block_tokens);

}  // namespace sluice::model
