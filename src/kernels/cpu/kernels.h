#pragma once
// One thread's share of every operation, for one instruction set. ops_on_cpu.h cuts operations into these shares.
//
// The definitions (*_isa.cc) are compiled once per instruction set into namespaces of their own, and call nothing that
// the rest of the program could share: no inline function of the standard library or of another header. The linker
// keeps one copy of a shared inline function, and if it kept the one built for AVX-512, the program would stop with an
// illegal instruction on a machine that has none. A test reads the symbols of these objects and finds no shared one.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/packed.h"
#include "kernels/cpu/packed_bf16.h"
#include "kernels/ops.h"

namespace sluice::kernels {

// Blocking of a matrix product with many rows: columns (rows of the weight) are widened into a panel, as many as stay
// in a level-2 cache, and k is walked in pieces of which some rows of x stay in the level-1 cache.
constexpr int kPanelColumnsMax = 32;
constexpr int64_t kPanelFloatsMax = int64_t{128} * 1024;
constexpr int kPieceDepth = 1024;
constexpr int kPanelRows = 6;                                          // rows of x in a tile
constexpr int kPanelDepthMax = static_cast<int>(kPanelFloatsMax / 4);  // beyond it matmul_panel has no room
constexpr size_t kMatmulScratchFloats = size_t{kPanelFloatsMax} + size_t{kPanelRows} * kPanelColumnsMax * 16;

static constexpr int64_t panel_columns(int64_t k) {
  const int64_t fitting = kPanelFloatsMax / ((k + 15) / 16 * 16) / 4 * 4;
  return fitting < kPanelColumnsMax ? fitting : kPanelColumnsMax;
}

// out[rows, columns] for rows [row_begin, row_end) and columns (rows of the weight) [column_begin, column_end).
struct MatmulShare {
  const MatmulArgs* args;
  const std::byte* weight;
  DType dtype;
  size_t weight_row_bytes;
  int64_t k;
  int64_t n;
  int64_t row_begin;
  int64_t row_end;
  int64_t column_begin;
  int64_t column_end;
  float* scratch;  // kMatmulScratchFloats; null for matmul_direct
};

// Attention walks a sequence in spans, and adds up segments; both stand at absolute token numbers, so that a row's
// additions do not depend on what else is computed with it.
constexpr int kSpanTokens = 64;
constexpr int kSegmentTokens = 512;
constexpr int kShareQueries = 96;  // queries of one kv head that share the reading of a span

// Floats that a head of dimension d takes in tiles.
static constexpr int padded_head_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }
static constexpr size_t attention_scratch_floats(int head_dim) {
  return static_cast<size_t>(padded_head_dim(head_dim)) * (2 * kSpanTokens + 3 * kShareQueries) +
         size_t{kShareQueries} * (kSpanTokens + 4);
}
// What is kept of one query over one segment: the largest score, the sum of weights, the weighted sum of values.
static constexpr size_t partial_floats(int head_dim) { return static_cast<size_t>(padded_head_dim(head_dim)) + 16; }

// Queries [query_begin, query_end) of one sequence and kv head: query i is head i % group of the kv head's group in row
// i / group. At most kShareQueries.
struct AttentionShare {
  const AttentionArgs* args;
  const SequenceRows* sequence;
  size_t kv_row_bytes;
  int kv_head;
  int query_begin;
  int query_end;
  float* scratch;             // attention_scratch_floats
  int segment = -1;           // ≥ 0: only this segment, into `partials` instead of args->out
  float* partials = nullptr;  // [query_end - query_begin, partial_floats]
};

struct CpuKernels {
  // Widens weights in registers: for a few rows, at the speed of memory. Sixteen registers hold the sums of fewer rows
  // than thirty-two, hence `direct_rows_max`.
  int64_t direct_rows_max;
  void (*matmul_direct)(const MatmulShare& share);
  // Widens panels of weights into scratch: for many rows, at the speed of arithmetic. Same bits as matmul_direct.
  // k ≤ kPanelDepthMax.
  void (*matmul_panel)(const MatmulShare& share);
  // packed.h: rows of x as codes, and the products of codes; `word_codes`: those of 8-bit weights as words.
  bool word_codes;
  void (*code_rows)(const CodeShare& share);
  void (*matmul_packed)(const PackedShare& share);
  // The same by tiles (tiles.h), with codes as bytes. Rows are read 32 at a time: the coded rows must have room for
  // whole blocks. Used for many rows when `use_tiles`.
  void (*matmul_tiled)(const PackedShare& share);
  bool use_tiles;
  // packed_bf16.h: rows of x as bf16, and their products, for few rows and many.
  void (*round_rows)(const RoundShare& share);
  void (*matmul_bf16)(const Bf16Share& share);
  void (*attention)(const AttentionShare& share);
  // Joins one query's segments, partials + segment · stride, into the first and writes its output.
  void (*join_segments)(float* partials, size_t stride, int segments, float* out, int head_dim);
  void (*rms_norm)(const NormArgs& args, int64_t row_begin, int64_t row_end);
  void (*rope)(const RopeArgs& args, int64_t row_begin, int64_t row_end);
  void (*read_row)(DType dtype, const std::byte* in, float scale, float* out, int64_t columns);
  void (*write_row)(DType dtype, const float* in, std::byte* out, int64_t columns);
  void (*gated_activation)(const GatedActivationArgs& args, int64_t begin, int64_t end);  // flat elements
  void (*add)(float* x, const float* y, int64_t count);
  void (*softcap)(float* x, float cap, int64_t count);
};

}  // namespace sluice::kernels
