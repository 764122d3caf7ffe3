// Everything that is not a product of matrices: norms, rotations, conversions, activations.

#include "kernels/cpu/shares.h"
#include "kernels/cpu/weights.h"

namespace sluice::kernels::SLUICE_ISA {
namespace {

// Applies f to `count` elements of x and y, register by register.
template <class Function>
SLUICE_INLINE void for_elements(const float* x, const float* y, float* out, int64_t count, const Function& f) {
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) store(out + i, f(load(x + i), load(y + i)));
  if (i < count) store_first(out + i, f(load_first(x + i, count - i), load_first(y + i, count - i)), count - i);
}

SLUICE_INLINE F silu(F x) { return div(x, add(set1(1.0f), exp(sub(zero(), x)))); }

SLUICE_INLINE F quick_gelu(F x) { return div(x, add(set1(1.0f), exp(mul(set1(-1.702f), x)))); }

SLUICE_INLINE F gelu(F x) {
  return mul(mul(set1(0.5f), x), add(set1(1.0f), erf(mul(x, set1(0.70710678118654752440f)))));
}

SLUICE_INLINE F relu(F x) { return max(zero(), x); }

SLUICE_INLINE F gelu_tanh(F x) {
  const F cubic = mul(mul(x, x), mul(x, set1(0.044715f)));
  const F inner = mul(set1(0.79788456080286535588f), add(x, cubic));
  return mul(mul(set1(0.5f), x), add(set1(1.0f), tanh(inner)));
}

// Lane j of sixty-four sums the squares of elements k ≡ j (mod 64), ascending; the four sixteens are added pairwise.
float sum_of_squares(const float* x, int64_t columns) {
  constexpr int kSums = 4 * kParts;
  F sum[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kWidth <= columns; i += kSums * kWidth) {
    for (int s = 0; s < kSums; ++s) {
      const F v = load(x + i + s * kWidth);
      sum[s] = fma(v, v, sum[s]);
    }
  }
  for (int s = 0; s < kSums && i < columns; ++s, i += kWidth) {
    const F v = load_first(x + i, clamp_lanes(columns - i));
    sum[s] = fma(v, v, sum[s]);
  }
  F all[kParts];
  for (int p = 0; p < kParts; ++p) {
    all[p] = add(add(sum[p], sum[kParts + p]), add(sum[2 * kParts + p], sum[3 * kParts + p]));
  }
  return sum_lanes(all);
}

// The compiler turns these two loops into vector code; no product is fused, so every width gives the same bits.
void rotate_halves(float* __restrict x, float* __restrict y, const float* __restrict cos, const float* __restrict sin,
                   int n) {
  for (int i = 0; i < n; ++i) {
    const float a = x[i];
    const float b = y[i];
    x[i] = a * cos[i] - b * sin[i];
    y[i] = b * cos[i] + a * sin[i];
  }
}

void rotate_pairs(float* __restrict x, const float* __restrict cos, const float* __restrict sin, int n) {
  for (int i = 0; i < n; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

// A q8_0 block as ggml's quantize_row_q8_0_ref makes it. Halves are rounded away from zero: adding the float below 0.5
// and truncating does that for every float.
void write_q8_0(const float* in, std::byte* out) {
  F largest = zero();
  for (int i = 0; i < kBlock; i += kWidth) largest = max(abs(load(in + i)), largest);
  const float scale = max_of_lanes(largest) / 127.0f;
  const F inverse = set1(scale != 0.0f ? 1.0f / scale : 0.0f);
  const __m128i bits = _mm_cvtps_ph(_mm_set_ss(scale), _MM_FROUND_TO_NEAREST_INT);
  const auto scale_bits = static_cast<uint16_t>(_mm_extract_epi16(bits, 0));
  __builtin_memcpy(out, &scale_bits, sizeof scale_bits);
  float rounded[kBlock];
  for (int i = 0; i < kBlock; i += kWidth) {
    const F v = mul(load(in + i), inverse);
    store(rounded + i, max(set1(-127.0f), min(set1(127.0f), add(v, copysign(set1(0x1.fffffep-2f), v)))));
  }
  for (int i = 0; i < kBlock; ++i) {
    out[2 + i] = rounded[i] == rounded[i] ? static_cast<std::byte>(static_cast<int>(rounded[i])) : std::byte{0};
  }
}

SLUICE_INLINE uint16_t to_bf16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? (bits >> 16) | 0x40u : rounded);
}

void write_f16(const float* in, std::byte* out, int64_t columns) {
  int64_t i = 0;
  for (; i + 8 <= columns; i += 8) {
    const __m128i bits = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i), bits);
  }
  for (; i < columns; ++i) {
    const __m128i bits = _mm_cvtps_ph(_mm_set_ss(in[i]), _MM_FROUND_TO_NEAREST_INT);
    const auto one = static_cast<uint16_t>(_mm_extract_epi16(bits, 0));
    __builtin_memcpy(out + 2 * i, &one, sizeof one);
  }
}

