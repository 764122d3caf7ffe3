#pragma once
// Element types and the block layouts of quantised ones.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/result.h"

namespace sluice {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,  // blocks of 32: f16 scale, 32 × int8; value = scale · q                      (ggml block_q8_0)
  kQ4_0,  // blocks of 32: f16 scale, 16 bytes; low nibbles are elements 0–15, high ones 16–31; value = scale · (q − 8)
  kI32,
  kI64,
  kI8,
  kU8,
  // Stored in files, never computed with: has_kernels is false, so they are converted while loading (quantize.h).
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kPacked,  // a matrix in the kernels' own layout, with a header that describes it (packed_matrix.h); has no rows
};

struct DTypeTraits {
  std::string_view name;
  int block_elements;  // elements that are stored together; a row's length is a multiple of it
  int block_bytes;
};

constexpr DTypeTraits dtype_traits(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {"f32", 1, 4};
    case DType::kF16:
      return {"f16", 1, 2};
    case DType::kBF16:
      return {"bf16", 1, 2};
    case DType::kQ8_0:
      return {"q8_0", 32, 34};
    case DType::kQ4_0:
      return {"q4_0", 32, 18};
    case DType::kI32:
      return {"i32", 1, 4};
    case DType::kI64:
      return {"i64", 1, 8};
    case DType::kI8:
      return {"i8", 1, 1};
    case DType::kU8:
      return {"u8", 1, 1};
    case DType::kQ4_1:
      return {"q4_1", 32, 20};
    case DType::kQ5_0:
      return {"q5_0", 32, 22};
    case DType::kQ5_1:
      return {"q5_1", 32, 24};
    case DType::kQ2_K:
      return {"q2_k", 256, 84};
    case DType::kQ3_K:
      return {"q3_k", 256, 110};
    case DType::kQ4_K:
      return {"q4_k", 256, 144};
    case DType::kQ5_K:
      return {"q5_k", 256, 176};
    case DType::kQ6_K:
      return {"q6_k", 256, 210};
    case DType::kIQ4_NL:
      return {"iq4_nl", 32, 18};
    case DType::kIQ4_XS:
      return {"iq4_xs", 256, 136};
    case DType::kPacked:
      return {"packed", 1, 1};
  }
  return {"?", 1, 1};
}

constexpr std::string_view dtype_name(DType dtype) { return dtype_traits(dtype).name; }
constexpr bool is_floating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}
constexpr bool is_quantized(DType dtype) { return dtype_traits(dtype).block_elements > 1; }
// Whether kernels/ multiplies by a matrix of this type as it is stored.
constexpr bool has_kernels(DType dtype) { return dtype <= DType::kQ4_0 || dtype == DType::kPacked; }
// Bytes of a row of `elements`, which must be a multiple of the block.
constexpr size_t row_bytes(DType dtype, int64_t elements) {
  return static_cast<size_t>(elements) / static_cast<size_t>(dtype_traits(dtype).block_elements) *
         static_cast<size_t>(dtype_traits(dtype).block_bytes);
}

}  // namespace sluice
