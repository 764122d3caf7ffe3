// Products with packed bf16 weights in the order of pairs: packed_bf16.h says what they are.

#include "kernels/cpu/bf16_lanes.h"
#include "kernels/cpu/shares.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

// Tiles of many rows, whose sums fill the registers, and of few, for which memory decides.
#if defined(__AVX512BF16__)
constexpr int kTileRows = 6, kTilePanels = 4, kStreamRows = 6;
#elif defined(__AVX512F__)
constexpr int kTileRows = 6, kTilePanels = 2, kStreamRows = 6;
#else
constexpr int kTileRows = 4, kTilePanels = 1, kStreamRows = 2;
#endif
constexpr int kStreamPanels = 2;
constexpr int kUnitLines = 8;  // between two looks at what to call for
constexpr int kUnit = kUnitLines * kPairLineElements;
constexpr int64_t kBlockDepth = 256;  // of k, so that a tile's panels stay in the level-1 cache

SLUICE_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// What will be read next is called for while a tile is multiplied: `lines` of each panel for every kUnitLines.
struct Ahead {
  const std::byte* from;
  int lines;
};

struct Place {
  const std::byte* panel;  // the first of the tile's panels, at k_begin
  size_t step;             // bytes from one to the next
  int64_t row;
  int64_t k_begin;
  int64_t k_end;
  float* sums;  // [rows of the tile, panels of the tile, 16]
};

