// The oracle: every operation as its formula reads, summed in double, in ascending order.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/kv_layout.h"
#include "kernels/ref/packed.h"
#include "tensor/quantize.h"

namespace sluice::kernels {
namespace {

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::kGeluTanh: {
      constexpr double kSqrt2OverPi = 0.79788456080286535588;
      return 0.5 * x * (1.0 + std::tanh(kSqrt2OverPi * (x + 0.044715 * x * x * x)));
    }
    case Activation::kQuickGelu:
      return x / (1.0 + std::exp(-1.702 * x));
    case Activation::kRelu:
      return x < 0 ? 0 : x;
    case Activation::kRelu2:
      return x < 0 ? 0 : x * x;
  }
  return x;
}

// A row of floats of the calling thread's own; it keeps the longest length it was asked for.
float* row_scratch(int64_t elements) {
  thread_local std::vector<float> scratch;
  if (scratch.size() < static_cast<size_t>(elements)) scratch.resize(static_cast<size_t>(elements));
  return scratch.data();
}

void embed(ThreadPool& pool, const Tensor& table, std::span<const int32_t> ids, float scale, float* out) {
  const int64_t columns = table.shape.columns();
  pool.parallel_for(static_cast<int64_t>(ids.size()), [&](int64_t i, int) {
    float* row = out + i * columns;
    if (table.dtype == DType::kPacked) {
      unpack_row(packed_view(table), ids[static_cast<size_t>(i)], row);
    } else {
      dequantize_row(table.dtype, table.row(ids[static_cast<size_t>(i)]), row, columns);
    }
    for (int64_t c = 0; c < columns; ++c) row[c] *= scale;
  });
}

void rms_norm(ThreadPool& pool, const NormArgs& args) {
  pool.parallel_for(args.rows, [&](int64_t r, int) {
    const float* x = args.x + r * args.columns;
    float* out = args.out + r * args.columns;
    double squares = 0;
    for (int64_t c = 0; c < args.columns; ++c) squares += double{x[c]} * x[c];
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(args.columns) + args.epsilon);
    for (int64_t c = 0; c < args.columns; ++c) {
      out[c] = static_cast<float>(x[c] * inverse * (double{args.weight[c]} + args.weight_offset));
    }
  });
}

void matmul(ThreadPool& pool, const MatmulArgs& args) {
  if (args.weight->dtype == DType::kPacked) return ref::matmul_packed(pool, args);
  const int64_t k_size = args.weight->shape.columns();
  const int64_t n_size = args.weight->shape.rows();
  pool.parallel_for(n_size, [&](int64_t n, int) {
    float* w = row_scratch(k_size);
    dequantize_row(args.weight->dtype, args.weight->row(n), w, k_size);
    for (int64_t m = 0; m < args.rows; ++m) {
      const float* x = args.x + m * k_size;
      double sum = args.bias != nullptr ? args.bias[n] : 0.0;
      for (int64_t k = 0; k < k_size; ++k) sum += double{x[k]} * w[k];
      float& out = args.out[m * n_size + n];
      out = static_cast<float>(args.accumulate ? out + sum : sum);
    }
  });
}

void rope(ThreadPool& pool, const RopeArgs& args) {
  const int half = args.rotary_dim / 2;
  pool.parallel_for(args.rows, [&](int64_t r, int) {
    for (int head = 0; head < args.heads; ++head) {
      float* x = args.x + r * args.stride + int64_t{head} * args.head_dim;
      for (int i = 0; i < half; ++i) {
        float& a = x[args.interleaved ? 2 * i : i];
        float& b = x[args.interleaved ? 2 * i + 1 : i + half];
        const double c = args.cos[r * half + i];
        const double s = args.sin[r * half + i];
        const double rotated_a = a * c - b * s;
        const double rotated_b = b * c + a * s;
        a = static_cast<float>(rotated_a);
        b = static_cast<float>(rotated_b);
      }
    }
  });
}

// Where a token of a sequence is, for one head.
struct KvPlace {
  KvPlace(const KvLayer& layer, const SequenceRows& sequence, int head, int token)
      : within(token % layer.block_tokens) {
    const int64_t number = sequence.blocks[token / layer.block_tokens];
    block = static_cast<size_t>((number * layer.kv_heads + head) * layer.block_tokens) *
            row_bytes(layer.dtype, layer.head_dim);
  }
  size_t value(const KvLayer& layer) const {
    return block + static_cast<size_t>(within) * row_bytes(layer.dtype, layer.head_dim);
  }
  size_t block;  // bytes from the start of k or v
  int within;    // number of the token in its block
};

