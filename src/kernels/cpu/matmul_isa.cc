// Matrix products: few rows of x straight from the stored weights, many rows from widened panels, with the same sums.

#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/shares.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

// Rows of x that matmul_direct takes at once; their lane sums for four weight rows fill half of the registers.
constexpr int kDirectRows = kWidth == 16 ? 4 : 1;
// Weight rows that are read side by side for one row of x: enough independent sums to hide the latency of addition, few
// enough that two tiles stay in the level-1 cache.
template <DType kType>
constexpr int kDirectColumns = kWidth == 16 && is_quantized(kType) ? 8 : 4;

// out[row, column … column + count) from their sums.
SLUICE_INLINE void finish(const MatmulArgs& args, int64_t n, int64_t row, int64_t column, int count, __m128 sums) {
  float* out = args.out + row * n + column;
  if (count == kTileColumns) {
    if (args.bias != nullptr) sums = _mm_add_ps(sums, _mm_loadu_ps(args.bias + column));
    if (args.accumulate) sums = _mm_add_ps(_mm_loadu_ps(out), sums);
    _mm_storeu_ps(out, sums);
    return;
  }
  float values[kTileColumns];
  _mm_storeu_ps(values, sums);
  for (int c = 0; c < count; ++c) {
    float value = values[c];
    if (args.bias != nullptr) value += args.bias[column + c];
    out[c] = args.accumulate ? out[c] + value : value;
  }
}

