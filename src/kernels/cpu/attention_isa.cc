// Attention with an online softmax (Milakov & Gimelshein 2018; FlashAttention, Dao 2022) over the paged cache.
//
// A span of 64 tokens is widened once for all queries of a share. Of a query, each segment of 512 tokens has a largest
// score, a sum of weights and a weighted sum of values of its own; the segments are joined in order.

#include "kernels/cpu/attention_work.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

void load_queries(const Work& w) {
  const AttentionArgs& args = *w.share->args;
  const F scale = set1(args.scale);
  for (int i = 0; i < w.queries; ++i) {
    const float* from = args.q + w.output_row(i) * args.q_stride + int64_t{w.head(i)} * w.head_dim;
    float* to = w.q + int64_t{i} * w.padded;
    for (int d = 0; d < w.padded; d += kWidth)
      store(to + d, mul(scale, load_first(from + d, clamp_lanes(w.head_dim - d))));
  }
}

// Sixteen tokens' keys as they lie in the cache: element d of all of them, then element d + 1.
struct KeyColumns {
  KeyColumns() = default;
  // Of tokens [16·group, 16·group + 16) of the span, where a block has a multiple of sixteen.
  KeyColumns(const Work& w, const Span& span, int group) {
    const Range local = span.local();
    int t = group * kLanes;  // or one beside it whose place is known
    if (t < local.begin) t = local.begin;
    if (t >= local.end) t = local.end - 1;
    block = w.share->args->layer.k + span.block[t];
    within = span.within[t] / kLanes * kLanes;
  }
  const std::byte* block;
  int within;  // the first token's number in its block
};

// Calls element(d, k) with element d of kGroups · 16 tokens' keys as floats, d ascending.
template <DType kType, int kGroups, class Element>
SLUICE_INLINE void for_elements(const KvLayer& layer, const KeyColumns columns[kGroups], const Element& element) {
  const size_t step = key_element(kType, layer.block_tokens, 1, 0);
  for (int d = 0; d < layer.head_dim; d += kKeyGroup) {
    const int end = layer.head_dim - d < kKeyGroup ? layer.head_dim : d + kKeyGroup;
    const std::byte* at[kGroups];
    F scale[kGroups][kParts] = {};
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      at[g] = columns[g].block + key_element(kType, layer.block_tokens, d, columns[g].within);
      if constexpr (kType == DType::kQ8_0) {
        const std::byte* scales = columns[g].block + key_scale(layer.block_tokens, d, columns[g].within);
        for (int p = 0; p < kParts; ++p) scale[g][p] = load_f16(scales + 2 * p * kWidth);
      }
    }
    for (int e = d; e < end; ++e) {
      F k[kGroups][kParts];
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        load_sixteen<kType>(at[g], k[g]);
        at[g] += step;
        if constexpr (kType == DType::kQ8_0) {
          for (int p = 0; p < kParts; ++p) k[g][p] = mul(k[g][p], scale[g][p]);
        }
      }
      element(e, k);
    }
  }
}

template <DType kType>
void widen_keys(const Work& w, const Span& span) {
  const KvLayer& layer = w.share->args->layer;
  const Range range = span.local();
  for (int group = range.begin / kLanes; group * kLanes < range.end; ++group) {
    KeyColumns columns(w, span, group);
    KvLayer from = layer;
    // Blocks of another size: the tokens' keys are brought together first, in the scratch of the values.
    if (layer.block_tokens % kLanes != 0) {
      auto* row = reinterpret_cast<std::byte*>(w.values);
      auto* gathered = reinterpret_cast<std::byte*>(w.values + w.padded);
      for (int t = 0; t < kLanes; ++t) {
        const int token = group * kLanes + t;
        take_key(kType, layer.block_tokens, layer.head_dim, span.within[token], layer.k + span.block[token], row);
        put_key(kType, kLanes, layer.head_dim, t, row, gathered);
      }
      from.block_tokens = kLanes;
      columns.block = gathered;
      columns.within = 0;
    }
    for_elements<kType, 1>(from, &columns, [&](int d, const F k[1][kParts]) {
      for (int p = 0; p < kParts; ++p) store(w.keys + d * kSpanTokens + group * kLanes + p * kWidth, k[0][p]);
    });
  }
}

