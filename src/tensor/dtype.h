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
};

struct DTypeTraits {
  std::string_view name;
  int block_elements;  // elements that are stored together; a row's length is a multiple of it
  int block_bytes;
};

constexpr DTypeTraits dtype_traits(DType dtype) {
  switch (dtype) {
    case DType::kF32: return {"f32", 1, 4};
    case DType::kF16: return {"f16", 1, 2};
    case DType::kBF16: return {"bf16", 1, 2};
    case DType::kQ8_0: return {"q8_0", 32, 34};
    case DType::kQ4_0: return {"q4_0", 32, 18};
    case DType::kI32: return {"i32", 1, 4};
    case DType::kI64: return {"i64", 1, 8};
    case DType::kI8: return {"i8", 1, 1};
    case DType::kU8: return {"u8", 1, 1};
  }
  return {"?", 1, 1};
}

constexpr std::string_view dtype_name(DType dtype) { return dtype_traits(dtype).name; }
constexpr bool is_quantized(DType dtype) { return dtype_traits(dtype).block_elements > 1; }
// Bytes of a row of `elements`, which must be a multiple of the block.
constexpr size_t row_bytes(DType dtype, int64_t elements) {
  return static_cast<size_t>(elements) / static_cast<size_t>(dtype_traits(dtype).block_elements) *
         static_cast<size_t>(dtype_traits(dtype).block_bytes);
}

}  // namespace sluice