template <DType kType, int kRows, int kColumns>
SLUICE_INLINE void direct_tile(const MatmulShare& share, int64_t row, int64_t column) {
  const int64_t k_size = share.k;
  const float* x = share.args->x + row * k_size;
  const std::byte* w = share.weight + static_cast<size_t>(column) * share.weight_row_bytes;
  const size_t stride = share.weight_row_bytes;
  F sum[kRows][kColumns][kParts] = {};
  // Rows are too short for the hardware to see where they lead, so the next tile, which lies behind this one, is called
  // for while this one is multiplied.
  constexpr int kStepBytes = kColumns * kBlock / dtype_traits(kType).block_elements * dtype_traits(kType).block_bytes;
  const std::byte* next = w + kColumns * stride;
  int64_t k = 0;
  for (; k + kBlock <= k_size; k += kBlock, next += kStepBytes) {
    for (int line = 0; line < kStepBytes; line += 64)
      _mm_prefetch(reinterpret_cast<const char*>(next + line), _MM_HINT_T0);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      F v[2 * kParts];
      load_block<kType>(w + static_cast<size_t>(c) * stride, k, v);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int i = 0; i < 2 * kParts; ++i) {
          sum[r][c][i % kParts] = fma(load(x + r * k_size + k + i * kWidth), v[i], sum[r][c][i % kParts]);
        }
      }
    }
  }
  for (; k < k_size; k += kLanes) {
    const int64_t rest = k_size - k < kLanes ? k_size - k : kLanes;
    for (int c = 0; c < kColumns; ++c) {
      F v[kParts] = {};
      load_lanes<kType>(w + static_cast<size_t>(c) * stride, k, rest, v);
      for (int r = 0; r < kRows; ++r) {
        for (int p = 0; p < kParts; ++p) {
          const F xv = load_first(x + r * k_size + k + p * kWidth, clamp_lanes(rest - p * kWidth));
          sum[r][c][p] = fma(xv, v[p], sum[r][c][p]);
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    if constexpr (kColumns == 1) {
      finish(*share.args, share.n, row + r, column, 1, _mm_set_ss(sum_lanes(sum[r][0])));
    } else {
      for (int c = 0; c < kColumns; c += kTileColumns) {
        const __m128 sums = sum_lanes_4(sum[r][c], sum[r][c + 1], sum[r][c + 2], sum[r][c + 3]);
        finish(*share.args, share.n, row + r, column + c, kTileColumns, sums);
      }
    }
  }
}

// All rows of x for kColumns weight rows, which stay in the level-1 or -2 cache meanwhile.
template <DType kType, int kColumns>
SLUICE_INLINE void direct_columns(const MatmulShare& share, int64_t column) {
  int64_t row = share.row_begin;
  for (; row + kDirectRows <= share.row_end; row += kDirectRows)
    direct_tile<kType, kDirectRows, kColumns>(share, row, column);
  for (; row + 2 <= share.row_end; row += 2) direct_tile < kType, kDirectRows<2 ? 1 : 2, kColumns>(share, row, column);
  for (; row < share.row_end; ++row) direct_tile<kType, 1, kColumns>(share, row, column);
}

template <DType kType>
SLUICE_INLINE void direct(const MatmulShare& share) {
  int64_t column = share.column_begin;
  if (share.row_end - share.row_begin == 1) {
    for (; column + kDirectColumns<kType> <= share.column_end; column += kDirectColumns<kType>) {
      direct_tile<kType, 1, kDirectColumns<kType>>(share, share.row_begin, column);
    }
  }
  for (; column + kTileColumns <= share.column_end; column += kTileColumns)
    direct_columns<kType, kTileColumns>(share, column);
  for (; column < share.column_end; ++column) direct_columns<kType, 1>(share, column);
}

SLUICE_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Panels [group of four columns][k / 16][4, 16] of columns [column, column_end).
template <DType kType>
SLUICE_INLINE void pack_columns(const MatmulShare& share, int64_t column, int64_t column_end, int64_t panel_floats,
                                float* panels) {
  for (; column < column_end; column += kTileColumns, panels += panel_floats) {
    const std::byte* rows[kTileColumns];
    for (int c = 0; c < kTileColumns; ++c) {
      const bool inside = column + c < column_end;
      rows[c] = inside ? share.weight + static_cast<size_t>(column + c) * share.weight_row_bytes : nullptr;
    }
    pack_panel<kType>(rows, 0, share.k, panels);
  }
}

// Up to kTileRows rows from `row` times all panels. Their lane sums stay in the level-1 cache from one piece of k to
// the next.
void multiply_panels(const MatmulShare& share, int64_t row, int64_t column, int64_t column_end, int64_t panel_floats) {
  const float* panels = share.scratch;
  float* const lanes = share.scratch + kPanelFloatsMax;
  const int rows = static_cast<int>(least(kTileRows, share.row_end - row));
  float sums[kTileRows * kTileColumns];
  for (int64_t k = 0; k < share.k; k += kPieceDepth) {
    const int64_t depth = least(kPieceDepth, share.k - k);
    const bool last = k + depth == share.k;
    const float* panel = panels + k * kTileColumns;
    float* kept = lanes;
    for (int64_t c = column; c < column_end; c += kTileColumns, panel += panel_floats, kept += kTileRows * kTileLanes) {
      const TileEnds ends = {k == 0 ? nullptr : kept, last ? nullptr : kept, sums};
      multiply_tile_rows(rows, {share.args->x + row * share.k + k, share.k, panel, depth}, ends);
      if (!last) continue;
      const int count = static_cast<int>(least(kTileColumns, column_end - c));
      for (int r = 0; r < rows; ++r)
        finish(*share.args, share.n, row + r, c, count, _mm_loadu_ps(sums + r * kTileColumns));
    }
  }
}

template <DType kType>
void panel(const MatmulShare& share) {
  const int64_t columns = panel_columns(share.k);
  const int64_t panel_floats = (share.k + kLanes - 1) / kLanes * kTileLanes;
  for (int64_t column = share.column_begin; column < share.column_end; column += columns) {
    const int64_t column_end = least(column + columns, share.column_end);
    pack_columns<kType>(share, column, column_end, panel_floats, share.scratch);
    for (int64_t row = share.row_begin; row < share.row_end; row += kTileRows) {
      multiply_panels(share, row, column, column_end, panel_floats);
    }
  }
}

}  // namespace

void matmul_direct(const MatmulShare& share) {
  for_type(share.dtype, [&]<DType kType>() { direct<kType>(share); });
}

void matmul_panel(const MatmulShare& share) {
  for_type(share.dtype, [&]<DType kType>() { panel<kType>(share); });
}

}  // namespace sluice::kernels::SLUICE_ISA
