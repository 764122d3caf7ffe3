#pragma once
// Products with packed weights (tensor/packed_matrix.h), by integers: a row of x becomes int8 codes with a float32 scale
// for every kActivationGroup elements, groups are multiplied in int32, which is exact, and added up in float32.
//
// What output (row, n) is, for every batch, thread count and table alike, `fma` being one rounding:
//   inner(G) = for the groups g of the weight within activation group G, ascending:
//                inner = fma(scale[g], float(Σ code(x)·(code(w) − offset)), inner)
//                inner = fma(minimum[g], float(Σ code(x)), inner)                      (formats with minima)
//   sum      = for G ascending: sum = fma(scale_x[G], inner(G), sum), from +0
//   out      = sum · 2^-shift (+ bias) (+ out)
// code(x) = nearest even of x · (1 / scale_x), scale_x = max|x| / 127. A group that holds an infinity or a NaN has the
// scale NaN; one whose magnitudes are all below 1e-30 has scale and codes 0.
//
// Included by *_isa.cc too: plain data only (kernels.h says why).

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

constexpr int kActivationGroup = 128;
constexpr float kActivationLeast = 1e-30f;

// Rows of x as codes. `sums` has one number for each of the weight's groups: as int32 −offset · Σ code(x), at which the
// integer sum starts, or with minima as float Σ code(x).
struct CodedRows {
  int8_t* codes;  // [rows, stride]; 0 from k to depth
  int64_t stride;
  float* scales;  // [rows, scale_stride]
  int64_t scale_stride;
  int32_t* sums;  // [rows, sum_stride]
  int64_t sum_stride;
};

struct CodeShare {
  const float* x;  // [rows, k]
  int64_t k;
  int64_t depth;  // k, padded
  int group;      // of the weight
  int offset;     // of the weight's codes; 0: sums are floats
  int64_t row_begin;
  int64_t row_end;
  CodedRows out;
};

struct PackedShare {
  const std::byte* panels;
  size_t panel_bytes;
  size_t scale_offset;
  int bits;
  int group;
  bool minima;
  float factor;
  int64_t n;
  int64_t depth;
  CodedRows x;
  const float* bias;
  float* out;  // [rows, n]
  bool accumulate;
  int64_t row_begin;
  int64_t row_end;
  int64_t panel_begin;
  int64_t panel_end;
  float* scratch;  // packed_scratch_floats(row_end - row_begin)
};

// With more rows than a tile k is walked in blocks of this depth, of which two panels stay in the level-1 cache; the
// sums of all rows wait in scratch meanwhile.
constexpr int kPackedBlock = 1024;
constexpr int kPackedPanelsAtOnce = 4;
static constexpr size_t packed_scratch_floats(int64_t rows) {
  return static_cast<size_t>(rows < 8 ? 8 : rows) * kPackedPanelsAtOnce * 16;
}

}  // namespace sluice::kernels
