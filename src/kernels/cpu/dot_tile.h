#pragma once
// The inner loop of matrix products: rows of x times four rows of a panel, in lane sums.
//
// Lane j of an output adds up the products with k ≡ j (mod 16) in ascending order, by fused multiply-add from +0; the
// sixteen lanes are then added by halving (sum_lanes). This order belongs to the output alone: no blocking changes it.
// Included by *_isa.cc only.

#include "kernels/cpu/weights.h"

namespace sluice::kernels::SLUICE_ISA {

constexpr int kTileColumns = 4;                    // rows of the panel, outputs side by side
constexpr int kTileRows = kWidth == 16 ? 6 : 3;    // rows of x: 24 of 32 registers, or 12 of 16, hold sums
constexpr int kTileLanes = kTileColumns * kLanes;  // floats of the lane sums of one row of x

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
    constexpr int64_t kAhead = 2048;  // bytes; a row is followed by the next
    constexpr int kBytes = dtype_traits(kType).block_bytes * kBlock / dtype_traits(kType).block_elements;
    for (; i + kBlock <= length; i += kBlock, to += 2 * kTileLanes) {
      const std::byte* ahead = rows[c] + (k + i) / kBlock * kBytes + kAhead;
      for (int line = 0; line < kBytes; line += 64)
        _mm_prefetch(reinterpret_cast<const char*>(ahead + line), _MM_HINT_T0);
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

struct TileInput {
  const float* x;  // rows, `stride` floats apart
  int64_t stride;
  const float* panel;
  int64_t length;  // elements of k
};

// Where the sums come from and where they go: lane sums [rows, 4, 16], or outputs [rows, 4].
struct TileEnds {
  const float* from;  // lane sums so far; null: 0
  float* to;          // lane sums, to go on with; null: they are added up into `sums`
  float* sums;
};

#if defined(__AVX512F__)
// [a0 + a2, a1 + a3, b0 + b2, b1 + b3] of the quarters of a and b.
SLUICE_INLINE F fold_quarters(F a, F b) {
  return add(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
}
// [a0 + a1, a2 + a3, b0 + b1, b2 + b3].
SLUICE_INLINE F fold_neighbours(F a, F b) {
  return add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}
// Within each quarter [a0 + a2, a1 + a3, b0 + b2, b1 + b3].
SLUICE_INLINE F fold_within(F a, F b) {
  const __m512d x = _mm512_castps_pd(a);
  const __m512d y = _mm512_castps_pd(b);
  return add(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}

// sum_lanes of 16 registers.
SLUICE_INLINE void add_up_16(const F a[4][kTileColumns], float* sums) {
  F w[4];
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) w[c] = fold_neighbours(fold_quarters(a[0][c], a[2][c]), fold_quarters(a[1][c], a[3][c]));
  const F low = fold_within(w[0], w[1]);
  const F high = fold_within(w[2], w[3]);
  const F rows = add(_mm512_shuffle_ps(low, high, 0x88), _mm512_shuffle_ps(low, high, 0xDD));  // rows 0, 2, 1, 3
  store(sums, _mm512_shuffle_f32x4(rows, rows, 0xD8));
}

// sum_lanes of 8 registers.
SLUICE_INLINE void add_up_8(const F a[2][kTileColumns], float* sums) {
  F w[2];
#pragma GCC unroll 2
  for (int c = 0; c < 2; ++c)
    w[c] = fold_neighbours(fold_quarters(a[0][c], a[1][c]), fold_quarters(a[0][c + 2], a[1][c + 2]));
  const F pairs = fold_within(w[0], w[1]);
  const F all = add(pairs, _mm512_permute_ps(pairs, 0xB1));
  const __m512i order = _mm512_setr_epi32(0, 2, 8, 10, 4, 6, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm256_storeu_ps(sums, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, all)));
}

template <int kRows>
SLUICE_INLINE void add_up(const F sum[kRows][kTileColumns], float* sums) {
  constexpr int kFours = kRows / 4 * 4;
  constexpr int kTwos = kRows / 2 * 2;
  if constexpr (kFours > 0) add_up_16(sum, sums);
  if constexpr (kTwos > kFours) add_up_8(sum + kFours, sums + kFours * kTileColumns);
  if constexpr (kRows > kTwos) {
    const F* last = sum[kTwos];
    _mm_storeu_ps(sums + kTwos * kTileColumns, sum_lanes_4(last, last + 1, last + 2, last + 3));
  }
}
#else
// Four sums from four lane sums.
SLUICE_INLINE void add_up_4(const float* lanes, float* sums) {
  F v[kTileColumns][kParts];
  for (int c = 0; c < kTileColumns; ++c) {
    for (int p = 0; p < kParts; ++p) v[c][p] = load(lanes + c * kLanes + p * kWidth);
  }
  _mm_storeu_ps(sums, sum_lanes_4(v[0], v[1], v[2], v[3]));
}
#endif

// x[kRows, length] times the panel. With two registers to sixteen lanes each half is walked on its own.
template <int kRows>
SLUICE_INLINE void multiply_tile(const TileInput& in, const TileEnds& ends) {
#if !defined(__AVX512F__)
  float own_lanes[kRows * kTileLanes];
#endif
  for (int part = 0; part < kParts; ++part) {
    const float* x = in.x + part * kWidth;
    const float* w = in.panel + part * kWidth;
    F sum[kRows][kTileColumns] = {};
    if (ends.from != nullptr) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < kTileColumns; ++c)
          sum[r][c] = load(ends.from + (r * kTileColumns + c) * kLanes + part * kWidth);
      }
    }
    const int64_t whole = in.length & ~int64_t{kLanes - 1};
    for (int64_t k = 0; k < whole; k += kLanes, w += kTileLanes) {
#if defined(__AVX512F__)
      F columns[kTileColumns];
      for (int c = 0; c < kTileColumns; ++c) columns[c] = load(w + c * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F v = load(x + r * in.stride + k);
#pragma GCC unroll 4
        for (int c = 0; c < kTileColumns; ++c) sum[r][c] = fma(v, columns[c], sum[r][c]);
      }
#else
      // Twelve sums leave four registers: the rows of x take three, and the columns pass through the last.
      F rows[kRows];
      for (int r = 0; r < kRows; ++r) rows[r] = load(x + r * in.stride + k);
#pragma GCC unroll 4
      for (int c = 0; c < kTileColumns; ++c) {
        const F column = load(w + c * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) sum[r][c] = fma(rows[r], column, sum[r][c]);
      }
#endif
    }
    if (whole < in.length) {
      const int64_t rest = clamp_lanes(in.length - whole - part * kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F v = load_first(x + r * in.stride + whole, rest);
#pragma GCC unroll 4
        for (int c = 0; c < kTileColumns; ++c) sum[r][c] = fma(v, load(w + c * kLanes), sum[r][c]);
      }
    }
#if defined(__AVX512F__)
    if (ends.to == nullptr) return add_up<kRows>(sum, ends.sums);
    float* to = ends.to;
#else
    float* to = (ends.to != nullptr ? ends.to : own_lanes) + part * kWidth;
#endif
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kTileColumns; ++c) store(to + (r * kTileColumns + c) * kLanes, sum[r][c]);
    }
  }
#if !defined(__AVX512F__)
  if (ends.to != nullptr) return;
  for (int r = 0; r < kRows; ++r) add_up_4(own_lanes + r * kTileLanes, ends.sums + r * kTileColumns);
#endif
}

// The same for 1 … kTileRows rows known at run time.
SLUICE_INLINE void multiply_tile_rows(int rows, const TileInput& in, const TileEnds& ends) {
  switch (rows) {
    case 1:
      return multiply_tile<1>(in, ends);
    case 2:
      return multiply_tile<2>(in, ends);
    case 3:
      return multiply_tile<3>(in, ends);
#if defined(__AVX512F__)
    case 4:
      return multiply_tile<4>(in, ends);
    case 5:
      return multiply_tile<5>(in, ends);
    case 6:
      return multiply_tile<6>(in, ends);
#endif
  }
}

}  // namespace sluice::kernels::SLUICE_ISA
