#pragma once
// Products of pairs of bf16 in sixteen float lanes, over the registers of one instruction set, and what all products
// with packed bf16 weights share. packed_bf16.h says what they are. Included by *_isa.cc only.

#include "kernels/cpu/packed_bf16.h"
#include "kernels/cpu/vec.h"

namespace sluice::kernels::SLUICE_ISA {

constexpr int kPairLineBytes = 64;  // sixteen pairs
constexpr int kPairLineElements = 2;

// Makes denormal operands and results zeros, for float instructions too; gives what restore_denormals takes.
SLUICE_INLINE unsigned zero_denormals() {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040u);  // flush to zero, denormals are zeros
  return before;
}
SLUICE_INLINE void restore_denormals(unsigned before) { _mm_setcsr(before); }

// Pairs: a line of a panel. Pair: two elements of x, the same in every lane. Lane i of a sum gains the two products.
#if defined(__AVX512BF16__)

using Pairs = __m512bh;
using Pair = __m512bh;
SLUICE_INLINE Pairs load_pairs(const std::byte* p) { return __builtin_bit_cast(Pairs, _mm512_loadu_si512(p)); }
SLUICE_INLINE Pair broadcast_pair(const uint16_t* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return __builtin_bit_cast(Pair, _mm512_set1_epi32(pair));
}
SLUICE_INLINE void add_pairs(F sum[kParts], const Pairs& w, const Pair& x) { sum[0] = _mm512_dpbf16_ps(sum[0], w, x); }

#else

struct Pairs {
  F even[kParts], odd[kParts];
};
struct Pair {
  F even, odd;
};
#if defined(__AVX512F__)
SLUICE_INLINE F low_half(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
SLUICE_INLINE F high_half(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000u))));
}
SLUICE_INLINE __m512i load_bits(const std::byte* p) { return _mm512_loadu_si512(p); }
#else
SLUICE_INLINE F low_half(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
SLUICE_INLINE F high_half(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int32_t>(0xFFFF0000u))));
}
SLUICE_INLINE __m256i load_bits(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
#endif
SLUICE_INLINE Pairs load_pairs(const std::byte* p) {
  Pairs pairs;
  for (int i = 0; i < kParts; ++i) {
    const auto bits = load_bits(p + i * kWidth * 4);
    pairs.even[i] = low_half(bits);
    pairs.odd[i] = high_half(bits);
  }
  return pairs;
}
SLUICE_INLINE Pair broadcast_pair(const uint16_t* p) {
  uint32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  const uint32_t halves[2] = {bits << 16, bits & 0xFFFF0000u};
  float values[2];
  __builtin_memcpy(values, halves, sizeof values);
  return {set1(values[0]), set1(values[1])};
}
SLUICE_INLINE void add_pairs(F sum[kParts], const Pairs& w, const Pair& x) {
  for (int p = 0; p < kParts; ++p) {
    sum[p] = fma(x.odd, w.odd[p], sum[p]);
    sum[p] = fma(x.even, w.even[p], sum[p]);
  }
}

#endif

// kWidth floats as bf16.
SLUICE_INLINE void store_rounded(uint16_t* to, F values) {
#if defined(__AVX512F__)
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i high = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
  const __m512i rounded = _mm512_mask_or_epi32(_mm512_srli_epi32(up, 16), nan, high, _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(rounded));
#else
  const __m256i bits = _mm256_castps_si256(values);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
  const __m256i rounded = _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), quiet, nan);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1)));
#endif
}

// out[row, 16·panel …] from sixteen sums.
SLUICE_INLINE void finish_sums(const Bf16Share& s, int64_t row, int64_t panel, const float* sums) {
  const int64_t n = panel * kLanes;
  float* out = s.out + row * s.n + n;
  for (int p = 0; p < kParts; ++p) {
    const int64_t count = clamp_lanes(s.n - n - p * kWidth);
    F value = load(sums + p * kWidth);
    if (s.bias != nullptr) value = add(value, load_first(s.bias + n + p * kWidth, count));
    if (s.accumulate) value = add(load_first(out + p * kWidth, count), value);
    store_first(out + p * kWidth, value, count);
  }
}

}  // namespace sluice::kernels::SLUICE_ISA
