#pragma once
// Sixteen float lanes, the unit in which every *_isa.cc counts, over the registers of one instruction set.
//
// A register `F` holds kWidth floats; sixteen lanes are kParts registers. All tables use the same sixteen lanes, the
// same order of additions and the same polynomials, so they agree to the bit with each other. Included by *_isa.cc
// only. Everything is local to the instruction set's namespace (kernels.h says why).

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define SLUICE_INLINE static inline __attribute__((always_inline))

namespace sluice::kernels::SLUICE_ISA {

constexpr int kLanes = 16;

#if defined(__AVX512F__)

using F = __m512;
constexpr int kWidth = 16;

SLUICE_INLINE F zero() { return _mm512_setzero_ps(); }
SLUICE_INLINE F set1(float x) { return _mm512_set1_ps(x); }
SLUICE_INLINE F load(const void* p) { return _mm512_loadu_ps(p); }
SLUICE_INLINE void store(float* p, F v) { _mm512_storeu_ps(p, v); }
SLUICE_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
SLUICE_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
SLUICE_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
SLUICE_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
SLUICE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
SLUICE_INLINE F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
// min and max give their second operand when either is NaN.
SLUICE_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
SLUICE_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
SLUICE_INLINE F abs(F a) { return _mm512_abs_ps(a); }
SLUICE_INLINE F copysign(F magnitude, F sign) {
  const __m512i bit = _mm512_set1_epi32(INT32_MIN);
  return _mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign), _mm512_castps_si512(magnitude), 0xCA));
}
SLUICE_INLINE F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// a · 2^n for integral n, rounded once.
SLUICE_INLINE F scale_by_power(F a, F n) { return _mm512_scalef_ps(a, n); }
SLUICE_INLINE F select_below(F a, F limit, F below, F otherwise) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, limit, _CMP_LT_OQ), otherwise, below);
}
// value, or 0 where a < limit.
SLUICE_INLINE F zero_below(F a, F limit, F value) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, limit, _CMP_NLT_UQ), value);
}

