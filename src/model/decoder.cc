#include "model/decoder.h"

#include <array>
#include <cstring>

#include "base/strings.h"
#include "model/rope.h"
#include "tensor/quantize.h"

namespace sluice::model {
namespace {

size_t floats(int64_t count) { return static_cast<size_t>(count) * sizeof(float); }

// The reference holds the scale in the type of the embedding: √3072 is 55.5 in bf16.
float round_to(DType dtype, float value) {
  if (dtype != DType::kBF16 && dtype != DType::kF16) return value;
  std::byte stored[2];
  quantize_row(dtype, &value, stored, 1);
  dequantize_row(dtype, stored, &value, 1);
  return value;
}

}  // namespace

bool has_window(const DecoderSpec& spec, int layer) {
  const int window = spec.layer_kinds[static_cast<size_t>(layer)].window;
  return window > 0 && window < spec.context_max;
}

CacheLayout cache_layout(const DecoderSpec& spec, DType kv_dtype, int block_tokens) {
  const size_t layer_bytes = size_t{2} * static_cast<size_t>(spec.kv_heads) * row_bytes(kv_dtype, spec.head_dim) *
                             static_cast<size_t>(block_tokens);
  CacheLayout layout{.block_tokens = block_tokens};
  for (int layer = 0; layer < spec.layers; ++layer) {
    if (has_window(spec, layer)) {
      layout.window_tokens = std::max(layout.window_tokens, spec.layer_kinds[static_cast<size_t>(layer)].window);
      layout.window_block_bytes += layer_bytes;
    } else {
      layout.block_bytes += layer_bytes;
    }
  }
  return layout;
}

size_t activation_bytes(const DecoderSpec& spec, int step_rows_max, int logits_rows_max) {
  int64_t per_row = int64_t{4} * spec.hidden_size + int64_t{2} * spec.heads * spec.head_dim +
                    int64_t{2} * spec.kv_heads * spec.head_dim + int64_t{2} * spec.intermediate_size;
  for (const RopeSpec& rope : spec.ropes) per_row += rope.rotary_dim;
  return floats(step_rows_max * per_row + int64_t{logits_rows_max} * spec.vocab_size);
}

Result<std::unique_ptr<Decoder>> Decoder::create(DecoderSpec spec, DecoderWeights weights,
                                                 const DecoderOptions& options, const kernels::Ops& ops,
                                                 ThreadPool& pool) {
  const DTypeTraits kv = dtype_traits(options.kv_dtype);
  if (spec.head_dim % kv.block_elements != 0) {
    return invalid_argument(cat("--kv-dtype ", kv.name, " stores blocks of ", kv.block_elements,
                                " elements, but this model's heads have ", spec.head_dim, "; use f16 or bf16"),
                            "kv-dtype");
  }
  return std::unique_ptr<Decoder>(new Decoder(std::move(spec), std::move(weights), options, ops, pool));
}

Decoder::Decoder(DecoderSpec spec, DecoderWeights weights, const DecoderOptions& options, const kernels::Ops& ops,
                 ThreadPool& pool)
    : spec_(std::move(spec)),
      weights_(std::move(weights)),
      options_(options),
      few_{.ops = &ops},
      many_{.ops = &ops},
      ops_(ops),
      pool_(pool),
      embedding_scale_(round_to(weights_.embedding.dtype, spec_.embedding_scale)) {
  SLUICE_CHECK(!spec_.ropes.empty() && spec_.layer_kinds.size() == static_cast<size_t>(spec_.layers));
  traits_ = {.architecture = spec_.architecture,
             .vocab_size = spec_.vocab_size,
             .hidden_size = spec_.hidden_size,
             .context_max = spec_.context_max};
  int counts[2] = {};
  for (int layer = 0; layer < spec_.layers; ++layer) kv_index_.push_back(counts[has_window(spec_, layer)]++);
}

CacheLayout Decoder::cache_layout() const {
  return model::cache_layout(spec_, options_.kv_dtype, options_.block_tokens);
}

CacheRegime Decoder::cache_regime(int pass_tokens) const { return rope_cache_regime(spec_.ropes, pass_tokens); }

Result<void> Decoder::reserve(CacheSize size, int step_rows_max, int logits_rows_max) {
  SLUICE_CHECK(size.blocks > 0 && step_rows_max > 0 && logits_rows_max > 0);
  size_ = size;
  step_rows_max_ = step_rows_max;
  logits_rows_max_ = logits_rows_max;
  const int64_t rows = step_rows_max;
  const CacheLayout layout = cache_layout();
  cache_ = Buffer(layout.block_bytes * static_cast<size_t>(size.blocks));
  window_cache_ = Buffer(layout.window_block_bytes * static_cast<size_t>(size.window_slots));
  x_ = Buffer(floats(rows * spec_.hidden_size));
  normed_ = Buffer(floats(rows * spec_.hidden_size));
  projected_ = Buffer(floats(rows * spec_.hidden_size));
  hidden_ = Buffer(floats(rows * spec_.hidden_size));
  q_ = Buffer(floats(rows * spec_.heads * spec_.head_dim));
  attended_ = Buffer(floats(rows * spec_.heads * spec_.head_dim));
  k_ = Buffer(floats(rows * spec_.kv_heads * spec_.head_dim));
  v_ = Buffer(floats(rows * spec_.kv_heads * spec_.head_dim));
  gate_ = Buffer(floats(rows * spec_.intermediate_size));
  up_ = Buffer(floats(rows * spec_.intermediate_size));
  cos_.clear();
  sin_.clear();
  for (const RopeSpec& rope : spec_.ropes) {
    cos_.emplace_back(floats(rows * rope.rotary_dim / 2));
    sin_.emplace_back(floats(rows * rope.rotary_dim / 2));
  }
  logits_ = Buffer(floats(int64_t{logits_rows_max} * spec_.vocab_size));
  wanted_sequences_.reserve(static_cast<size_t>(logits_rows_max));
  return {};
}

void Decoder::compute_with(const StepMeans& few, const StepMeans& many, int few_rows_max) {
  SLUICE_CHECK(few.ops != nullptr && many.ops != nullptr);
  few_ = few;
  many_ = many;
  few_rows_max_ = few_rows_max;
}

kernels::KvLayer Decoder::kv_layer(int index) {
  const bool window = has_window(spec_, index);
  const size_t half = row_bytes(options_.kv_dtype, spec_.head_dim) * static_cast<size_t>(spec_.kv_heads) *
                      static_cast<size_t>(options_.block_tokens) *
                      static_cast<size_t>(window ? size_.window_slots : size_.blocks);
  std::byte* k =
      (window ? window_cache_ : cache_).data() + 2 * half * static_cast<size_t>(kv_index_[static_cast<size_t>(index)]);
  return {.k = k,
          .v = k + half,
          .dtype = options_.kv_dtype,
          .kv_heads = spec_.kv_heads,
          .head_dim = spec_.head_dim,
          .block_tokens = options_.block_tokens};
}

std::span<const SequenceRows> Decoder::sequences_of(int layer, const StepBatch& batch) const {
  return has_window(spec_, layer) && !batch.window_sequences.empty() ? batch.window_sequences : batch.sequences;
}

void Decoder::copy_block(BlockPlace from, BlockPlace to, int tokens) {
  SLUICE_CHECK(tokens >= 0 && tokens <= options_.block_tokens);
  const size_t row = row_bytes(options_.kv_dtype, spec_.head_dim);
  const size_t head = row * static_cast<size_t>(options_.block_tokens);
  const auto kv_heads = static_cast<size_t>(spec_.kv_heads);
  for (int layer = 0; layer < spec_.layers; ++layer) {
    const bool window = has_window(spec_, layer);
    const int source = window ? from.window_slot : from.block, target = window ? to.window_slot : to.block;
    const int places = window ? size_.window_slots : size_.blocks;
    SLUICE_CHECK(source >= 0 && source < places && target >= 0 && target < places);
    const kernels::KvLayer kv = kv_layer(layer);
    const size_t read = static_cast<size_t>(source) * kv_heads * head;
    const size_t written = static_cast<size_t>(target) * kv_heads * head;
    std::memcpy(kv.k + written, kv.k + read, kv_heads * head);  // keys lie side by side
    for (size_t h = 0; h < kv_heads; ++h) {
      std::memcpy(kv.v + written + h * head, kv.v + read + h * head, row * static_cast<size_t>(tokens));
    }
  }
}

void Decoder::project(const float* x, int64_t rows, std::initializer_list<Projection> all,
                      const kernels::RowSource& source) {
  constexpr size_t kMost = 3;
  std::array<kernels::MatmulArgs, kMost> products;
  SLUICE_CHECK(all.size() <= kMost);
  size_t count = 0;
  for (const Projection& one : all) {
    products[count++] = {.x = x,
                         .rows = rows,
                         .weight = &one.weight,
                         .bias = one.bias.empty() ? nullptr : one.bias.data(),
                         .out = one.out,
                         .accumulate = one.accumulate,
                         .prefetch_bytes = prefetch_bytes_};
  }
  ops_.matmul_many(pool_, {products.data(), count}, source);
}

kernels::NormArgs Decoder::norm_args(const float* x, int64_t rows, const std::vector<float>& weight, float* out) const {
  return {.x = x,
          .weight = weight.data(),
          .out = out,
          .rows = rows,
          .columns = static_cast<int64_t>(weight.size()),
          .epsilon = spec_.norm_epsilon,
          .weight_offset = spec_.norm_offset};
}

void Decoder::project_normed(const float* x, int64_t rows, const std::vector<float>& norm_weight,
                             std::initializer_list<Projection> all) {
  const kernels::NormArgs norm = norm_args(x, rows, norm_weight, normed_.as<float>());
  project(norm.out, rows, all, {.norm = &norm});
}

void Decoder::join(const float* x, int64_t rows, const Projection& projection, const std::vector<float>& post_norm,
                   const kernels::RowSource& source) {
  float* const stream = x_.as<float>();
  if (post_norm.empty()) {
    return project(x, rows, {{projection.weight, projection.bias, stream, true}}, source);
  }
  float* const projected = projected_.as<float>();
  project(x, rows, {{projection.weight, projection.bias, projected}}, source);
  norm(projected, rows, post_norm, projected);
  ops_.add(pool_, stream, projected, rows * spec_.hidden_size);
}

void Decoder::norm(const float* x, int64_t rows, const std::vector<float>& weight, float* out) {
  ops_.rms_norm(pool_, norm_args(x, rows, weight, out));
}

void Decoder::rotate(float* x, int64_t rows, int heads, int rope) {
  const auto index = static_cast<size_t>(rope);
  ops_.rope(pool_, {.x = x,
                    .rows = rows,
                    .stride = int64_t{heads} * spec_.head_dim,
                    .heads = heads,
                    .head_dim = spec_.head_dim,
                    .rotary_dim = spec_.ropes[index].rotary_dim,
                    .interleaved = spec_.ropes[index].interleaved,
                    .cos = cos_[index].as<float>(),
                    .sin = sin_[index].as<float>()});
}

void Decoder::fill_ropes(const StepBatch& batch) {
  for (size_t i = 0; i < spec_.ropes.size(); ++i)
    fill_rope_tables(spec_.ropes[i], batch.positions, batch.rope_lengths, cos_[i].as<float>(), sin_[i].as<float>());
}

int64_t Decoder::keep_wanted_rows(int layer, const StepBatch& batch) {
  // The rows are ascending: each moves to a place that no later one is read from.
  const auto move_row = [](Buffer& buffer, size_t from, size_t to, size_t width) {
    if (from != to)
      std::memcpy(buffer.as<float>() + to * width, buffer.as<float>() + from * width, width * sizeof(float));
  };
  const std::span<const SequenceRows> sequences = sequences_of(layer, batch);
  const auto rope = static_cast<size_t>(spec_.layer_kinds[static_cast<size_t>(layer)].rope);
  const auto rope_width = static_cast<size_t>(spec_.ropes[rope].rotary_dim / 2);
  wanted_sequences_.clear();
  size_t sequence = 0;
  for (size_t i = 0; i < batch.logits_rows.size(); ++i) {
    const int row = batch.logits_rows[i];
    while (row >= sequences[sequence].first_row + sequences[sequence].rows) ++sequence;
    SequenceRows wanted = sequences[sequence];
    wanted.context += row - wanted.first_row;
    wanted.first_row = static_cast<int>(i);
    wanted.rows = 1;
    wanted_sequences_.push_back(wanted);
    move_row(x_, static_cast<size_t>(row), i, static_cast<size_t>(spec_.hidden_size));
    for (Buffer* buffer : {&cos_[rope], &sin_[rope]}) move_row(*buffer, static_cast<size_t>(row), i, rope_width);
  }
  return static_cast<int64_t>(wanted_sequences_.size());
}

int64_t Decoder::attention(const DecoderLayerWeights& layer, int index, const StepBatch& batch, int64_t rows,
                           bool only_wanted) {
  const int64_t q_width = int64_t{spec_.heads} * spec_.head_dim, kv_width = int64_t{spec_.kv_heads} * spec_.head_dim;
  float* q = q_.as<float>();
  float* k = k_.as<float>();
  float* v = v_.as<float>();
  const Projection to_q{layer.q, layer.q_bias, q}, to_k{layer.k, layer.k_bias, k}, to_v{layer.v, layer.v_bias, v};
  if (only_wanted) {
    project_normed(x_.as<float>(), rows, layer.attention_norm, {to_k, to_v});
  } else {
    project_normed(x_.as<float>(), rows, layer.attention_norm, {to_q, to_k, to_v});
  }
  const LayerKind& kind = spec_.layer_kinds[static_cast<size_t>(index)];
  if (!layer.k_norm.empty()) norm(k, rows * spec_.kv_heads, layer.k_norm, k);
  rotate(k, rows, spec_.kv_heads, kind.rope);
  const kernels::KvLayer cache = kv_layer(index);
  std::span<const SequenceRows> sequences = sequences_of(index, batch);
  ops_.kv_write(pool_, {.k = k, .v = v, .stride = kv_width, .sequences = sequences, .layer = cache});

  if (only_wanted) {
    rows = keep_wanted_rows(index, batch);
    if (rows == 0) return 0;
    sequences = wanted_sequences_;
    project_normed(x_.as<float>(), rows, layer.attention_norm, {to_q});
  }
  if (!layer.q_norm.empty()) norm(q, rows * spec_.heads, layer.q_norm, q);
  rotate(q, rows, spec_.heads, kind.rope);
  ops_.attention(pool_, {.q = q,
                         .q_stride = q_width,
                         .out = attended_.as<float>(),
                         .heads = spec_.heads,
                         .scale = spec_.attention_scale,
                         .softcap = spec_.attention_softcap,
                         .window = kind.window,
                         .sequences = sequences,
                         .layer = cache});
  join(attended_.as<float>(), rows, {layer.o, layer.o_bias}, layer.attention_post_norm, {});
  return rows;
}

void Decoder::mlp(const DecoderLayerWeights& layer, int64_t rows) {
  project_normed(x_.as<float>(), rows, layer.mlp_norm,
                 {{layer.gate, layer.gate_bias, gate_.as<float>()}, {layer.up, layer.up_bias, up_.as<float>()}});
  const kernels::GatedActivationArgs gated = {.gate = gate_.as<float>(),
                                              .up = up_.as<float>(),
                                              .out = gate_.as<float>(),
                                              .rows = rows,
                                              .width = spec_.intermediate_size,
                                              .activation = spec_.activation};
  join(gated.out, rows, {layer.down, layer.down_bias}, layer.mlp_post_norm, {.gated = &gated});
}

Result<StepOutput> Decoder::run(const StepBatch& batch) {
  auto rows = static_cast<int64_t>(batch.tokens.size());
  const auto logits_rows = static_cast<int64_t>(batch.logits_rows.size());
  SLUICE_CHECK(rows > 0 && rows <= step_rows_max_ && logits_rows <= logits_rows_max_);
  SLUICE_CHECK(batch.positions.size() == batch.tokens.size());
  for (size_t i = 0; i < batch.logits_rows.size(); ++i)
    SLUICE_CHECK(batch.logits_rows[i] < rows && batch.logits_rows[i] > (i == 0 ? -1 : batch.logits_rows[i - 1]));
  for (const TokenId token : batch.tokens) {
    if (token < 0 || token >= spec_.vocab_size) {
      return invalid_argument(cat("token id ", token, " is outside the model's vocabulary of ", spec_.vocab_size),
                              "prompt");
    }
  }

  const StepMeans& means = rows <= few_rows_max_ ? few_ : many_;
  ops_ = *means.ops;
  prefetch_bytes_ = means.prefetch_bytes;
  pool_.use(means.threads > 0 ? means.threads : pool_.threads_max());
  fill_ropes(batch);
  ops_.embed(pool_, weights_.embedding, batch.tokens, embedding_scale_, x_.as<float>());
  for (int i = 0; i < spec_.layers; ++i) {
    // What the last layer gives is read for the wanted rows alone; of the others it computes keys and values.
    const bool only_wanted = i == spec_.layers - 1 && !batch.want_hidden && logits_rows < rows;
    rows = attention(weights_.layers[static_cast<size_t>(i)], i, batch, rows, only_wanted);
    if (rows > 0) mlp(weights_.layers[static_cast<size_t>(i)], rows);
  }

  StepOutput output;
  const auto hidden = static_cast<size_t>(spec_.hidden_size);
  if (batch.want_hidden) {
    norm(x_.as<float>(), rows, weights_.final_norm, hidden_.as<float>());
    output.hidden = {hidden_.as<float>(), static_cast<size_t>(rows) * hidden};
  }
  if (logits_rows > 0) {
    // Only the rows whose logits are wanted go through the head, the largest matrix of all.
    float* wanted = x_.as<float>();
    if (rows > logits_rows) {
      wanted = projected_.as<float>();
      for (size_t i = 0; i < batch.logits_rows.size(); ++i) {
        const auto row = static_cast<size_t>(batch.logits_rows[i]);
        std::memcpy(wanted + i * hidden, x_.as<float>() + row * hidden, hidden * sizeof(float));
      }
    }
    const std::vector<float> no_bias;
    project_normed(wanted, logits_rows, weights_.final_norm, {{weights_.head, no_bias, logits_.as<float>()}});
    if (spec_.final_softcap > 0)
      ops_.softcap(pool_, logits_.as<float>(), spec_.final_softcap, logits_rows * spec_.vocab_size);
    output.logits = {logits_.as<float>(), static_cast<size_t>(logits_rows) * static_cast<size_t>(spec_.vocab_size)};
  }
  return output;
}

}  // namespace sluice::model
