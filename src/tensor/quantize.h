#pragma once
// Conversion between f32 rows and every stored type. These are the definitions the fast kernels are tested against.
// Block layouts and rounding are ggml's (quantize_row_q8_0_ref, quantize_row_q4_0_ref), so files round-trip byte for
// byte.

#include <bit>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace sluice {

inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
inline uint16_t f32_to_bf16(float value) {  // round to nearest even; NaN stays NaN
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);  // round to nearest even; overflow gives infinity

// `elements` must be a multiple of the type's block. Floating and quantised types only; to quantize_row also none of
// the K and IQ4 types, which need a search that only conversion tools make.
void dequantize_row(DType dtype, const std::byte* in, float* out, int64_t elements);
void quantize_row(DType dtype, const float* in, std::byte* out, int64_t elements);

// The first element of a stored row that is not a finite number, or −1; of a quantised type the first whose block's
// scale or minimum is not. Floating and quantised types only.
int64_t first_non_finite(DType dtype, const std::byte* in, int64_t elements);

}  // namespace sluice
