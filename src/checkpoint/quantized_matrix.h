#pragma once
// A weight matrix as the quantisation tools store it: integer or float8 codes in one tensor, scales (and zero points,
// and the order of the groups) in others. quantized_weights.h finds the parts in a file; this is the meaning of their
// bytes.
//
//   value(r, c) = (code(r, c) − zero(r, g)) · scale(r, g),   g = group_of_column[c], else c / group_columns
//
// Formulas: AutoAWQ awq/utils/packing_utils.py; GPTQModel nn_modules/qlinear (dequantize_weight); compressed-tensors
// compressors/pack_quantized and naive_quantized; transformers integrations/finegrained_fp8.py. Immutable; any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint {

// How codes lie in their tensor; R and C are the rows (outputs) and columns (inputs) of the matrix.
enum class CodeLayout {
  kColumnBits,  // i32 [C·bits/32, R]: a stream of bits down each row of the matrix, lowest first             (GPTQ)
  kAwqNibbles,  // i32 [C, R/8]: eight rows a word, their nibbles in the order 0,2,4,6,1,3,5,7               (AWQ GEMM)
  kRowBits,     // i32 [R, ⌈C·bits/32⌉]: a stream of bits along each row, lowest first                (pack-quantized)
  kInt8,        // i8 [R, C]                                                                           (int-quantized)
  kFloat8,      // e4m3 [R, C]
};

struct QuantizedMatrix {
  Shape shape;  // [R, C]
  CodeLayout layout = CodeLayout::kRowBits;
  int bits = 4;                    // of a code
  int64_t group_rows = 1;          // rows that share a scale: 1, a block's, or R
  int64_t group_columns = 0;       // columns that share a scale: a group's, a block's, or C
  bool scales_transposed = false;  // scales are [groups, R] (AWQ, GPTQ), not [R / group_rows, groups]

  // The parts, as their file has them.
  WeightEntry codes;
  WeightEntry scales;                      // f32, f16, bf16, or powers of two (e8m0)
  std::optional<WeightEntry> zeros;        // packed like the codes, across rows; or i8 [R, groups]
  std::optional<WeightEntry> group_index;  // i32 [C]: the group of each column, where columns were reordered
  int zero_added = 0;                      // what a stored zero point lacks: 1 in GPTQ's first format
  std::string path;                        // of the file, for messages

  int64_t rows() const { return shape[0]; }
  int64_t columns() const { return shape[1]; }
  int64_t groups() const { return (columns() + group_columns - 1) / group_columns; }  // along a row
  bool has_integer_codes() const { return layout != CodeLayout::kFloat8; }

  // Every scale is finite, every group index in range. kCorruptData names file, tensor and element. Reads the small
  // parts alone; the functions below may be called once it has succeeded.
  Result<void> verify() const;

  // Rows [first, first + count) as f32, [count, C].
  void dequantize_rows(int64_t first, int64_t count, float* out) const;

  // For kernels that compute with the codes themselves.
  // Codes of rows [first, first + count) as unsigned numbers below 2^bits, [count, C]. Float8: the bytes.
  void unpack_codes(int64_t first, int64_t count, uint8_t* out) const;
  // One row's scale and zero point for each group, [groups] each. A zero point is in units of unpack_codes' codes.
  void unpack_scales(int64_t row, float* scales, float* zeros) const;
  // [C], or empty when column c belongs to group c / group_columns.
  std::vector<int32_t> group_of_column() const;
};

// float8 e4m3fn: no infinities, NaN at ±0x7F.
float e4m3_to_f32(uint8_t bits);

}  // namespace sluice::checkpoint