template <DType kType>
void widen_values(const Work& w, const Span& span) {
  const Range range = span.local();
  for (int t = range.begin; t < range.end; ++t) {
    const std::byte* row = w.share->args->layer.v + row_of(w, span, t);
    float* to = w.values + int64_t{t} * w.padded;
    int d = 0;
    for (; d + kBlock <= w.head_dim; d += kBlock) {
      F v[2 * kParts];
      load_block<kType>(row, d, v);
      for (int p = 0; p < 2 * kParts; ++p) store(to + d + p * kWidth, v[p]);
    }
    for (; d < w.head_dim; d += kLanes) {
      F v[kParts] = {};
      load_lanes<kType>(row, d, w.head_dim - d < kLanes ? w.head_dim - d : kLanes, v);
      for (int p = 0; p < kParts; ++p) store(to + d + p * kWidth, v[p]);
    }
  }
}

constexpr size_t kLineBytes = 64;
constexpr int kScoreRegisters = 4;  // of widened keys that a tile of scores reads

// scores[kRows, kScoreRegisters registers from token t on] = queries from i on · widened keys: elements ascending, by
// fused multiply-add from +0.
template <int kRows>
SLUICE_INLINE void score_tile(const Work& w, int i, int t) {
  const float* q = w.q + int64_t{i} * w.padded;
  const float* keys = w.keys + t;
  F sum[kRows][kScoreRegisters] = {};
  for (int d = 0; d < w.head_dim; ++d, keys += kSpanTokens) {
    F one[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) one[r] = set1(q[r * w.padded + d]);
#pragma GCC unroll 4
    for (int c = 0; c < kScoreRegisters; ++c) {
      const F k = load(keys + c * kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r][c] = fma(one[r], k, sum[r][c]);
    }
  }
  float* to = w.scores + int64_t{i} * kSpanTokens + t;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kScoreRegisters; ++c) store(to + r * kSpanTokens + c * kWidth, sum[r][c]);
  }
}

SLUICE_INLINE void score_rows(int rows, const Work& w, int i, int t) {
  switch (rows) {
    case 1:
      return score_tile<1>(w, i, t);
    case 2:
      return score_tile<2>(w, i, t);
    case 3:
      return score_tile<3>(w, i, t);
#if defined(__AVX512F__)
    case 4:
      return score_tile<4>(w, i, t);
    case 5:
      return score_tile<5>(w, i, t);
    case 6:
      return score_tile<6>(w, i, t);
#endif
  }
}

// Scores of queries with the tokens of the span that they read, and with others, which mean nothing.
void score_span(const Work& w, const Range* ranges) {
  constexpr int kTokens = kScoreRegisters * kWidth;
  for (int i = 0; i < w.queries; i += kTileRows) {
    const int rows = w.queries - i < kTileRows ? w.queries - i : kTileRows;
    Range any = {kSpanTokens, 0};
    for (int r = 0; r < rows; ++r) {
      const Range range = ranges[i + r];
      if (range.empty()) continue;
      if (range.begin < any.begin) any.begin = range.begin;
      if (range.end > any.end) any.end = range.end;
    }
    for (int t = any.begin / kTokens * kTokens; t < any.end; t += kTokens) score_rows(rows, w, i, t);
  }
}

