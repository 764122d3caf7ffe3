#include "tensor/packed_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tensor/quantize.h"

namespace sluice {
namespace {

std::vector<float> unpack(const Tensor& packed) {
  const PackedView view = packed_view(packed);
  std::vector<float> values(static_cast<size_t>(view.n * view.k));
  for (int64_t row = 0; row < view.n; ++row) unpack_row(view, row, values.data() + row * view.k);
  return values;
}

std::vector<float> dequantize(const Tensor& stored) {
  std::vector<float> values(static_cast<size_t>(stored.shape.elements()));
  for (int64_t row = 0; row < stored.shape.rows(); ++row)
    dequantize_row(stored.dtype, stored.row(row), values.data() + row * stored.shape.columns(), stored.shape.columns());
  return values;
}

// A stored matrix of random bytes, with f16 numbers of ordinary size where the type keeps scales.
struct RandomBlocks {
  RandomBlocks(DType dtype, int64_t n, int64_t k) : bytes(static_cast<size_t>(n) * row_bytes(dtype, k)) {
    std::mt19937 random(static_cast<unsigned>(dtype) + 1);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    const auto half = [&](size_t at) {
      const uint16_t bits = f32_to_f16(std::uniform_real_distribution<float>(-0.01f, 0.01f)(random));
      std::memcpy(bytes.data() + at, &bits, sizeof bits);
    };
    const auto block = static_cast<size_t>(dtype_traits(dtype).block_bytes);
    for (size_t at = 0; at < bytes.size(); at += block) {
      switch (dtype) {
        case DType::kQ2_K:
          half(at + 80);
          half(at + 82);
          break;
        case DType::kQ3_K:
          half(at + 108);
          break;
        case DType::kQ6_K:
          half(at + 208);
          break;
        case DType::kQ4_1:
        case DType::kQ5_1:
        case DType::kQ4_K:
        case DType::kQ5_K:
          half(at + 2);
          [[fallthrough]];
        default:
          half(at);
      }
    }
    tensor = {bytes.data(), dtype, {n, k}};
  }
  std::vector<std::byte> bytes;
  Tensor tensor;
};

constexpr DType kExact[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kIQ4_NL};
constexpr DType kRounded[] = {DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_XS};

Buffer pack(const Tensor& stored, const PackedFormat& format, Tensor& packed, bool* ok = nullptr) {
  const int64_t n = stored.shape.rows(), k = stored.shape.columns();
  Buffer memory(packed_bytes(format, n, k));
  packed = pack_header(format, n, k, memory.data());
  bool all = true;
  for (int64_t panel = 0; panel < packed_view(packed).panel_count(); ++panel)
    all = pack_panels(stored, packed, panel, panel + 1) && all;
  if (ok != nullptr) *ok = all;
  if (ok == nullptr) EXPECT_TRUE(all);
  EXPECT_EQ(packed.bytes(), memory.size());
  EXPECT_TRUE(check_packed({memory.data(), memory.size()}, n, k).ok());
  return memory;
}

TEST(PackedMatrix, TypesWithHalfScalesAreKeptToTheBit) {
  for (const DType dtype : kExact) {
    const RandomBlocks stored(dtype, 37, 288);
    Tensor packed;
    const Buffer memory = pack(stored.tensor, packed_format_of(dtype), packed);
    EXPECT_EQ(unpack(packed), dequantize(stored.tensor)) << dtype_name(dtype);
  }
}

TEST(PackedMatrix, KTypesLoseNoMoreThanTheRoundingOfTheirScales) {
  for (const DType dtype : kRounded) {
    const RandomBlocks stored(dtype, 21, 512);
    Tensor packed;
    const Buffer memory = pack(stored.tensor, packed_format_of(dtype), packed);
    const std::vector<float> actual = unpack(packed), expected = dequantize(stored.tensor);
    // The error of scale · code and of the minimum, each 2^-11 at most; both are at most the largest value around.
    for (size_t i = 0; i < actual.size(); ++i) {
      float around = 0;
      for (size_t j = i / 16 * 16; j < i / 16 * 16 + 16; ++j) around = std::max(around, std::abs(expected[j]));
      ASSERT_NEAR(actual[i], expected[i], 3 * around / 2048 + 1e-7f) << dtype_name(dtype) << " " << i;
    }
  }
}

TEST(PackedMatrix, FloatsAreRoundedToTheNearestCode) {
  std::mt19937 random(3);
  std::vector<float> values(19 * 100);
  for (float& value : values) value = std::normal_distribution<float>(0, 0.02f)(random);
  const Tensor stored = {reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {19, 100}};
  for (const int bits : {4, 6, 8}) {
    for (const bool minima : {false, true}) {
      for (const int group : {16, 32, 64, 128}) {
        const PackedFormat format = {.bits = bits, .group = group, .minima = minima, .shift = 12};
        Tensor packed;
        const Buffer memory = pack(stored, format, packed);
        const std::vector<float> actual = unpack(packed);
        for (int64_t row = 0; row < 19; ++row) {
          for (int64_t g = 0; g < 100; g += group) {
            const auto begin = static_cast<size_t>(row * 100 + g);
            const auto end = static_cast<size_t>(row * 100 + std::min<int64_t>(100, g + group));
            const auto [least, most] = std::minmax_element(values.begin() + static_cast<ptrdiff_t>(begin),
                                                           values.begin() + static_cast<ptrdiff_t>(end));
            const float magnitude = std::max(std::abs(*least), std::abs(*most));
            // Half a step; a whole one at the side of which q4 keeps only seven steps.
            const float step = minima
                                   ? (*most - *least) / static_cast<float>((1 << bits) - 1) * 0.51f + magnitude / 2048
                               : bits == 4 ? magnitude / 8 * 1.01f
                                           : magnitude / static_cast<float>(format.offset() - 1) * 0.56f;
            for (size_t i = begin; i < end; ++i) ASSERT_NEAR(actual[i], values[i], step) << bits << minima << group;
          }
        }
      }
    }
  }
}

TEST(PackedMatrix, Bf16KeepsItsBits) {
  std::vector<uint16_t> values(18 * 70);
  std::mt19937 random(4);
  for (uint16_t& value : values) value = f32_to_bf16(std::normal_distribution<float>()(random));
  const Tensor stored = {reinterpret_cast<const std::byte*>(values.data()), DType::kBF16, {18, 70}};
  Tensor packed;
  const Buffer memory = pack(stored, {.bits = 16, .group = 0}, packed);
  EXPECT_EQ(unpack(packed), dequantize(stored));
}

TEST(PackedMatrix, SaysWhenAScaleIsBeyondItsRange) {
  std::vector<float> values(32, 1e9f);
  const Tensor stored = {reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {1, 32}};
  Tensor packed;
  bool ok = true;
  const Buffer memory = pack(stored, {}, packed, &ok);
  EXPECT_FALSE(ok);
}

TEST(PackedMatrix, ABadHeaderIsRefused) {
  const PackedFormat format = {};
  alignas(64) std::byte bytes[4096] = {};
  pack_header(format, 16, 32, bytes);
  const size_t size = packed_bytes(format, 16, 32);
  ASSERT_LE(size, sizeof bytes);
  EXPECT_TRUE(check_packed({bytes, size}, 16, 32).ok());
  EXPECT_FALSE(check_packed({bytes, size}, 32, 16).ok());
  EXPECT_FALSE(check_packed({bytes, size - 1}, 16, 32).ok());
  EXPECT_FALSE(check_packed({bytes, 3}, 16, 32).ok());
  for (size_t i = 0; i < 30; ++i) {
    std::byte changed[4096];
    std::memcpy(changed, bytes, sizeof bytes);
    changed[i] ^= std::byte{0xA5};
    if (i == 27) continue;  // unused
    EXPECT_FALSE(check_packed({changed, size}, 16, 32).ok()) << i;
  }
}

}  // namespace
}  // namespace sluice