void kv_write(ThreadPool& pool, const KvWriteArgs& args) {
  const KvLayer& layer = args.layer;
  pool.parallel_for(static_cast<int64_t>(args.sequences.size()), [&](int64_t s, int) {
    const SequenceRows& sequence = args.sequences[static_cast<size_t>(s)];
    std::vector<std::byte> key(row_bytes(layer.dtype, layer.head_dim));
    for (int i = 0; i < sequence.rows; ++i) {
      for (int head = 0; head < layer.kv_heads; ++head) {
        const KvPlace place(layer, sequence, head, sequence.context + i);
        const int64_t from = (int64_t{sequence.first_row} + i) * args.stride + int64_t{head} * layer.head_dim;
        quantize_row(layer.dtype, args.k + from, key.data(), layer.head_dim);
        put_key(layer.dtype, layer.block_tokens, layer.head_dim, place.within, key.data(), layer.k + place.block);
        quantize_row(layer.dtype, args.v + from, layer.v + place.value(layer), layer.head_dim);
      }
    }
  });
}

// One row and one head. Two passes: the weights of all tokens, then the weighted sum.
void attend(const AttentionArgs& args, const SequenceRows& sequence, int row, int head) {
  const KvLayer& layer = args.layer;
  const int head_dim = layer.head_dim;
  const int kv_head = head / (args.heads / layer.kv_heads);
  const int last = sequence.context + row;
  const int first = args.window > 0 ? std::max(0, last - args.window + 1) : 0;
  const int64_t output_row = int64_t{sequence.first_row} + row;
  const float* q = args.q + output_row * args.q_stride + int64_t{head} * head_dim;

  float* token = row_scratch(head_dim);
  std::vector<std::byte> key(row_bytes(layer.dtype, head_dim));
  std::vector<double> weights;
  double highest = -std::numeric_limits<double>::infinity();
  for (int t = first; t <= last; ++t) {
    const KvPlace place(layer, sequence, kv_head, t);
    take_key(layer.dtype, layer.block_tokens, head_dim, place.within, layer.k + place.block, key.data());
    dequantize_row(layer.dtype, key.data(), token, head_dim);
    double score = 0;
    for (int d = 0; d < head_dim; ++d) score += double{q[d]} * token[d];
    score *= args.scale;
    if (args.softcap > 0) score = args.softcap * std::tanh(score / args.softcap);
    weights.push_back(score);
    highest = std::max(highest, score);
  }
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - highest);
  std::vector<double> sum(static_cast<size_t>(head_dim), 0.0);
  for (int t = first; t <= last; ++t) {
    const KvPlace place(layer, sequence, kv_head, t);
    dequantize_row(layer.dtype, layer.v + place.value(layer), token, head_dim);
    for (int d = 0; d < head_dim; ++d)
      sum[static_cast<size_t>(d)] += weights[static_cast<size_t>(t - first)] * token[d];
  }
  float* out = args.out + (output_row * args.heads + head) * head_dim;
  for (int d = 0; d < head_dim; ++d) out[d] = static_cast<float>(sum[static_cast<size_t>(d)] / total);
}

void attention(ThreadPool& pool, const AttentionArgs& args) {
  for (const SequenceRows& sequence : args.sequences) {
    pool.parallel_for(int64_t{sequence.rows} * args.heads, [&](int64_t task, int) {
      attend(args, sequence, static_cast<int>(task / args.heads), static_cast<int>(task % args.heads));
    });
  }
}

void gated_activation(ThreadPool& pool, const GatedActivationArgs& args) {
  pool.parallel_for(args.rows, [&](int64_t r, int) {
    for (int64_t i = r * args.width; i < (r + 1) * args.width; ++i) {
      args.out[i] = static_cast<float>(activate(args.activation, args.gate[i]) * args.up[i]);
    }
  });
}

void matmul_many(ThreadPool& pool, std::span<const MatmulArgs> all, const RowSource& source) {
  if (source.norm != nullptr) rms_norm(pool, *source.norm);
  if (source.gated != nullptr) gated_activation(pool, *source.gated);
  for (const MatmulArgs& args : all) matmul(pool, args);
}

void add(ThreadPool&, float* x, const float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] += y[i];
}

void softcap(ThreadPool&, float* x, float cap, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(cap * std::tanh(double{x[i]} / cap));
}

}  // namespace

const Ops& reference_ops() {
  static constexpr Ops kOps = {
      .name = "ref",
      .fast_int8 = false,
      .fast_bf16 = false,
      .embed = embed,
      .rms_norm = rms_norm,
      .matmul = matmul,
      .matmul_many = matmul_many,
      .rope = rope,
      .kv_write = kv_write,
      .attention = attention,
      .gated_activation = gated_activation,
      .add = add,
      .softcap = softcap,
  };
  return kOps;
}

}  // namespace sluice::kernels