template <DType kType>
SLUICE_INLINE void read_scaled(const std::byte* in, float scale, float* out, int64_t columns) {
  const F factor = set1(scale);
  int64_t i = 0;
  for (; i + kBlock <= columns; i += kBlock) {
    F v[2 * kParts];
    load_block<kType>(in, i, v);
    for (int p = 0; p < 2 * kParts; ++p) store(out + i + p * kWidth, mul(v[p], factor));
  }
  for (; i < columns; i += kLanes) {
    const int64_t rest = columns - i < kLanes ? columns - i : kLanes;
    F v[kParts] = {};
    load_lanes<kType>(in, i, rest, v);
    for (int p = 0; p < kParts; ++p)
      store_first(out + i + p * kWidth, mul(v[p], factor), clamp_lanes(rest - p * kWidth));
  }
}

}  // namespace

void rms_norm(const NormArgs& args, int64_t row_begin, int64_t row_end) {
  const F offset = set1(args.weight_offset);
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + r * args.columns;
    const float mean = sum_of_squares(x, args.columns) / static_cast<float>(args.columns);
    const F inverse = set1(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + args.epsilon))));
    for_elements(x, args.weight, args.out + r * args.columns, args.columns,
                 [&](F v, F weight) { return mul(mul(v, inverse), add(weight, offset)); });
  }
}

void rope(const RopeArgs& args, int64_t row_begin, int64_t row_end) {
  const int half = args.rotary_dim / 2;
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int head = 0; head < args.heads; ++head) {
      float* x = args.x + r * args.stride + int64_t{head} * args.head_dim;
      if (args.interleaved) {
        rotate_pairs(x, args.cos + r * half, args.sin + r * half, half);
      } else {
        rotate_halves(x, x + half, args.cos + r * half, args.sin + r * half, half);
      }
    }
  }
}

void read_row(DType dtype, const std::byte* in, float scale, float* out, int64_t columns) {
  for_type(dtype, [&]<DType kType>() { read_scaled<kType>(in, scale, out, columns); });
}

void write_row(DType dtype, const float* in, std::byte* out, int64_t columns) {
  switch (dtype) {
    case DType::kF32:
      __builtin_memcpy(out, in, static_cast<size_t>(columns) * 4);
      return;
    case DType::kF16:
      write_f16(in, out, columns);
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < columns; ++i) {
        const uint16_t bits = to_bf16(in[i]);
        __builtin_memcpy(out + 2 * i, &bits, sizeof bits);
      }
      return;
    case DType::kQ8_0:
      for (int64_t i = 0; i < columns; i += kBlock) write_q8_0(in + i, out + i / kBlock * 34);
      return;
    default:
      return;  // callers have checked the type
  }
}

void gated_activation(const GatedActivationArgs& args, int64_t begin, int64_t end) {
  const float* gate = args.gate + begin;
  const float* up = args.up + begin;
  float* out = args.out + begin;
  const auto gated = [&](const auto& activate) {
    for_elements(gate, up, out, end - begin, [&](F g, F u) { return mul(activate(g), u); });
  };
  switch (args.activation) {
    case Activation::kSilu:
      return gated([](F x) { return silu(x); });
    case Activation::kGelu:
      return gated([](F x) { return gelu(x); });
    case Activation::kGeluTanh:
      return gated([](F x) { return gelu_tanh(x); });
    case Activation::kQuickGelu:
      return gated([](F x) { return quick_gelu(x); });
    case Activation::kRelu:
      return gated([](F x) { return relu(x); });
    case Activation::kRelu2:
      return gated([](F x) { return mul(relu(x), relu(x)); });
  }
}

void add(float* x, const float* y, int64_t count) {
  for_elements(x, y, x, count, [](F a, F b) { return add(a, b); });
}

void softcap(float* x, float cap, int64_t count) {
  const F limit = set1(cap);
  for_elements(x, x, x, count, [&](F v, F) { return mul(limit, tanh(div(v, limit))); });
}

}  // namespace sluice::kernels::SLUICE_ISA