template <int kRows, int kPanels>
[[gnu::noinline]] void multiply_tile(const Bf16Share& s, const Place& at, Ahead ahead) {
  F sum[kRows][kPanels][kParts];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < kPanels * kParts; ++i)
      sum[r][i / kParts][i % kParts] = at.k_begin == 0 ? zero() : load(at.sums + r * kPanels * kLanes + i * kWidth);
  }
  const uint16_t* x = s.x + at.row * s.stride + at.k_begin;
  const std::byte* w = at.panel;
  for (int64_t k = at.k_begin; k < at.k_end; k += kUnit) {
    for (int line = 0; line < ahead.lines; ++line, ahead.from += kPairLineBytes) {
#pragma GCC unroll 4
      for (int c = 0; c < kPanels; ++c)
        _mm_prefetch(reinterpret_cast<const char*>(ahead.from + static_cast<size_t>(c) * at.step), _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (int line = 0; line < kUnitLines; ++line, x += kPairLineElements, w += kPairLineBytes) {
      Pairs pairs[kPanels];
#pragma GCC unroll 4
      for (int c = 0; c < kPanels; ++c) pairs[c] = load_pairs(w + static_cast<size_t>(c) * at.step);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Pair pair = broadcast_pair(x + r * s.stride);
#pragma GCC unroll 4
        for (int c = 0; c < kPanels; ++c) add_pairs(sum[r][c], pairs[c], pair);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < kPanels * kParts; ++i)
      store(at.sums + r * kPanels * kLanes + i * kWidth, sum[r][i / kParts][i % kParts]);
  }
}

template <int kPanels, int kRows = 1>
SLUICE_INLINE void multiply_rows(int64_t rows, const Bf16Share& s, const Place& at, const Ahead& ahead) {
  constexpr int kMost = kPanels <= kTilePanels ? kTileRows : kStreamRows;
  if (rows == kRows) return multiply_tile<kRows, kPanels>(s, at, ahead);
  if constexpr (kRows < kMost) multiply_rows<kPanels, kRows + 1>(rows, s, at, ahead);
}

// Rows that fit one tile: every weight is read once. The panels are walked as kPanels streams, each from its own start
// through memory in ascending order.
template <int kPanels>
int64_t stream_panels(const Bf16Share& s, int64_t panel) {
  const int64_t length = (s.panel_end - panel) / kPanels;
  const int64_t rows = s.row_end - s.row_begin;
  for (int64_t i = 0; i < length; ++i) {
    const std::byte* first = s.panels + static_cast<size_t>(panel + i) * s.panel_bytes;
    const Place at = {first, static_cast<size_t>(length) * s.panel_bytes, s.row_begin, 0, s.depth, s.scratch};
    multiply_rows<kPanels>(rows, s, at, {first + s.prefetch_bytes, kUnitLines});
    for (int64_t r = 0; r < rows; ++r) {
      for (int c = 0; c < kPanels; ++c)
        finish_sums(s, s.row_begin + r, panel + i + c * length, s.scratch + (r * kPanels + c) * kLanes);
    }
  }
  return panel + length * kPanels;
}

// kPanels panels from `panel` on, times all rows of the share, over one block of k.
template <int kPanels>
void multiply_block(const Bf16Share& s, int64_t panel, int64_t k_begin, const std::byte* next) {
  const int64_t k_end = least(k_begin + kBlockDepth, s.depth);
  const int64_t rows = s.row_end - s.row_begin;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  const std::byte* first =
      s.panels + static_cast<size_t>(panel) * s.panel_bytes + k_begin / kPairLineElements * kPairLineBytes;
  Ahead ahead = {next, next == nullptr ? 0 : static_cast<int>((kUnitLines + tiles - 1) / tiles)};
  float* sums = s.scratch + (panel - s.panel_begin) * rows * kLanes;
  for (int64_t row = 0; row < rows; row += kTileRows, sums += kTileRows * kPanels * kLanes) {
    const int64_t count = least(kTileRows, rows - row);
    multiply_rows<kPanels>(count, s, {first, s.panel_bytes, s.row_begin + row, k_begin, k_end, sums}, ahead);
    if (ahead.lines > 0) ahead.from += (k_end - k_begin) / kUnit * ahead.lines * kPairLineBytes;
    if (k_end < s.depth) continue;
    for (int64_t r = 0; r < count; ++r) {
      for (int c = 0; c < kPanels; ++c)
        finish_sums(s, s.row_begin + row + r, panel + c, sums + (r * kPanels + c) * kLanes);
    }
  }
}

void multiply_all(const Bf16Share& s) {
  for (int64_t k = 0; k < s.depth; k += kBlockDepth) {
    for (int64_t panel = s.panel_begin; panel < s.panel_end;) {
      const int64_t left = s.panel_end - panel;
      const int64_t count = left >= kTilePanels ? kTilePanels : left >= 2 && kTilePanels > 2 ? 2 : 1;
      const std::byte* next = nullptr;
      if (count < left) {
        next = s.panels + static_cast<size_t>(panel + count) * s.panel_bytes + k / kPairLineElements * kPairLineBytes;
      } else if (k + kBlockDepth < s.depth) {
        next = s.panels + static_cast<size_t>(s.panel_begin) * s.panel_bytes +
               (k + kBlockDepth) / kPairLineElements * kPairLineBytes;
      }
      if (count == kTilePanels) {
        multiply_block<kTilePanels>(s, panel, k, next);
      } else if (count == 2) {
        if constexpr (kTilePanels > 2) multiply_block<2>(s, panel, k, next);
      } else {
        multiply_block<1>(s, panel, k, next);
      }
      panel += count;
    }
  }
}

}  // namespace

void round_rows(const RoundShare& s) {
  for (int64_t row = s.row_begin; row < s.row_end; ++row) {
    const float* x = s.x + (row - s.row_begin) * s.k;
    uint16_t* out = s.out + row * s.stride;
    int64_t k = 0;
    for (; k + kWidth <= s.k; k += kWidth) store_rounded(out + k, load(x + k));
    // What is left, and zeros up to the depth, which is a multiple of every register's width.
    for (; k < s.depth; k += kWidth) store_rounded(out + k, load_first(x + k, clamp_lanes(s.k - k)));
  }
}

void matmul_bf16(const Bf16Share& s) {
  const unsigned before = zero_denormals();
  if (s.row_end - s.row_begin <= kStreamRows) {
    stream_panels<1>(s, stream_panels<kStreamPanels>(s, s.panel_begin));
  } else {
    multiply_all(s);
  }
  restore_denormals(before);
}

}  // namespace sluice::kernels::SLUICE_ISA
