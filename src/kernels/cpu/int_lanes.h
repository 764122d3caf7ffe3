#pragma once
// Sixteen int32 lanes and products of bytes, over the registers of one instruction set, and the end of every product
// with packed weights. Included by *_isa.cc only.

#include "kernels/cpu/packed.h"
#include "kernels/cpu/vec.h"

namespace sluice::kernels::SLUICE_ISA {

#if defined(__AVX512F__)

using I = __m512i;
SLUICE_INLINE I int_zero() { return _mm512_setzero_si512(); }
SLUICE_INLINE I int_set1(int32_t x) { return _mm512_set1_epi32(x); }
SLUICE_INLINE I int_load(const void* p) { return _mm512_loadu_si512(p); }
SLUICE_INLINE I int_and(I a, I b) { return _mm512_and_si512(a, b); }
SLUICE_INLINE I int_add(I a, I b) { return _mm512_add_epi32(a, b); }
SLUICE_INLINE I int_max(I a, I b) { return _mm512_max_epi32(a, b); }
SLUICE_INLINE int32_t int_max_of_lanes(I a) { return _mm512_reduce_max_epi32(a); }
template <int kBits>
SLUICE_INLINE I shift_words_right(I a) {
  return _mm512_srli_epi16(a, kBits);
}
SLUICE_INLINE I low_bytes(I a) { return _mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8); }  // signed, as words
SLUICE_INLINE I high_bytes(I a) { return _mm512_srai_epi16(a, 8); }
SLUICE_INLINE I word_products(I a, I b) { return _mm512_madd_epi16(a, b); }
SLUICE_INLINE F as_float(I a) { return _mm512_castsi512_ps(a); }
SLUICE_INLINE I as_int(F a) { return _mm512_castps_si512(a); }
SLUICE_INLINE I to_int(F a) { return _mm512_cvtps_epi32(a); }  // to nearest even
SLUICE_INLINE void store_bytes(int8_t* p, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
}

#else

using I = __m256i;
SLUICE_INLINE I int_zero() { return _mm256_setzero_si256(); }
SLUICE_INLINE I int_set1(int32_t x) { return _mm256_set1_epi32(x); }
SLUICE_INLINE I int_load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
SLUICE_INLINE I int_and(I a, I b) { return _mm256_and_si256(a, b); }
SLUICE_INLINE I int_add(I a, I b) { return _mm256_add_epi32(a, b); }
SLUICE_INLINE I int_max(I a, I b) { return _mm256_max_epi32(a, b); }
SLUICE_INLINE int32_t int_max_of_lanes(I a) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1)));
}
template <int kBits>
SLUICE_INLINE I shift_words_right(I a) {
  return _mm256_srli_epi16(a, kBits);
}
SLUICE_INLINE I low_bytes(I a) { return _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8); }
SLUICE_INLINE I high_bytes(I a) { return _mm256_srai_epi16(a, 8); }
SLUICE_INLINE I word_products(I a, I b) { return _mm256_madd_epi16(a, b); }
SLUICE_INLINE F as_float(I a) { return _mm256_castsi256_ps(a); }
SLUICE_INLINE I as_int(F a) { return _mm256_castps_si256(a); }
SLUICE_INLINE I to_int(F a) { return _mm256_cvtps_epi32(a); }
SLUICE_INLINE void store_bytes(int8_t* p, I a) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

#endif

SLUICE_INLINE I magnitude_bits(F a) { return int_and(as_int(a), int_set1(0x7FFFFFFF)); }
SLUICE_INLINE void prefetch_later(const std::byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

SLUICE_INLINE void prefetch_x(const int8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

// Codes: a line of 16 × 4 unsigned bytes. Four: four signed bytes, the same in every lane. Lane i of a sum gains the
// four products of its bytes, in int32 without saturation.
#if defined(__AVX512VNNI__)

using Codes = I;
using Four = I;
SLUICE_INLINE Codes load_codes(const std::byte* p) { return int_load(p); }
SLUICE_INLINE void load_nibbles(const std::byte* p, Codes& low, Codes& high) {
  const I bytes = int_load(p);
  const I mask = int_set1(0x0F0F0F0F);
  low = int_and(bytes, mask);
  high = int_and(shift_words_right<4>(bytes), mask);
}
SLUICE_INLINE Four broadcast_four(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  return int_set1(four);
}
SLUICE_INLINE void add_products(I sum[kParts], const Codes& codes, const Four& x) {
  sum[0] = _mm512_dpbusd_epi32(sum[0], codes, x);
}

#else

// Bytes as words, the even and the odd ones: products of bytes in words (maddubs) would saturate.
struct Codes {
  I even[kParts], odd[kParts];
};
struct Four {
  I even, odd;
};
SLUICE_INLINE Codes split_codes(const I bytes[kParts]) {
  Codes codes;
  for (int p = 0; p < kParts; ++p) {
    codes.even[p] = int_and(bytes[p], int_set1(0x00FF00FF));
    codes.odd[p] = shift_words_right<8>(bytes[p]);
  }
  return codes;
}
SLUICE_INLINE Codes load_codes(const std::byte* p) {
  I bytes[kParts];
  for (int i = 0; i < kParts; ++i) bytes[i] = int_load(p + i * kWidth * 4);
  return split_codes(bytes);
}
SLUICE_INLINE void load_nibbles(const std::byte* p, Codes& low, Codes& high) {
  const I mask = int_set1(0x0F0F0F0F);
  I lows[kParts], highs[kParts];
  for (int i = 0; i < kParts; ++i) {
    const I bytes = int_load(p + i * kWidth * 4);
    lows[i] = int_and(bytes, mask);
    highs[i] = int_and(shift_words_right<4>(bytes), mask);
  }
  low = split_codes(lows);
  high = split_codes(highs);
}
SLUICE_INLINE Four broadcast_four(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  const I bytes = int_set1(four);
  return {low_bytes(bytes), high_bytes(bytes)};
}
SLUICE_INLINE void add_products(I sum[kParts], const Codes& codes, const Four& x) {
  for (int p = 0; p < kParts; ++p) {
    sum[p] = int_add(sum[p], word_products(codes.even[p], x.even));
    sum[p] = int_add(sum[p], word_products(codes.odd[p], x.odd));
  }
}

#endif

// out[row, 16·panel …] from sixteen sums.
SLUICE_INLINE void finish_packed(const PackedShare& s, int64_t row, int64_t panel, const float* sums) {
  const int64_t n = panel * kLanes;
  float* out = s.out + row * s.n + n;
  const F factor = set1(s.factor);
  for (int p = 0; p < kParts; ++p) {
    const int64_t count = clamp_lanes(s.n - n - p * kWidth);
    F value = mul(load(sums + p * kWidth), factor);
    if (s.bias != nullptr) value = add(value, load_first(s.bias + n + p * kWidth, count));
    if (s.accumulate) value = add(load_first(out + p * kWidth, count), value);
    store_first(out + p * kWidth, value, count);
  }
}

}  // namespace sluice::kernels::SLUICE_ISA
