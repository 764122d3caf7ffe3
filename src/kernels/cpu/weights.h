#pragma once
// Stored rows as float lanes, for every weight and cache type. One element has one float value, the one of
// tensor/quantize.h, whichever function reads it. Included by *_isa.cc only.

#include "kernels/cpu/vec.h"
#include "tensor/dtype.h"

namespace sluice::kernels::SLUICE_ISA {

constexpr int kBlock = 32;  // elements of a q8_0 or q4_0 block; unquantised rows are read in the same steps

SLUICE_INLINE F load_scale(const std::byte* block) {
  uint16_t bits;
  __builtin_memcpy(&bits, block, sizeof bits);
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(bits)));
#else
  return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<short>(bits)));
#endif
}

// The two halves of a q4_0 block times its scale. The product of an 11-bit scale and a 4-bit value is exact, so a table
// of the sixteen products gives the same floats.
SLUICE_INLINE void load_q4_0(const std::byte* block, F out[2 * kParts]) {
  const F scale = load_scale(block);
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 2));
#if defined(__AVX512F__)
  const F products = mul(scale, _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7));
  const __m512i wide = _mm512_cvtepu8_epi32(bytes);  // the permutation looks at the low four bits of each
  out[0] = _mm512_permutexvar_ps(wide, products);
  out[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(wide, 4), products);
#else
  const __m256i low_bits = _mm256_set1_epi32(15);
  const __m256i eight = _mm256_set1_epi32(8);
  const __m256i wide[2] = {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
  for (int i = 0; i < 2; ++i) {
    const __m256i low = _mm256_sub_epi32(_mm256_and_si256(wide[i], low_bits), eight);
    const __m256i high = _mm256_sub_epi32(_mm256_srli_epi32(wide[i], 4), eight);
    out[i] = mul(_mm256_cvtepi32_ps(low), scale);
    out[2 + i] = mul(_mm256_cvtepi32_ps(high), scale);
  }
#endif
}

// Elements [k, k + 32) of a row; k is a multiple of 32.
template <DType kType>
SLUICE_INLINE void load_block(const std::byte* row, int64_t k, F out[2 * kParts]) {
  if constexpr (kType == DType::kQ4_0) {
    load_q4_0(row + k / kBlock * 18, out);
  } else if constexpr (kType == DType::kQ8_0) {
    const std::byte* block = row + k / kBlock * 34;
    const F scale = load_scale(block);
    for (int i = 0; i < 2 * kParts; ++i) out[i] = mul(load_i8(block + 2 + i * kWidth), scale);
  } else {
    for (int i = 0; i < 2 * kParts; ++i) {
      if constexpr (kType == DType::kF32) out[i] = load(row + 4 * (k + i * kWidth));
      if constexpr (kType == DType::kF16) out[i] = load_f16(row + 2 * (k + i * kWidth));
      if constexpr (kType == DType::kBF16) out[i] = load_bf16(row + 2 * (k + i * kWidth));
    }
  }
}

// Elements [k, k + n) of an unquantised row as sixteen lanes, n ≤ 16; the lanes beyond are 0 and nothing beyond is
// read.
template <DType kType>
SLUICE_INLINE void load_lanes(const std::byte* row, int64_t k, int64_t n, F out[kParts]) {
  if constexpr (kType == DType::kF32) {
    for (int i = 0; i < kParts; ++i) out[i] = load_first(row + 4 * (k + i * kWidth), clamp_lanes(n - i * kWidth));
  } else if constexpr (kType == DType::kF16 || kType == DType::kBF16) {
    uint16_t bits[kLanes] = {};
    __builtin_memcpy(bits, row + 2 * k, static_cast<size_t>(n) * 2);
    for (int i = 0; i < kParts; ++i) {
      out[i] = kType == DType::kF16 ? load_f16(bits + i * kWidth) : load_bf16(bits + i * kWidth);
    }
  }
}

// Sixteen elements that lie side by side; codes of q8_0 as they are, without their scale.
template <DType kType>
SLUICE_INLINE void load_sixteen(const std::byte* p, F out[kParts]) {
  for (int i = 0; i < kParts; ++i) {
    if constexpr (kType == DType::kF32) out[i] = load(p + 4 * i * kWidth);
    if constexpr (kType == DType::kF16) out[i] = load_f16(p + 2 * i * kWidth);
    if constexpr (kType == DType::kBF16) out[i] = load_bf16(p + 2 * i * kWidth);
    if constexpr (kType == DType::kQ8_0) out[i] = load_i8(p + i * kWidth);
  }
}

// Calls f.template operator()<type>() for a weight type known at run time.
template <class Function>
SLUICE_INLINE void for_type(DType type, const Function& f) {
  switch (type) {
    case DType::kF32:
      return f.template operator()<DType::kF32>();
    case DType::kF16:
      return f.template operator()<DType::kF16>();
    case DType::kBF16:
      return f.template operator()<DType::kBF16>();
    case DType::kQ8_0:
      return f.template operator()<DType::kQ8_0>();
    case DType::kQ4_0:
      return f.template operator()<DType::kQ4_0>();
    default:
      return;  // callers have checked the type
  }
}

}  // namespace sluice::kernels::SLUICE_ISA