// Turns the scores of query i, tokens `range` of the span, into weights; brings its sums so far to the new largest
// score.
void weigh(const Work& w, int i, Range range) {
  constexpr int kRegisters = kSpanTokens / kWidth;
  const float softcap = w.share->args->softcap;
  float* scores = w.scores + int64_t{i} * kSpanTokens;
  F s[kRegisters];
  F most = set1(kMinusInfinity);
  for (int v = 0; v < kRegisters; ++v) {
    s[v] = load(scores + v * kWidth);
    if (softcap > 0) s[v] = mul(set1(softcap), tanh(div(s[v], set1(softcap))));
    s[v] = keep_between(s[v], clamp_lanes(range.begin - v * kWidth), clamp_lanes(range.end - v * kWidth),
                        set1(kMinusInfinity));
    most = max(most, s[v]);
  }
  const float before = w.highest[i];
  const float largest = max_of_lanes(most);
  const float highest = largest > before ? largest : before;
  for (int v = 0; v < kRegisters; ++v) {
    s[v] = exp(sub(s[v], set1(highest)));
    store(scores + v * kWidth, s[v]);
  }
  F added[kParts];
  for (int p = 0; p < kParts; ++p) {
    added[p] = add(add(s[p], s[kParts + p]), add(s[2 * kParts + p], s[3 * kParts + p]));
  }
  if (highest != before) {
    const F shrink = exp(set1(before - highest));
    float* sum = w.sum + int64_t{i} * w.padded;
    for (int d = 0; d < w.padded; d += kWidth) store(sum + d, mul(load(sum + d), shrink));
    w.weight[i] *= first_lane(shrink);
    w.highest[i] = highest;
  }
  w.weight[i] += sum_lanes(added);
}

// sum[kRows, d … d + kColumns registers) += weights · values over the tokens of `range`, ascending.
template <int kRows, int kColumns>
SLUICE_INLINE void add_values_at(const Work& w, int i, int d, Range range) {
  F sum[kRows][kColumns];
  float* to = w.sum + int64_t{i} * w.padded + d;
  const float* weights = w.scores + int64_t{i} * kSpanTokens;
  const float* values = w.values + d;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) sum[r][c] = load(to + int64_t{r} * w.padded + c * kWidth);
  }
  for (int t = range.begin; t < range.end; ++t) {
    F v[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) v[c] = load(values + int64_t{t} * w.padded + c * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F weight = set1(weights[r * kSpanTokens + t]);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) sum[r][c] = fma(weight, v[c], sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) store(to + int64_t{r} * w.padded + c * kWidth, sum[r][c]);
  }
}

template <int kRows>
void add_values(const Work& w, int i, Range range) {
  constexpr int kColumns = kRows == 1 ? 8 : 4;
  if (range.empty()) return;
  int d = 0;
  for (; d + kColumns * kWidth <= w.padded; d += kColumns * kWidth) add_values_at<kRows, kColumns>(w, i, d, range);
  for (; d < w.padded; d += kWidth) add_values_at<kRows, 1>(w, i, d, range);
}

// kTileRows queries from i: tokens that all of them read are added for all at once, the others one by one, before or
// after, so that every query adds up its tokens in ascending order.
void add_values_of_tile(const Work& w, int i, const Range ranges[kTileRows]) {
  Range common = ranges[0];
  for (int r = 1; r < kTileRows; ++r) common = overlap(common, ranges[r]);
  if (common.empty()) {
    for (int r = 0; r < kTileRows; ++r) add_values<1>(w, i + r, ranges[r]);
    return;
  }
  for (int r = 0; r < kTileRows; ++r) add_values<1>(w, i + r, {ranges[r].begin, common.begin});
  add_values<kTileRows>(w, i, common);
  for (int r = 0; r < kTileRows; ++r) add_values<1>(w, i + r, {common.end, ranges[r].end});
}