SLUICE_INLINE __mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>(_bzhi_u32(0xFFFFu, static_cast<unsigned>(n)));
}
// The first n ≤ kWidth elements; nothing beyond them is touched; the other lanes are 0.
SLUICE_INLINE F load_first(const void* p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
SLUICE_INLINE void store_first(float* p, F v, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
// v in lanes [begin, end), `other` elsewhere.
SLUICE_INLINE F keep_between(F v, int64_t begin, int64_t end, F other) {
  return _mm512_mask_blend_ps(static_cast<__mmask16>(first_lanes(end) & ~first_lanes(begin)), other, v);
}

SLUICE_INLINE F load_f16(const void* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }
SLUICE_INLINE F load_bf16(const void* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
SLUICE_INLINE F load_i8(const void* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
// Lanes i and i + 8 added: the first step of every sum over lanes.
SLUICE_INLINE __m256 fold(const F v[1]) {
  return _mm256_add_ps(_mm512_castps512_ps256(v[0]), _mm512_extractf32x8_ps(v[0], 1));
}

#else

using F = __m256;
constexpr int kWidth = 8;

SLUICE_INLINE F zero() { return _mm256_setzero_ps(); }
SLUICE_INLINE F set1(float x) { return _mm256_set1_ps(x); }
SLUICE_INLINE F load(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
SLUICE_INLINE void store(float* p, F v) { _mm256_storeu_ps(p, v); }
SLUICE_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
SLUICE_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
SLUICE_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
SLUICE_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
SLUICE_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
SLUICE_INLINE F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
SLUICE_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
SLUICE_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
SLUICE_INLINE F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
SLUICE_INLINE F copysign(F magnitude, F sign) {
  const F bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_and_ps(bit, sign), _mm256_andnot_ps(bit, magnitude));
}
SLUICE_INLINE F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
SLUICE_INLINE F power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
// In two steps, of which the first is exact.
SLUICE_INLINE F scale_by_power(F a, F n) {
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  return _mm256_mul_ps(_mm256_mul_ps(a, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)));
}
SLUICE_INLINE F select_below(F a, F limit, F below, F otherwise) {
  return _mm256_blendv_ps(otherwise, below, _mm256_cmp_ps(a, limit, _CMP_LT_OQ));
}
SLUICE_INLINE F zero_below(F a, F limit, F value) { return _mm256_and_ps(_mm256_cmp_ps(a, limit, _CMP_NLT_UQ), value); }

SLUICE_INLINE __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SLUICE_INLINE F load_first(const void* p, int64_t n) {
  return _mm256_maskload_ps(static_cast<const float*>(p), first_lanes(n));
}
SLUICE_INLINE void store_first(float* p, F v, int64_t n) { _mm256_maskstore_ps(p, first_lanes(n), v); }
SLUICE_INLINE F keep_between(F v, int64_t begin, int64_t end, F other) {
  return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(_mm256_andnot_si256(first_lanes(begin), first_lanes(end))));
}

SLUICE_INLINE F load_f16(const void* p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
SLUICE_INLINE F load_bf16(const void* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
SLUICE_INLINE F load_i8(const void* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
}
SLUICE_INLINE __m256 fold(const F v[2]) { return _mm256_add_ps(v[0], v[1]); }

#endif

constexpr int kParts = kLanes / kWidth;

SLUICE_INLINE int64_t clamp_lanes(int64_t n) { return n < 0 ? 0 : n < kWidth ? n : kWidth; }

SLUICE_INLINE __m128 fold4(__m256 v) { return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)); }
// The sum of sixteen lanes by halving: i with i + 8, then i + 4, i + 2, i + 1.
SLUICE_INLINE float sum_lanes(const F v[kParts]) {
  const __m128 four = fold4(fold(v));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// sum_lanes of four vectors at once, with the same additions.
SLUICE_INLINE __m128 sum_lanes_4(const F a[kParts], const F b[kParts], const F c[kParts], const F d[kParts]) {
  const __m128 a4 = fold4(fold(a));
  const __m128 b4 = fold4(fold(b));
  const __m128 c4 = fold4(fold(c));
  const __m128 d4 = fold4(fold(d));
  const __m128 ab = _mm_add_ps(_mm_movelh_ps(a4, b4), _mm_movehl_ps(b4, a4));
  const __m128 cd = _mm_add_ps(_mm_movelh_ps(c4, d4), _mm_movehl_ps(d4, c4));
  return _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xDD));
}
SLUICE_INLINE float max_of_lanes(F v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps(v);
#else
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
#endif
}
SLUICE_INLINE float first_lane(F v) {
#if defined(__AVX512F__)
  return _mm512_cvtss_f32(v);
#else
  return _mm256_cvtss_f32(v);
#endif
}

// e^x within 1 ulp or so: Cephes expf. Overflows to infinity, keeps NaN, and is 0 where it would be subnormal: to make
// one, or to multiply by one, takes some processors a hundred cycles.
SLUICE_INLINE F exp(F of) {
  const F least = set1(-87.336f);  // 2^-126
  const F x = max(least, min(set1(89.0f), of));
  const F n = round(mul(x, set1(1.44269504088896341f)));
  F r = fnma(n, set1(0.693359375f), x);
  r = fnma(n, set1(-2.12194440e-4f), r);
  F p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(mul(p, r), r, r);
  return zero_below(of, least, scale_by_power(add(p, set1(1.0f)), n));
}

// Cephes tanhf: an odd polynomial near 0, else 1 − 2 / (e^2|x| + 1) with the sign of x.
SLUICE_INLINE F tanh(F x) {
  const F z = mul(x, x);
  F p = set1(-5.70498872745e-3f);
  p = fma(p, z, set1(2.06390887954e-2f));
  p = fma(p, z, set1(-5.37397155531e-2f));
  p = fma(p, z, set1(1.33314422036e-1f));
  p = fma(p, z, set1(-3.33332819422e-1f));
  const F near = fma(mul(p, z), x, x);
  const F magnitude = abs(x);
  const F e = exp(add(magnitude, magnitude));
  const F far = copysign(sub(set1(1.0f), div(set1(2.0f), add(e, set1(1.0f)))), x);
  return select_below(magnitude, set1(0.625f), near, far);
}

// Within 1 ulp or so: an odd polynomial near 0, else 1 − e^q(|x|) with the sign of x.
SLUICE_INLINE F erf(F x) {
  const F z = mul(x, x);
  const F magnitude = abs(x);
  F p = set1(-5.96761703e-4f);
  p = fma(p, z, set1(4.99119423e-3f));
  p = fma(p, z, set1(-2.67681349e-2f));
  p = fma(p, z, set1(1.12819925e-1f));
  p = fma(p, z, set1(-3.76125336e-1f));
  p = fma(p, z, set1(1.28379166e-1f));
  const F near = fma(p, x, x);
  F q = fma(set1(-1.72853470e-5f), magnitude, set1(3.83197126e-4f));
  q = fma(q, z, fma(set1(-3.88396438e-3f), magnitude, set1(2.42546219e-2f)));
  q = fma(q, magnitude, set1(-1.06777877e-1f));
  q = fma(q, magnitude, set1(-6.34846687e-1f));
  q = fma(q, magnitude, set1(-1.28717512e-1f));
  q = fma(q, magnitude, sub(zero(), magnitude));
  const F far = copysign(sub(set1(1.0f), exp(q)), x);
  return select_below(magnitude, set1(0.927734375f), near, far);
}

}  // namespace sluice::kernels::SLUICE_ISA
