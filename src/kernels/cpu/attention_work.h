#pragma once
// What a share of attention works on: its queries, its scratch, and the spans of the cache that it reads.
// Included by attention_isa.cc only.

#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/shares.h"
#include "kernels/kv_layout.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();
// Heads of one row up to which widening the cache in registers, again for every kDirectRows of them, costs less than
// widening it in memory.
constexpr int kDirectQueries = 8;
constexpr int kDirectRows = kWidth == 16 ? 8 : 1;

struct Range {
  int begin;
  int end;
  bool empty() const { return begin >= end; }
};

SLUICE_INLINE Range overlap(Range a, Range b) {
  return {a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end};
}

// The share's scratch, and what is read again and again of its arguments.
struct Work {
  const AttentionShare* share;
  int queries;
  int group;  // heads per kv head
  int head_dim;
  int padded;      // head_dim rounded up to 16
  float* keys;     // [head_dim, 64]
  float* values;   // [64, padded]
  float* q;        // [queries, padded], scaled
  float* sum;      // [queries, padded] of this segment
  float* total;    // [queries, padded] of the segments before
  float* scores;   // [queries, 64]: scores, then weights
  float* highest;  // [queries] of this segment
  float* weight;   // [queries]
  float* total_highest;
  float* total_weight;

  // Tokens that query i reads.
  Range tokens(int i) const {
    const int end = share->sequence->context + (share->query_begin + i) / group + 1;
    const int window = share->args->window;
    return {window > 0 && end > window ? end - window : 0, end};
  }
  // Tokens that any query reads.
  Range all_tokens() const { return {tokens(0).begin, tokens(queries - 1).end}; }

  int64_t output_row(int i) const { return int64_t{share->sequence->first_row} + (share->query_begin + i) / group; }
  int head(int i) const { return share->kv_head * group + (share->query_begin + i) % group; }

  // All queries are heads of one row, and read the same tokens.
  bool one_row() const { return share->query_begin / group == (share->query_end - 1) / group; }
};

// Sixty-four tokens of which those in `range` are read. The places of the others are that of one of these.
struct Span {
  int start;
  Range range;
  size_t block[kSpanTokens];  // bytes from the beginning of k and v to the token's block of this head
  int within[kSpanTokens];    // the token's number in its block

  Range local() const { return {range.begin - start, range.end - start}; }
};

void find_span(const Work& w, int start, Span* span) {
  const KvLayer& layer = w.share->args->layer;
  span->start = start;
  span->range = overlap({start, start + kSpanTokens}, w.all_tokens());
  if (span->range.empty()) return;
  const size_t block_bytes = w.share->kv_row_bytes * static_cast<size_t>(layer.block_tokens);
  const Range local = span->local();
  size_t block = 0;
  int within = layer.block_tokens;
  for (int t = local.begin; t < local.end; ++t, ++within) {
    if (t == local.begin || within == layer.block_tokens) {
      const int token = start + t;
      const int64_t number = w.share->sequence->blocks[token / layer.block_tokens];
      block = static_cast<size_t>(number * layer.kv_heads + w.share->kv_head) * block_bytes;
      within = token % layer.block_tokens;
    }
    span->block[t] = block;
    span->within[t] = within;
  }
  for (int t = 0; t < local.begin; ++t) {
    span->block[t] = span->block[local.begin];
    span->within[t] = span->within[local.begin];
  }
  for (int t = local.end; t < kSpanTokens; ++t) {
    span->block[t] = span->block[local.end - 1];
    span->within[t] = span->within[local.end - 1];
  }
}

// Where the value of token t is, from the beginning of v. The token's share of the block's bytes in k, too.
SLUICE_INLINE size_t row_of(const Work& w, const Span& span, int t) {
  return span.block[t] + static_cast<size_t>(span.within[t]) * w.share->kv_row_bytes;
}

Work make_work(const AttentionShare& share) {
  Work w = {};
  w.share = &share;
  w.queries = share.query_end - share.query_begin;
  w.group = share.args->heads / share.args->layer.kv_heads;
  w.head_dim = share.args->layer.head_dim;
  w.padded = padded_head_dim(w.head_dim);
  float* next = share.scratch;
  const auto take = [&next](int64_t floats) {
    float* taken = next;
    next += floats;
    return taken;
  };
  w.keys = take(int64_t{kSpanTokens} * w.padded);
  w.values = take(int64_t{kSpanTokens} * w.padded);
  w.q = take(int64_t{kShareQueries} * w.padded);
  w.sum = take(int64_t{kShareQueries} * w.padded);
  w.total = take(int64_t{kShareQueries} * w.padded);
  w.scores = take(int64_t{kShareQueries} * kSpanTokens);
  w.highest = take(kShareQueries);
  w.weight = take(kShareQueries);
  w.total_highest = take(kShareQueries);
  w.total_weight = take(kShareQueries);
  return w;
}

}  // namespace
}  // namespace sluice::kernels::SLUICE_ISA