template <DType kType>
void attend_widened(const Work& w, const Span& span) {
  Range ranges[kShareQueries];
  for (int i = 0; i < w.queries; ++i) {
    const Range own = w.tokens(i);
    ranges[i] = overlap({own.begin - span.start, own.end - span.start}, {0, kSpanTokens});
  }
  widen_keys<kType>(w, span);
  score_span(w, ranges);
  for (int i = 0; i < w.queries; ++i) {
    if (!ranges[i].empty()) weigh(w, i, ranges[i]);
  }
  widen_values<kType>(w, span);
  int i = 0;
  for (; i + kTileRows <= w.queries; i += kTileRows) add_values_of_tile(w, i, ranges + i);
  for (; i < w.queries; ++i) add_values<1>(w, i, ranges[i]);
}

SLUICE_INLINE void call_for(const std::byte* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }

// Scores of queries [i, i + kRows) with kGroups · 16 tokens, widened in registers: the additions of score_tile. The
// first query's call for the values of these tokens, a line at a time: more at once would stand in each other's way.
template <DType kType, int kRows, int kGroups>
SLUICE_INLINE void score_direct(const Work& w, int i, const KeyColumns columns[kGroups], float* scores) {
  const float* q = w.q + int64_t{i} * w.padded;
  const KvLayer& layer = w.share->args->layer;
  const std::byte* values[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    values[g] = layer.v + (columns[g].block - layer.k) + static_cast<size_t>(columns[g].within) * w.share->kv_row_bytes;
  }
  constexpr size_t kElementBytes = dtype_traits(kType).block_bytes * kLanes / dtype_traits(kType).block_elements;
  size_t wanted = 0, called = i == 0 ? 0 : SIZE_MAX;  // bytes of the values
  F sum[kRows][kGroups][kParts] = {};
  for_elements<kType, kGroups>(layer, columns, [&](int d, const F k[kGroups][kParts]) {
    for (wanted += kElementBytes; called < wanted; called += kLineBytes) {
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) call_for(values[g] + called);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F one = set1(q[r * w.padded + d]);
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        for (int p = 0; p < kParts; ++p) sum[r][g][p] = fma(one, k[g][p], sum[r][g][p]);
      }
    }
  });
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      for (int p = 0; p < kParts; ++p) store(scores + r * kSpanTokens + g * kLanes + p * kWidth, sum[r][g][p]);
    }
  }
}

// sum[kRows, d … d + 32 · kBlocks) += weights · values: the additions of add_values.
template <DType kType, int kRows, int kBlocks>
SLUICE_INLINE void add_values_direct(const Work& w, int i, int d, const Span& span, const Span* next) {
  constexpr int kRegisters = 2 * kParts;
  const std::byte* values = w.share->args->layer.v;
  const std::byte* keys = w.share->args->layer.k;
  const Range range = span.local();
  const float* weights = w.scores + int64_t{i} * kSpanTokens;
  float* to = w.sum + int64_t{i} * w.padded + d;
  // The part of a row that these elements are.
  const size_t begin = (row_bytes(kType, d) + kLineBytes - 1) / kLineBytes * kLineBytes;
  const size_t end = row_bytes(kType, d + kBlocks * kBlock);
  F sum[kRows][kBlocks][kRegisters];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      for (int p = 0; p < kRegisters; ++p) sum[r][b][p] = load(to + int64_t{r} * w.padded + b * kBlock + p * kWidth);
    }
  }
  for (int t = range.begin; t < range.end; ++t) {
    if (next != nullptr) {
      const std::byte* row = keys + row_of(w, *next, t);
      for (size_t line = begin; line < end; line += kLineBytes) call_for(row + line);
    }
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      F v[kRegisters];
      load_block<kType>(values + row_of(w, span, t), d + b * kBlock, v);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F weight = set1(weights[r * kSpanTokens + t]);
        for (int p = 0; p < kRegisters; ++p) sum[r][b][p] = fma(weight, v[p], sum[r][b][p]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      for (int p = 0; p < kRegisters; ++p) store(to + int64_t{r} * w.padded + b * kBlock + p * kWidth, sum[r][b][p]);
    }
  }
}

