// The K types: super-blocks of 256 elements in which 8 or 16 sub-blocks have small scales of their own.
// In all of them element e = 128·half + 32·quarter + l (or 64·group + 32·nibble + l) lies in the byte of l, so that
// neighbours are 32 apart in significance, and its sub-block is e / 16 (or e / 32).

#include "tensor/bytes.h"
#include "tensor/ggml_blocks.h"

namespace sluice::ggml_blocks {

// 6-bit scales and minima packed into 12 bytes.
ScaleAndLeast k_scale(const std::byte* packed, int j) {
  if (j < 4) return {static_cast<float>(byte_at(packed, j) & 63), static_cast<float>(byte_at(packed, j + 4) & 63)};
  const unsigned low = byte_at(packed, j + 4);
  return {static_cast<float>((low & 15) | (byte_at(packed, j - 4) >> 6) << 4),
          static_cast<float>((low >> 4) | (byte_at(packed, j) >> 6) << 4)};
}

// 6-bit signed scales: low nibbles in 8 bytes, the two upper bits in 4.
float q3_k_scale(const std::byte* packed, int j) {
  const unsigned low = j < 8 ? byte_at(packed, j) & 15 : byte_at(packed, j - 8) >> 4;
  const unsigned high = byte_at(packed, 8 + j % 4) >> (2 * (j / 4)) & 3;
  return static_cast<float>(static_cast<int>(low | high << 4) - 32);
}

// scales[16], quants[64], f16 scale, f16 minimum
void dequantize_q2_k(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kSuper, in += 84) {
    const float scale = load_half(in + 80), least = load_half(in + 82);
    for (int e = 0; e < kSuper; ++e) {
      const unsigned sub = byte_at(in, e / 16);
      const unsigned q = byte_at(in, 16 + e / 128 * 32 + e % 32) >> (2 * (e / 32 % 4)) & 3;
      out[i + e] = scale * static_cast<float>(sub & 15) * static_cast<float>(q) - least * static_cast<float>(sub >> 4);
    }
  }
}

// high bits[32], quants[64], scales[12], f16 scale
void dequantize_q3_k(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kSuper, in += 110) {
    const float scale = load_half(in + 108);
    for (int e = 0; e < kSuper; ++e) {
      const unsigned low = byte_at(in, 32 + e / 128 * 32 + e % 32) >> (2 * (e / 32 % 4)) & 3;
      const bool high = (byte_at(in, e % 32) >> (e / 32) & 1) != 0;
      const int q = static_cast<int>(low) - (high ? 0 : 4);
      out[i + e] = scale * q3_k_scale(in + 96, e / 16) * static_cast<float>(q);
    }
  }
}

// f16 scale, f16 minimum, scales[12], quants[128]
void dequantize_q4_k(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kSuper, in += 144) {
    const float scale = load_half(in), least = load_half(in + 2);
    for (int sub = 0; sub < 8; ++sub) {
      const ScaleAndLeast own = k_scale(in + 4, sub);
      const float sub_scale = scale * own.scale, sub_least = least * own.least;
      for (int l = 0; l < 32; ++l) {
        const unsigned q = byte_at(in, 16 + sub / 2 * 32 + l) >> (4 * (sub % 2)) & 15;
        out[i + 32 * sub + l] = sub_scale * static_cast<float>(q) - sub_least;
      }
    }
  }
}

// f16 scale, f16 minimum, scales[12], fifth bits[32], quants[128]
void dequantize_q5_k(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kSuper, in += 176) {
    const float scale = load_half(in), least = load_half(in + 2);
    for (int sub = 0; sub < 8; ++sub) {
      const ScaleAndLeast own = k_scale(in + 4, sub);
      const float sub_scale = scale * own.scale, sub_least = least * own.least;
      for (int l = 0; l < 32; ++l) {
        const unsigned low = byte_at(in, 48 + sub / 2 * 32 + l) >> (4 * (sub % 2)) & 15;
        const unsigned high = byte_at(in, 16 + l) >> sub & 1;
        out[i + 32 * sub + l] = sub_scale * static_cast<float>(low | high << 4) - sub_least;
      }
    }
  }
}

// low nibbles[128], upper two bits[64], i8 scales[16], f16 scale
void dequantize_q6_k(const std::byte* in, float* out, int64_t elements) {
  for (int64_t i = 0; i < elements; i += kSuper, in += 210) {
    const float scale = load_half(in + 208);
    for (int e = 0; e < kSuper; ++e) {
      const int half = e / 128, quarter = e / 32 % 4, l = e % 32;
      const unsigned low = byte_at(in, half * 64 + quarter % 2 * 32 + l) >> (4 * (quarter / 2)) & 15;
      const unsigned high = byte_at(in, 128 + half * 32 + l) >> (2 * quarter) & 3;
      const int q = static_cast<int>(low | high << 4) - 32;
      out[i + e] = scale * static_cast<float>(static_cast<int8_t>(in[192 + e / 16])) * static_cast<float>(q);
    }
  }
}

}  // namespace sluice::ggml_blocks
