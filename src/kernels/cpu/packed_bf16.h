#pragma once
// Products with packed bf16 weights (tensor/packed_matrix.h, bits = 16): a row of x is rounded to bf16, to nearest
// even, and pairs of elements are multiplied into float32 sums.
//
// A product of two bf16 numbers needs no rounding, so what is to be defined is the order of additions. Each rounds to
// nearest even; operands that are denormal, of x and the weight too, and results that would be are zeros: so the units
// do whatever MXCSR says, and kernels for other units set it. Output (row, n), for every batch and thread count, is
// sum (+ bias) (+ out), where sum starts from +0 and goes on, in ascending order, by
//
//   pairs (vdpbf16ps)   for each pair j of k:         sum = fma(x[2j+1], w[2j+1], sum)
//                                                     sum = fma(x[2j], w[2j], sum)
//   tiles (tdpbf16ps)   for each 32 elements of k:    even = odd = +0, and for each pair j of them
//                                                       even = fma(x[2j], w[2j], even)
//                                                       odd = fma(x[2j+1], w[2j+1], odd)
//                                                     sum = sum + (even + odd)
//
// Neither unit can keep the other's order, so there are two: that of tiles in the tables with tiles, for one row as for
// many, and that of pairs in all others. Tables with one order agree to the bit where their units do what Intel's
// manuals say of them; the reference sums in double, and every table is within the rounding of float32 sums of it.
//
// Included by *_isa.cc too: plain data only (kernels.h says why).

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

constexpr int kRoundedBlockRows = 32;  // rounded rows must have room for whole blocks: tiles read all of them

// Rows of x as bf16 [rows, stride], 0 from k to depth. NaN stays NaN.
struct RoundShare {
  const float* x;  // [row_end - row_begin, k]: the rows to round
  int64_t k;
  int64_t depth;  // k, padded
  uint16_t* out;
  int64_t stride;  // elements
  int64_t row_begin;
  int64_t row_end;
};

constexpr int kBf16PrefetchBytes = 4096;

struct Bf16Share {
  const std::byte* panels;
  size_t panel_bytes;
  int64_t n;
  int64_t depth;
  const uint16_t* x;  // rounded rows
  int64_t stride;
  const float* bias;
  float* out;  // [rows, n]
  bool accumulate;
  int64_t row_begin;
  int64_t row_end;
  int64_t panel_begin;
  int64_t panel_end;
  float* scratch;      // bf16_scratch_floats
  int prefetch_bytes;  // MatmulArgs
};

// For the sums of a share that wait from one block of k to the next.
static constexpr size_t bf16_scratch_floats(int64_t rows, int64_t panels) {
  return static_cast<size_t>((rows + kRoundedBlockRows - 1) / kRoundedBlockRows * kRoundedBlockRows) *
         static_cast<size_t>(panels + 3) * 16;
}

}  // namespace sluice::kernels