// The last head_dim % 32 elements.
template <DType kType>
void add_last_values(const Work& w, int i, int d, const Span& span) {
  const Range range = span.local();
  for (; d < w.head_dim; d += kLanes) {
    float* to = w.sum + int64_t{i} * w.padded + d;
    F sum[kParts];
    for (int p = 0; p < kParts; ++p) sum[p] = load(to + p * kWidth);
    for (int t = range.begin; t < range.end; ++t) {
      F v[kParts] = {};
      load_lanes<kType>(w.share->args->layer.v + row_of(w, span, t), d,
                        w.head_dim - d < kLanes ? w.head_dim - d : kLanes, v);
      const F weight = set1(w.scores[int64_t{i} * kSpanTokens + t]);
      for (int p = 0; p < kParts; ++p) sum[p] = fma(weight, v[p], sum[p]);
    }
    for (int p = 0; p < kParts; ++p) store(to + p * kWidth, sum[p]);
  }
}

// kRows heads of one row. The first of them call for the values, and for the keys of the next span.
template <DType kType, int kRows>
SLUICE_INLINE void attend_direct_rows(const Work& w, int i, const Span& span, const Span& next) {
  constexpr int kGroups = kRows > 4 ? 2 : 4;
  constexpr int kTokens = kGroups * kLanes;
  const Range range = span.local();
  for (int t = range.begin / kTokens * kTokens; t < range.end; t += kTokens) {
    KeyColumns columns[kGroups];
    for (int g = 0; g < kGroups; ++g) columns[g] = KeyColumns(w, span, t / kLanes + g);
    score_direct<kType, kRows, kGroups>(w, i, columns, w.scores + int64_t{i} * kSpanTokens + t);
  }
  for (int r = 0; r < kRows; ++r) weigh(w, i + r, range);
  constexpr int kBlocks = kWidth < 16 ? 2 : kRows == 1 ? 4 : kRows > 4 ? 1 : 2;
  int d = 0;
  const Span* wanted = i == 0 && !next.range.empty() ? &next : nullptr;
  for (; d + kBlocks * kBlock <= w.head_dim; d += kBlocks * kBlock)
    add_values_direct<kType, kRows, kBlocks>(w, i, d, span, wanted);
  for (; d + kBlock <= w.head_dim; d += kBlock) add_values_direct<kType, kRows, 1>(w, i, d, span, wanted);
  for (int r = 0; r < kRows; ++r) add_last_values<kType>(w, i + r, d, span);
}

// One row's few heads, straight from the cache, at the speed of memory.
template <DType kType>
void attend_direct(const Work& w, const Span& span, const Span& next) {
  int i = 0;
  for (; i + kDirectRows <= w.queries; i += kDirectRows) attend_direct_rows<kType, kDirectRows>(w, i, span, next);
  if constexpr (kDirectRows > 4) {
    for (; i + 4 <= w.queries; i += 4) attend_direct_rows<kType, 4>(w, i, span, next);
    for (; i + 2 <= w.queries; i += 2) attend_direct_rows<kType, 2>(w, i, span, next);
  }
  for (; i < w.queries; ++i) attend_direct_rows<kType, 1>(w, i, span, next);
}

// One query's sums over some tokens.
struct Sums {
  float* highest;
  float* weight;
  float* sum;  // [padded]
};

SLUICE_INLINE void copy_sums(const Sums& to, float highest, float weight, const float* sum, int padded) {
  *to.highest = highest;
  *to.weight = weight;
  for (int d = 0; d < padded; d += kWidth) store(to.sum + d, load(sum + d));
}

SLUICE_INLINE void join_sums(const Sums& to, float highest, float weight, const float* sum, int padded) {
  const float most = *to.highest > highest ? *to.highest : highest;
  const F shrink_old = exp(set1(*to.highest - most));
  const F shrink_new = exp(set1(highest - most));
  for (int d = 0; d < padded; d += kWidth) {
    store(to.sum + d, fma(load(sum + d), shrink_new, mul(load(to.sum + d), shrink_old)));
  }
  *to.weight = *to.weight * first_lane(shrink_old) + weight * first_lane(shrink_new);
  *to.highest = most;
}

