#include "tensor/ggml_blocks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/bytes.h"
#include "tensor/quantize.h"

namespace sluice::ggml_blocks {
namespace {

constexpr int kHalf = kBlock / 2;

// C's conversion of a float to an unsigned integer, with what does not fit clamped and NaN as 0: rows are outside
// input.
unsigned truncate(float value, unsigned largest) {
  if (std::isnan(value)) return 0;
  return static_cast<unsigned>(std::clamp(value, 0.0f, static_cast<float>(largest)));
}

float inverse(float scale) { return scale != 0.0f ? 1.0f / scale : 0.0f; }

struct Range {
  float least, largest;
};
Range range_of(const float* in) {
  Range range{std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()};
  for (int j = 0; j < kBlock; ++j) {
    if (in[j] < range.least) range.least = in[j];
    if (in[j] > range.largest) range.largest = in[j];
  }
  return range;
}

// 32 five-bit numbers: the low nibbles in 16 bytes (elements 0–15 low, 16–31 high), the fifth bits in 4 bytes before
// them.
void store_five_bits(std::byte* out, const unsigned (&values)[kBlock]) {
  uint32_t high = 0;
  for (int j = 0; j < kBlock; ++j) high |= (values[j] >> 4) << j;
  store(out, high);
  for (int j = 0; j < kHalf; ++j)
    out[4 + j] = static_cast<std::byte>((values[j] & 15) | ((values[j + kHalf] & 15) << 4));
}

void load_five_bits(const std::byte* in, int (&values)[kBlock]) {
  const auto high = load<uint32_t>(in);
  for (int j = 0; j < kHalf; ++j) {
    const unsigned pair = byte_at(in, 4 + j);
    values[j] = static_cast<int>((pair & 15) | ((high >> j & 1) << 4));
    values[j + kHalf] = static_cast<int>((pair >> 4) | ((high >> (j + kHalf) & 1) << 4));
  }
}

void dequantize_iq4(const std::byte* in, float scale, float* out) {
  for (int j = 0; j < kHalf; ++j) {
    const unsigned pair = byte_at(in, j);
    out[j] = scale * static_cast<float>(kIq4Values[pair & 15]);
    out[j + kHalf] = scale * static_cast<float>(kIq4Values[pair >> 4]);
  }
}

}  // namespace

void dequantize_q4_1(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kBlock, in += 4 + kHalf) {
    const float scale = load_half(in), least = load_half(in + 2);
    for (int j = 0; j < kHalf; ++j) {
      const unsigned pair = byte_at(in, 4 + j);
      out[i + j] = static_cast<float>(pair & 15) * scale + least;
      out[i + j + kHalf] = static_cast<float>(pair >> 4) * scale + least;
    }
  }
}

void dequantize_q5_0(const std::byte* in, float* out, int64_t elements) {
  int values[kBlock];
  for (int64_t i = 0; i < elements; i += kBlock, in += 2 + 4 + kHalf) {
    const float scale = load_half(in);
    load_five_bits(in + 2, values);
    for (int j = 0; j < kBlock; ++j) out[i + j] = static_cast<float>(values[j] - 16) * scale;
  }
}

void dequantize_q5_1(const std::byte* in, float* out, int64_t elements) {
  int values[kBlock];
  for (int64_t i = 0; i < elements; i += kBlock, in += 4 + 4 + kHalf) {
    const float scale = load_half(in), least = load_half(in + 2);
    load_five_bits(in + 4, values);
    for (int j = 0; j < kBlock; ++j) out[i + j] = static_cast<float>(values[j]) * scale + least;
  }
}

void dequantize_iq4_nl(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kBlock, in += 2 + kHalf) dequantize_iq4(in + 2, load_half(in), out + i);
}

int iq4_xs_scale(const std::byte* block, int sub) {
  const unsigned high = load<uint16_t>(block + 2);
  const unsigned low = byte_at(block, 4 + sub / 2) >> (4 * (sub % 2)) & 15;
  return static_cast<int>(low | (high >> (2 * sub) & 3) << 4) - 32;
}

// f16 scale, u16 with the upper two bits of eight sub-scales, 4 bytes with their lower four, then 8 × 16 bytes of
// nibbles.
void dequantize_iq4_xs(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += 256, in += 136) {
    const float scale = load_half(in);
    for (int sub = 0; sub < 8; ++sub)
      dequantize_iq4(in + 8 + 16 * sub, scale * static_cast<float>(iq4_xs_scale(in, sub)), out + i + 32 * sub);
  }
}

void quantize_q4_1(const float* in, std::byte* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kBlock, out += 4 + kHalf) {
    const auto [least, largest] = range_of(in + i);
    const float scale = (largest - least) / 15.0f;
    const float scale_inverse = inverse(scale);
    store(out, f32_to_f16(scale));
    store(out + 2, f32_to_f16(least));
    for (int j = 0; j < kHalf; ++j) {
      const unsigned low = truncate((in[i + j] - least) * scale_inverse + 0.5f, 15);
      const unsigned high = truncate((in[i + j + kHalf] - least) * scale_inverse + 0.5f, 15);
      out[4 + j] = static_cast<std::byte>(low | (high << 4));
    }
  }
}

void quantize_q5_0(const float* in, std::byte* out, int64_t elements) {
  unsigned values[kBlock];
  for (int64_t i = 0; i < elements; i += kBlock, out += 2 + 4 + kHalf) {
    float largest = 0.0f;  // in magnitude, with its sign: it becomes exactly −16
    for (int j = 0; j < kBlock; ++j) {
      if (std::abs(in[i + j]) > std::abs(largest)) largest = in[i + j];
    }
    const float scale = largest / -16.0f;
    const float scale_inverse = inverse(scale);
    store(out, f32_to_f16(scale));
    for (int j = 0; j < kBlock; ++j) values[j] = truncate(in[i + j] * scale_inverse + 16.5f, 31);
    store_five_bits(out + 2, values);
  }
}

void quantize_q5_1(const float* in, std::byte* out, int64_t elements) {
  unsigned values[kBlock];
  for (int64_t i = 0; i < elements; i += kBlock, out += 4 + 4 + kHalf) {
    const auto [least, largest] = range_of(in + i);
    const float scale = (largest - least) / 31.0f;
    const float scale_inverse = inverse(scale);
    store(out, f32_to_f16(scale));
    store(out + 2, f32_to_f16(least));
    for (int j = 0; j < kBlock; ++j) values[j] = truncate((in[i + j] - least) * scale_inverse + 0.5f, 31);
    store_five_bits(out + 4, values);
  }
}

}  // namespace sluice::ggml_blocks
