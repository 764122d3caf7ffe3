#pragma once
// The whole vocabulary of computation. A table of functions per implementation: `ref` (plain C++, the oracle), one per
// CPU instruction set, later CUDA. The model calls nothing else, so a new device is a new table.
//
// Activations are float32, row-major, contiguous. Weights keep their stored type and are widened in registers, or are
// packed (tensor/packed_matrix.h): then the format decides the arithmetic, which is that of cpu/packed.h, or for bf16
// of cpu/packed_bf16.h. Every function may use the whole pool and returns when the result is there. No function
// allocates (scratch comes from the table's own per-thread buffers, sized once) or fails: the model has checked shapes
// and types when it was loaded.
//
// Batch invariance: a row's result depends on that row's inputs alone, bit for bit, however many rows, sequences or
// threads take part and wherever the row stands. (Every output element is accumulated in one order fixed by its own
// length.) So batched output equals unbatched output, chunked prefill equals whole prefill, and a cached prefix equals
// a computed one.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace sluice::kernels {

enum class Activation {
  kSilu,       // x / (1 + e^−x)
  kGelu,       // x · (1 + erf(x/√2)) / 2
  kGeluTanh,   // x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2
  kQuickGelu,  // x / (1 + e^−1.702x)
  kRelu,       // max(x, 0)
  kRelu2,      // max(x, 0)²
};
constexpr Activation kActivations[] = {Activation::kSilu,      Activation::kGelu, Activation::kGeluTanh,
                                       Activation::kQuickGelu, Activation::kRelu, Activation::kRelu2};

struct NormArgs {
  const float* x;       // [rows, columns]
  const float* weight;  // [columns]
  float* out;           // [rows, columns]; may be x
  int64_t rows;
  int64_t columns;
  float epsilon;
  float weight_offset;  // 0, or 1 where the model stores weight − 1 (Gemma)
};

struct MatmulArgs {
  const float* x;  // [rows, K]
  int64_t rows;
  const Tensor* weight;         // [N, K], f32 f16 bf16 q8_0 q4_0, or packed
  const float* bias = nullptr;  // [N] or null
  float* out;                   // [rows, N]
  bool accumulate = false;      // out += instead of out =
  // With few rows: how far ahead of what is read the next weights are called for, in bytes; 0: as the table sees fit.
  int prefetch_bytes = 0;
};

// Rotary embedding, in place, of the first `rotary_dim` elements of every head.
// The pair (a, b) becomes (a·cos − b·sin, b·cos + a·sin).
struct RopeArgs {
  float* x;  // [rows, stride]: heads start at x + row·stride, one after another
  int64_t rows;
  int64_t stride;  // floats from one row to the next
  int heads;
  int head_dim;
  int rotary_dim;    // even, ≤ head_dim
  bool interleaved;  // pairs (2i, 2i+1) (GLM-4, GPT-J); else (i, i + rotary_dim/2) (Llama in HF layout, NeoX)
  const float* cos;  // [rows, rotary_dim/2]
  const float* sin;  // [rows, rotary_dim/2]
};

// One layer of the paged key/value cache, of `dtype` (f32 f16 bf16, or q8_0 when head_dim is a multiple of 32): v is
// [blocks, kv_heads, block_tokens, head_dim], k [blocks, kv_heads, head_dim, block_tokens] (kv_layout.h).
struct KvLayer {
  std::byte* k;
  std::byte* v;
  DType dtype;
  int kv_heads;
  int head_dim;
  int block_tokens;  // best a multiple of 16
};

// Rows [first_row, first_row + rows) of a step belong to one sequence; the token of its row i is number context + i.
struct SequenceRows {
  int first_row;
  int rows;
  int context;            // tokens already in the cache before first_row
  const int32_t* blocks;  // block table: token t lives in blocks[t / block_tokens] at t % block_tokens
};

struct KvWriteArgs {
  const float* k;  // [rows, stride], kv_heads·head_dim of each row are used
  const float* v;  // [rows, stride]
  int64_t stride;
  std::span<const SequenceRows> sequences;
  KvLayer layer;
};

// Causal attention of every row over its own sequence's tokens 0 … context + i (its own included, already written).
struct AttentionArgs {
  const float* q;  // [rows, q_stride], heads·head_dim of each row are used
  int64_t q_stride;
  float* out;  // [rows, heads·head_dim]
  int heads;   // a multiple of kv_heads; head h reads kv head h / (heads / kv_heads)
  float scale;
  float softcap = 0;  // > 0: score = softcap · tanh(score / softcap)
  int window = 0;     // > 0: only the last `window` tokens, the row's own included
  std::span<const SequenceRows> sequences;
  KvLayer layer;
};

struct GatedActivationArgs {
  const float* gate;  // [rows, width]
  const float* up;    // [rows, width]
  float* out;         // [rows, width] = activation(gate) · up; may be gate
  int64_t rows;
  int64_t width;
  Activation activation;
};

// Rows that a product makes itself, a few at a time as it reads them: those of one operation, whose `out` is the
// products' x. Whether they are written there is the table's affair. With neither, x is in memory.
struct RowSource {
  const NormArgs* norm = nullptr;
  const GatedActivationArgs* gated = nullptr;
};

struct Ops {
  std::string_view name;  // "ref", "tiles", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx"
  bool fast_int8;         // packed int8 and int4 weights are multiplied faster than any other kind
  bool fast_bf16;         // packed bf16 weights are multiplied faster than rows of bf16: tried on this machine

  // out[i] = scale · table[ids[i]]; table [vocab, columns] of any weight type, out [ids, columns].
  void (*embed)(ThreadPool& pool, const Tensor& table, std::span<const int32_t> ids, float scale, float* out);
  void (*rms_norm)(ThreadPool& pool, const NormArgs& args);
  void (*matmul)(ThreadPool& pool, const MatmulArgs& args);
  // The same for several weights that meet the same x (one x, one row count): it is made or read and, for packed
  // weights, coded once, and all share one parallel loop.
  void (*matmul_many)(ThreadPool& pool, std::span<const MatmulArgs> all, const RowSource& source);
  void (*rope)(ThreadPool& pool, const RopeArgs& args);
  void (*kv_write)(ThreadPool& pool, const KvWriteArgs& args);
  void (*attention)(ThreadPool& pool, const AttentionArgs& args);
  void (*gated_activation)(ThreadPool& pool, const GatedActivationArgs& args);
  void (*add)(ThreadPool& pool, float* x, const float* y, int64_t count);  // x += y
  void (*softcap)(ThreadPool& pool, float* x, float cap, int64_t count);   // x = cap · tanh(x / cap)
};

const Ops& reference_ops();
// Every table this machine can run, the fastest last; "ref" is always there.
std::vector<const Ops*> available_ops();
// The table to use: the fastest, or the one named by `pinned` (the SLUICE_KERNELS variable; "" for none).
// kInvalidArgument lists the names when `pinned` is unknown or cannot run here.
Result<const Ops*> select_ops(std::string_view pinned);

}  // namespace sluice::kernels