void write_output(const float* sum, float weight, float* out, int head_dim) {
  const F inverse = div(set1(1.0f), set1(weight));
  for (int d = 0; d < head_dim; d += kWidth) {
    store_first(out + d, mul(load(sum + d), inverse), clamp_lanes(head_dim - d));
  }
}

template <DType kType>
void attend_segment(const Work& w, int segment) {
  for (int i = 0; i < w.queries; ++i) {
    w.highest[i] = kMinusInfinity;
    w.weight[i] = 0;
  }
  for (int64_t d = 0; d < int64_t{w.queries} * w.padded; d += kWidth) store(w.sum + d, zero());
  const int begin = segment * kSegmentTokens;
  const bool direct = w.one_row() && w.queries <= kDirectQueries && w.share->args->layer.block_tokens % kLanes == 0;
  Span spans[2];
  find_span(w, begin, &spans[0]);
  for (int i = 0; i < kSegmentTokens / kSpanTokens; ++i) {
    const Span& span = spans[i % 2];
    Span& next = spans[(i + 1) % 2];
    find_span(w, begin + (i + 1) * kSpanTokens, &next);
    if (span.range.empty()) continue;
    if (direct) {
      attend_direct<kType>(w, span, next);
    } else {
      attend_widened<kType>(w, span);
    }
  }
}

void keep_segment(const Work& w, int segment) {
  for (int i = 0; i < w.queries; ++i) {
    const Range own = w.tokens(i);
    const int begin = segment * kSegmentTokens;
    if (overlap(own, {begin, begin + kSegmentTokens}).empty()) continue;
    const Sums total = {w.total_highest + i, w.total_weight + i, w.total + int64_t{i} * w.padded};
    const float* sum = w.sum + int64_t{i} * w.padded;
    if (segment == own.begin / kSegmentTokens) {
      copy_sums(total, w.highest[i], w.weight[i], sum, w.padded);
    } else {
      join_sums(total, w.highest[i], w.weight[i], sum, w.padded);
    }
  }
}

template <DType kType>
void attend(const AttentionShare& share) {
  const Work w = make_work(share);
  load_queries(w);
  if (share.segment >= 0) {
    attend_segment<kType>(w, share.segment);
    for (int i = 0; i < w.queries; ++i) {
      float* to = share.partials + static_cast<size_t>(i) * partial_floats(w.head_dim);
      copy_sums({to, to + 1, to + kLanes}, w.highest[i], w.weight[i], w.sum + int64_t{i} * w.padded, w.padded);
    }
    return;
  }
  const Range all = w.all_tokens();
  for (int segment = all.begin / kSegmentTokens; segment * kSegmentTokens < all.end; ++segment) {
    attend_segment<kType>(w, segment);
    keep_segment(w, segment);
  }
  for (int i = 0; i < w.queries; ++i) {
    float* out = share.args->out + (w.output_row(i) * share.args->heads + w.head(i)) * w.head_dim;
    write_output(w.total + int64_t{i} * w.padded, w.total_weight[i], out, w.head_dim);
  }
}

}  // namespace

void attention(const AttentionShare& share) {
  for_type(share.args->layer.dtype, [&]<DType kType>() { attend<kType>(share); });
}

void join_segments(float* partials, size_t stride, int segments, float* out, int head_dim) {
  const Sums total = {partials, partials + 1, partials + kLanes};
  for (int s = 1; s < segments; ++s) {
    const float* next = partials + static_cast<size_t>(s) * stride;
    join_sums(total, next[0], next[1], next + kLanes, padded_head_dim(head_dim));
  }
  write_output(total.sum, *total.weight, out, head_dim);
}

}  // namespace sluice::kernels::SLUICE_ISA
