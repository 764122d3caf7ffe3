#pragma once
// A quantised row as codes with a scale, and where the type has one a minimum, per group of neighbours: the common form
// of all block types. Nothing is rounded: with float32 products scale · (code − offset) + minimum is the value of
// dequantize_row (up to the order of its multiplications in the K types).

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor/dtype.h"

namespace sluice {

// How a type's codes are to be read.
struct GroupedType {
  int bits = 0;  // 4, 6 or 8; 0: the type has no such form
  int group = 0;
  bool minima = false;       // value = scale · code + minimum; else value = scale · (code − offset)
  bool half_scales = false;  // scales and minima are f16 exactly
  int offset() const { return minima ? 0 : 1 << (bits - 1); }
};

// The form of a stored type; bits = 0 for floating and integer types.
GroupedType grouped_type(DType dtype);

struct GroupedRow {
  std::vector<uint8_t> codes;  // [elements]
  std::vector<float> scales;   // [elements / group]
  std::vector<float> minima;   // the same, or empty
};
// `elements` is a multiple of the type's block; grouped_type(dtype).bits > 0.
void read_grouped_row(DType dtype, const std::byte* in, int64_t elements, GroupedRow& out);

}  // namespace sluice
