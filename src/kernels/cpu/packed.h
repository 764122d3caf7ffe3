#pragma once
// Products with packed weights (tensor/packed_matrix.h), by integers: a row of x becomes int8 codes with a float32
// scale for every kActivationGroup elements, groups are multiplied in int32, which is exact, and added up in float32.
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

// An integer sum starts at these bits: so long as the sum stays within ±2^22 (groups of at most 128 do), its bits are
// those of the float 3·2^22 + sum, and a subtraction makes a float of it. That runs beside the products, on a unit of
// its own, where a conversion would take their place.
constexpr int32_t kSumStart = 0x4B400000;
constexpr float kSumStartValue = 12582912.0f;

// Rows of x as codes. `sums` has one number for each of the weight's groups: as int32 kSumStart − offset · Σ code(x),
// at which the integer sum starts, or with minima as float Σ code(x).
struct CodedRows {
  std::byte* codes;  // [rows, stride] int8, or int16 in the order 0 2 1 3 of every four; 0 from k to depth
  int64_t stride;    // bytes
  bool words;        // int16: 8-bit weights in tables without a dot product of bytes
  float* scales;     // [rows, scale_stride]
  int64_t scale_stride;
  int32_t* sums;  // [rows, sum_stride]
  int64_t sum_stride;
};

struct CodeShare {
  const float* x;  // [row_end - row_begin, k]: the rows to code
  int64_t k;
  int64_t depth;  // k, padded
  int group;      // of the weight
  int offset;     // of the weight's codes; 0: sums are floats
  int64_t row_begin;
  int64_t row_end;
  CodedRows out;
};

constexpr int kPackedPrefetchBytes = 2048;

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
  float* scratch;      // packed_scratch_floats
  int prefetch_bytes;  // MatmulArgs; 0: none
};

// With more rows than a tile k is walked in blocks of this depth: two panels of a block stay in the level-1 cache and
// the rows of x in the level-2 cache, and the sums of a share wait in scratch from block to block.
constexpr int kPackedBlock = 1024;
constexpr int kPackedShareBytes = 256 * 1024;  // of one block's codes: a quarter of a level-2 cache, or half
constexpr int kPackedSharePanels = 8;          // that they meet while they are there
static constexpr size_t packed_scratch_floats(int64_t rows, int64_t panels) {
  return static_cast<size_t>(rows) * static_cast<size_t>(panels) * 16;
}

}  // namespace sluice::kernels
