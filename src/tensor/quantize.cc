#include "tensor/quantize.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "tensor/bytes.h"
#include "tensor/ggml_blocks.h"

namespace sluice {
namespace {

using ggml_blocks::kBlock;

// Rounds half away from zero as C's roundf. What no int8 can hold (a NaN, an infinity, an infinite 1/scale) is clamped,
// since weights come from outside and the conversion of such a value would be undefined.
int8_t round_to_int8(float value) {
  if (std::isnan(value)) return 0;
  return static_cast<int8_t>(std::clamp(std::round(value), -127.0f, 127.0f));
}

// ggml's MIN(15, (int8_t)(value + 8.5f)) with the same clamping.
uint8_t round_to_nibble(float value) {
  if (std::isnan(value)) return 8;
  return static_cast<uint8_t>(std::clamp(value + 8.5f, 0.0f, 15.0f));
}

float inverse(float scale) { return scale != 0.0f ? 1.0f / scale : 0.0f; }

void dequantize_q8_0(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kBlock, in += 2 + kBlock) {
    const float scale = f16_to_f32(load<uint16_t>(in));
    for (int j = 0; j < kBlock; ++j) out[i + j] = static_cast<float>(static_cast<int8_t>(in[2 + j])) * scale;
  }
}

void quantize_q8_0(const float* in, std::byte* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kBlock, out += 2 + kBlock) {
    float largest = 0.0f;
    for (int j = 0; j < kBlock; ++j) largest = std::max(largest, std::abs(in[i + j]));
    const float scale = largest / 127.0f;
    const float scale_inverse = inverse(scale);
    store(out, f32_to_f16(scale));
    for (int j = 0; j < kBlock; ++j) out[2 + j] = static_cast<std::byte>(round_to_int8(in[i + j] * scale_inverse));
  }
}

void dequantize_q4_0(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kBlock, in += 2 + kBlock / 2) {
    const float scale = f16_to_f32(load<uint16_t>(in));
    for (int j = 0; j < kBlock / 2; ++j) {
      const int pair = std::to_integer<int>(in[2 + j]);
      out[i + j] = static_cast<float>((pair & 15) - 8) * scale;
      out[i + j + kBlock / 2] = static_cast<float>((pair >> 4) - 8) * scale;
    }
  }
}

void quantize_q4_0(const float* in, std::byte* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kBlock, out += 2 + kBlock / 2) {
    float largest = 0.0f;  // in magnitude, with its sign: it becomes exactly −8
    for (int j = 0; j < kBlock; ++j) {
      if (std::abs(in[i + j]) > std::abs(largest)) largest = in[i + j];
    }
    const float scale = largest / -8.0f;
    const float scale_inverse = inverse(scale);
    store(out, f32_to_f16(scale));
    for (int j = 0; j < kBlock / 2; ++j) {
      const unsigned low = round_to_nibble(in[i + j] * scale_inverse);
      const unsigned high = round_to_nibble(in[i + j + kBlock / 2] * scale_inverse);
      out[2 + j] = static_cast<std::byte>(low | (high << 4));
    }
  }
}

void check_row(DType dtype, int64_t elements) {
  const int block = dtype_traits(dtype).block_elements;
  SLUICE_CHECK(elements >= 0 && elements % block == 0,
               cat("a row of ", elements, " elements is not whole blocks of ", dtype_name(dtype)));
}

}  // namespace

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 31u;
  const uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  if (exponent == 31) {
    const uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;  // a signalling NaN becomes quiet, as in hardware
    return std::bit_cast<float>(sign | 0x7F800000u | quiet | (mantissa << 13));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65520 and more round to infinity
  if (magnitude < 0x38800000u) {
    // Below 2^-14 the result is subnormal, in units of 2^-24: the last bit of a float near 0.5. The addition rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f)));
  }
  const uint32_t rebiased = magnitude - (112u << 23);
  return static_cast<uint16_t>(sign | ((rebiased + 0xFFFu + ((rebiased >> 13) & 1u)) >> 13));
}

