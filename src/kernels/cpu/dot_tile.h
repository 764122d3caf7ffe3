#pragma once
// The inner loop of matrix products and of attention scores: rows of x times four rows of a panel, in lane sums.
//
// Lane j of an output adds up the products with k ≡ j (mod 16) in ascending order, by fused multiply-add from +0; the
// sixteen lanes are then added by halving (sum_lanes). This order belongs to the output alone: no blocking changes it.
// Included by *_isa.cc only.

#include "kernels/cpu/weights.h"

namespace sluice::kernels::SLUICE_ISA {

constexpr int kTileColumns = 4;                       // rows of the panel, outputs side by side
constexpr int kTileRows = kWidth == 16 ? 6 : 3;       // rows of x: 24 of 32 registers, or 12 of 16, hold sums
constexpr int kTileLanes = kTileColumns * kLanes;     // floats of the lane sums of one row of x

// Widens elements [k, k + length) of four rows into panel [length / 16 rounded up, 4, 16]; k is a multiple of 32.
// A null row, and what a row lacks to the last sixteen, becomes 0.
template <DType kType>
SLUICE_INLINE void pack_panel(const std::byte* const rows[kTileColumns], int64_t k, int64_t length, float* panel) {
  for (int c = 0; c < kTileColumns; ++c) {
    float* to = panel + c * kLanes;
    if (rows[c] == nullptr) {
      for (int64_t i = 0; i < length; i += kLanes, to += kTileLanes) {
        for (int p = 0; p < kParts; ++p) store(to + p * kWidth, zero());
      }
      continue;
    }
    int64_t i = 0;
    for (; i + kBlock <= length; i += kBlock, to += 2 * kTileLanes) {
      F v[2 * kParts];
      load_block<kType>(rows[c], k + i, v);
      for (int p = 0; p < kParts; ++p) {
        store(to + p * kWidth, v[p]);
        store(to + kTileLanes + p * kWidth, v[kParts + p]);
      }
    }
    for (; i < length; i += kLanes, to += kTileLanes) {
      F v[kParts] = {};
      load_lanes<kType>(rows[c], k + i, length - i < kLanes ? length - i : kLanes, v);
      for (int p = 0; p < kParts; ++p) store(to + p * kWidth, v[p]);
    }
  }
}

// lanes [kRows, 4, 16] += x[kRows, length] · panelᵀ, or = when `first`.
template <int kRows>
SLUICE_INLINE void add_tile(const float* x, int64_t stride, const float* panel, int64_t length, float* lanes, bool first) {
  for (int part = 0; part < kParts; ++part) {
    const float* xp = x + part * kWidth;
    const float* w = panel + part * kWidth;
    float* to = lanes + part * kWidth;
    F sum[kRows][kTileColumns];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kTileColumns; ++c) sum[r][c] = first ? zero() : load(to + (r * kTileColumns + c) * kLanes);
    }
    const int64_t whole = length & ~int64_t{kLanes - 1};
    for (int64_t k = 0; k < whole; k += kLanes, w += kTileLanes) {
      const F w0 = load(w);
      const F w1 = load(w + kLanes);
      const F w2 = load(w + 2 * kLanes);
      const F w3 = load(w + 3 * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F v = load(xp + r * stride + k);
        sum[r][0] = fma(v, w0, sum[r][0]);
        sum[r][1] = fma(v, w1, sum[r][1]);
        sum[r][2] = fma(v, w2, sum[r][2]);
        sum[r][3] = fma(v, w3, sum[r][3]);
      }
    }
    if (whole < length) {
      const int64_t rest = clamp_lanes(length - whole - part * kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F v = load_first(xp + r * stride + whole, rest);
#pragma GCC unroll 4
        for (int c = 0; c < kTileColumns; ++c) sum[r][c] = fma(v, load(w + c * kLanes), sum[r][c]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kTileColumns; ++c) store(to + (r * kTileColumns + c) * kLanes, sum[r][c]);
    }
  }
}

// The same for 1 … kTileRows rows known at run time.
SLUICE_INLINE void add_tile_rows(int rows, const float* x, int64_t stride, const float* panel, int64_t length, float* lanes,
                                 bool first) {
  switch (rows) {
    case 1: return add_tile<1>(x, stride, panel, length, lanes, first);
    case 2: return add_tile<2>(x, stride, panel, length, lanes, first);
    case 3: return add_tile<3>(x, stride, panel, length, lanes, first);
#if defined(__AVX512F__)
    case 4: return add_tile<4>(x, stride, panel, length, lanes, first);
    case 5: return add_tile<5>(x, stride, panel, length, lanes, first);
    case 6: return add_tile<6>(x, stride, panel, length, lanes, first);
#endif
  }
}

// The four sums of one row of lanes [4, 16].
SLUICE_INLINE __m128 sum_tile_row(const float* lanes) {
  F v[kTileColumns][kParts];
  for (int c = 0; c < kTileColumns; ++c) {
    for (int p = 0; p < kParts; ++p) v[c][p] = load(lanes + c * kLanes + p * kWidth);
  }
  return sum_lanes_4(v[0], v[1], v[2], v[3]);
}

}  // namespace sluice::kernels::SLUICE_ISA
