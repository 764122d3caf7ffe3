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
SLUICE_INLINE I int_or(I a, I b) { return _mm512_or_si512(a, b); }
SLUICE_INLINE I int_add(I a, I b) { return _mm512_add_epi32(a, b); }
SLUICE_INLINE I int_max(I a, I b) { return _mm512_max_epi32(a, b); }
SLUICE_INLINE int32_t int_max_of_lanes(I a) { return _mm512_reduce_max_epi32(a); }
template <int kBits>
SLUICE_INLINE I shift_words_right(I a) {
  return _mm512_srli_epi16(a, kBits);
}
template <int kBits>
SLUICE_INLINE I shift_words_left(I a) {
  return _mm512_slli_epi16(a, kBits);
}
SLUICE_INLINE I word_products(I a, I b) { return _mm512_madd_epi16(a, b); }
SLUICE_INLINE I byte_products(I a, I b) { return _mm512_maddubs_epi16(a, b); }  // unsigned times signed
SLUICE_INLINE I add_words(I a, I b) { return _mm512_add_epi16(a, b); }
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
SLUICE_INLINE I int_or(I a, I b) { return _mm256_or_si256(a, b); }
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
template <int kBits>
SLUICE_INLINE I shift_words_left(I a) {
  return _mm256_slli_epi16(a, kBits);
}
SLUICE_INLINE I word_products(I a, I b) { return _mm256_madd_epi16(a, b); }
SLUICE_INLINE I byte_products(I a, I b) { return _mm256_maddubs_epi16(a, b); }  // unsigned times signed
SLUICE_INLINE I add_words(I a, I b) { return _mm256_add_epi16(a, b); }
SLUICE_INLINE F as_float(I a) { return _mm256_castsi256_ps(a); }
SLUICE_INLINE I as_int(F a) { return _mm256_castps_si256(a); }
SLUICE_INLINE I to_int(F a) { return _mm256_cvtps_epi32(a); }
SLUICE_INLINE void store_bytes(int8_t* p, I a) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

#endif

SLUICE_INLINE I magnitude_bits(F a) { return int_and(as_int(a), int_set1(0x7FFFFFFF)); }
SLUICE_INLINE void prefetch(const std::byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
SLUICE_INLINE I int_broadcast(const std::byte* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  return int_set1(four);
}

// A line is 16 × 4 bytes, four for each lane; x brings four bytes that are the same in every lane, and lane i of a sum
// gains the products, exactly. With VNNI that is one instruction. Without it products of bytes summed in words
// (maddubs) would saturate, and so
//   8 bits  a line is taken as words, its even bytes and its odd ones, and code_rows writes x as words, too
//   (kWordCodes) 4 bits  kWordSums: the sums are words, which hold kWordRun elements of k (16 products of at most 15 ·
//   127)
// So a line has kHalves halves, and every half of it meets four bytes of x.
#if defined(__AVX512VNNI__)
constexpr bool kWordCodes = false;
template <int kBits>
constexpr int kHalves = kBits == 4 ? 2 : 1;
#else
constexpr bool kWordCodes = true;
template <int kBits>
constexpr int kHalves = 2;
#endif
template <int kBits>
constexpr bool kWordSums = kWordCodes && kBits == 4;
template <int kBits>
constexpr int kCodeBytes = kWordCodes && kBits == 8 ? 2 : 1;  // of a code of x

template <int kBits>
SLUICE_INLINE I half_of(I line, int half) {
  if constexpr (kBits == 4) {
    const I mask = int_set1(0x0F0F0F0F);
    return half == 0 ? int_and(line, mask) : int_and(shift_words_right<4>(line), mask);
  } else if constexpr (kWordCodes) {
    return half == 0 ? int_and(line, int_set1(0x00FF00FF)) : shift_words_right<8>(line);
  } else {
    return line;
  }
}
template <int kBits>
SLUICE_INLINE void add_products(I& sum, I codes, I x) {
#if defined(__AVX512VNNI__)
  sum = _mm512_dpbusd_epi32(sum, codes, x);
#else
  if constexpr (kBits == 4) {
    sum = add_words(sum, byte_products(codes, x));
  } else {
    sum = int_add(sum, word_products(codes, x));
  }
  asm("" : "+x"(sum));  // or the compiler adds in another order, for which it has not the registers
#endif
}

constexpr int kWordRun = 32;

// Six bits: 16 elements lie in three lines, which become four of bytes.
SLUICE_INLINE void six_bit_lines(I low, I high, I pairs, I codes[4]) {
  const I nibbles = int_set1(0x0F0F0F0F), upper = int_set1(0x30303030);
  codes[0] = int_or(int_and(low, nibbles), int_and(shift_words_left<4>(pairs), upper));
  codes[1] = int_or(int_and(shift_words_right<4>(low), nibbles), int_and(shift_words_left<2>(pairs), upper));
  codes[2] = int_or(int_and(high, nibbles), int_and(pairs, upper));
  codes[3] = int_or(int_and(shift_words_right<4>(high), nibbles), int_and(shift_words_right<2>(pairs), upper));
}
// sum += the products of two such lines with four bytes of x each. In words they are at most 4 · 63 · 127.
SLUICE_INLINE void add_products_of_two(I& sum, const I codes[2], const I x[2]) {
#if defined(__AVX512VNNI__)
  sum = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, codes[0], x[0]), codes[1], x[1]);
#else
  const I words = add_words(byte_products(codes[0], x[0]), byte_products(codes[1], x[1]));
  sum = int_add(sum, word_products(words, int_set1(0x00010001)));
  asm("" : "+x"(sum));
#endif
}

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