void dequantize_row(DType dtype, const std::byte* in, float* out, int64_t elements) {
  check_row(dtype, elements);
  switch (dtype) {
    case DType::kF32:
      if (elements > 0) std::memcpy(out, in, static_cast<size_t>(elements) * sizeof(float));
      return;
    case DType::kF16:
      for (int64_t i = 0; i < elements; ++i) out[i] = f16_to_f32(load<uint16_t>(in + 2 * i));
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < elements; ++i) out[i] = bf16_to_f32(load<uint16_t>(in + 2 * i));
      return;
    case DType::kQ8_0:
      return dequantize_q8_0(in, out, elements);
    case DType::kQ4_0:
      return dequantize_q4_0(in, out, elements);
    case DType::kQ4_1:
      return ggml_blocks::dequantize_q4_1(in, out, elements);
    case DType::kQ5_0:
      return ggml_blocks::dequantize_q5_0(in, out, elements);
    case DType::kQ5_1:
      return ggml_blocks::dequantize_q5_1(in, out, elements);
    case DType::kQ2_K:
      return ggml_blocks::dequantize_q2_k(in, out, elements);
    case DType::kQ3_K:
      return ggml_blocks::dequantize_q3_k(in, out, elements);
    case DType::kQ4_K:
      return ggml_blocks::dequantize_q4_k(in, out, elements);
    case DType::kQ5_K:
      return ggml_blocks::dequantize_q5_k(in, out, elements);
    case DType::kQ6_K:
      return ggml_blocks::dequantize_q6_k(in, out, elements);
    case DType::kIQ4_NL:
      return ggml_blocks::dequantize_iq4_nl(in, out, elements);
    case DType::kIQ4_XS:
      return ggml_blocks::dequantize_iq4_xs(in, out, elements);
    default:
      SLUICE_CHECK(false, cat("dequantize_row has no meaning for ", dtype_name(dtype)));
  }
}

void quantize_row(DType dtype, const float* in, std::byte* out, int64_t elements) {
  check_row(dtype, elements);
  switch (dtype) {
    case DType::kF32:
      if (elements > 0) std::memcpy(out, in, static_cast<size_t>(elements) * sizeof(float));
      return;
    case DType::kF16:
      for (int64_t i = 0; i < elements; ++i) store(out + 2 * i, f32_to_f16(in[i]));
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < elements; ++i) store(out + 2 * i, f32_to_bf16(in[i]));
      return;
    case DType::kQ8_0:
      return quantize_q8_0(in, out, elements);
    case DType::kQ4_0:
      return quantize_q4_0(in, out, elements);
    case DType::kQ4_1:
      return ggml_blocks::quantize_q4_1(in, out, elements);
    case DType::kQ5_0:
      return ggml_blocks::quantize_q5_0(in, out, elements);
    case DType::kQ5_1:
      return ggml_blocks::quantize_q5_1(in, out, elements);
    default:
      SLUICE_CHECK(false, cat("quantize_row has no meaning for ", dtype_name(dtype)));
  }
}

namespace {

// Where a block's half-precision scale and, if it has one, its half-precision minimum lie.
struct ScaleOffsets {
  int scale;
  int minimum = -1;
};
ScaleOffsets scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

}  // namespace

int64_t first_non_finite(DType dtype, const std::byte* in, int64_t elements) {
  check_row(dtype, elements);
  const DTypeTraits traits = dtype_traits(dtype);
  const int64_t count = elements / traits.block_elements;
  // Numbers whose exponent has every bit set are infinite or NaN; chunks are looked at whole, without branches.
  const auto search = [&](int64_t offset, auto exponent) -> int64_t {
    using Bits = decltype(exponent);
    constexpr int64_t kChunk = 1024;
    for (int64_t begin = 0; begin < count; begin += kChunk) {
      const int64_t end = std::min(count, begin + kChunk);
      bool bad = false;
      const auto is_bad = [&](int64_t i) {
        return (load<Bits>(in + i * traits.block_bytes + offset) & exponent) == exponent;
      };
      for (int64_t i = begin; i < end; ++i) bad |= is_bad(i);
      for (int64_t i = begin; bad; ++i) {
        if (is_bad(i)) return i * traits.block_elements;
      }
    }
    return -1;
  };
  if (dtype == DType::kF32) return search(0, uint32_t{0x7F800000});
  if (dtype == DType::kBF16) return search(0, uint16_t{0x7F80});
  SLUICE_CHECK(dtype == DType::kF16 || is_quantized(dtype));
  constexpr uint16_t kHalf = 0x7C00;
  const ScaleOffsets offsets = scale_offsets(dtype);
  const int64_t scale = search(offsets.scale, kHalf);
  const int64_t minimum = offsets.minimum < 0 ? -1 : search(offsets.minimum, kHalf);
  return scale < 0 || minimum < 0 ? std::max(scale, minimum) : std::min(scale, minimum);
}

}  // namespace sluice
