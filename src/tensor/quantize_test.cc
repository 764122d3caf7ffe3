// The oracle is ggml: its own C code for the shared vectors, its Python package for tests/golden/quantize.

#include "tensor/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"

namespace sluice {
namespace {

using Bytes = std::vector<std::byte>;

std::string golden(const std::string& name) { return SLUICE_SOURCE_DIR "/tests/golden/quantize/" + name; }

std::string shared_data() {
  const char* folder = std::getenv("SLUICE_SHARED_DATA");
  return folder != nullptr ? folder : SLUICE_SOURCE_DIR "/../shared/data";
}

Bytes read_bytes(const std::string& path) {
  const auto text = read_file(path);
  if (!text.ok()) {
    ADD_FAILURE() << text.error().message;
    return {};
  }
  const auto* begin = reinterpret_cast<const std::byte*>(text->data());
  return {begin, begin + text->size()};
}

std::vector<float> as_floats(const Bytes& bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

Bytes quantized(DType dtype, const std::vector<float>& values) {
  Bytes out(row_bytes(dtype, static_cast<int64_t>(values.size())));
  quantize_row(dtype, values.data(), out.data(), static_cast<int64_t>(values.size()));
  return out;
}

std::vector<float> dequantized(DType dtype, const Bytes& bytes) {
  const DTypeTraits traits = dtype_traits(dtype);
  std::vector<float> out(bytes.size() / static_cast<size_t>(traits.block_bytes) *
                         static_cast<size_t>(traits.block_elements));
  dequantize_row(dtype, bytes.data(), out.data(), static_cast<int64_t>(out.size()));
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

class QuantizeGolden : public testing::TestWithParam<DType> {};

TEST_P(QuantizeGolden, RowsAsTheGgufPackage) {
  const std::vector<float> rows = as_floats(read_bytes(golden("rows.f32")));
  ASSERT_EQ(rows.size(), 8u * 256);
  const Bytes expected = read_bytes(golden("rows." + std::string(dtype_name(GetParam()))));
  const Bytes actual = quantized(GetParam(), rows);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_EQ(actual[i], expected[i]) << "byte " << i;
}
INSTANTIATE_TEST_SUITE_P(Types, QuantizeGolden,
                         testing::Values(DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                                         DType::kQ5_0, DType::kQ5_1),
                         [](const auto& param) { return std::string(dtype_name(param.param)); });

class DequantizeGolden : public testing::TestWithParam<DType> {};

TEST_P(DequantizeGolden, RandomBlocksAsTheGgufPackage) {
  const std::string name(dtype_name(GetParam()));
  const std::vector<float> expected = as_floats(read_bytes(golden(name + ".values")));
  ASSERT_EQ(expected.size(), 512u);
  EXPECT_TRUE(same_bits(dequantized(GetParam(), read_bytes(golden(name + ".blocks"))), expected));
}
INSTANTIATE_TEST_SUITE_P(Types, DequantizeGolden,
                         testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                         DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                                         DType::kIQ4_NL, DType::kIQ4_XS),
                         [](const auto& param) { return std::string(dtype_name(param.param)); });

// What ggml_quantize_chunk made of the same floats.
class GgmlVectors : public testing::TestWithParam<std::pair<DType, int>> {};

TEST_P(GgmlVectors, QuantizesByteForByte) {
  const auto [dtype, columns] = GetParam();
  const std::string stem = shared_data() + "/weights/quant-vectors/" + std::string(dtype_name(dtype)) + "_" +
                           std::to_string(columns) + "_noim_";
  if (!file_exists(stem + "input.bin")) GTEST_SKIP() << "shared data is not here: " << stem << "input.bin";
  const Bytes expected = read_bytes(stem + "expected.bin");
  EXPECT_EQ(quantized(dtype, as_floats(read_bytes(stem + "input.bin"))), expected);
}
INSTANTIATE_TEST_SUITE_P(Types, GgmlVectors,
                         testing::Values(std::pair{DType::kQ8_0, 64}, std::pair{DType::kQ4_0, 64},
                                         std::pair{DType::kQ4_1, 64}, std::pair{DType::kQ5_0, 64},
                                         std::pair{DType::kQ5_1, 64}),
                         [](const auto& param) { return std::string(dtype_name(param.param.first)); });

// Blocks that ggml made from known floats stand for those floats, as near as their bits allow (inputs are in [−1, 1]).
struct Nearness {
  DType dtype;
  int columns;
  float error_max;
};
class GgmlBlocks : public testing::TestWithParam<Nearness> {};

TEST_P(GgmlBlocks, DequantizeNearTheirSource) {
  const auto [dtype, columns, error_max] = GetParam();
  const std::string stem = shared_data() + "/weights/quant-vectors/" + std::string(dtype_name(dtype)) + "_" +
                           std::to_string(columns) + "_noim_";
  if (!file_exists(stem + "input.bin")) GTEST_SKIP() << "shared data is not here: " << stem << "input.bin";
  const std::vector<float> source = as_floats(read_bytes(stem + "input.bin"));
  const std::vector<float> back = dequantized(dtype, read_bytes(stem + "expected.bin"));
  ASSERT_EQ(back.size(), source.size());
  float error = 0;
  for (size_t i = 0; i < back.size(); ++i) error = std::max(error, std::abs(back[i] - source[i]));
  EXPECT_LE(error, error_max);
}
INSTANTIATE_TEST_SUITE_P(Types, GgmlBlocks,
                         testing::Values(Nearness{DType::kQ8_0, 64, 0.005f}, Nearness{DType::kQ4_0, 64, 0.13f},
                                         Nearness{DType::kQ4_1, 64, 0.07f}, Nearness{DType::kQ5_0, 64, 0.07f},
                                         Nearness{DType::kQ5_1, 64, 0.035f}, Nearness{DType::kQ2_K, 512, 0.4f},
                                         Nearness{DType::kQ3_K, 512, 0.25f}, Nearness{DType::kQ4_K, 512, 0.09f},
                                         Nearness{DType::kQ5_K, 512, 0.05f}, Nearness{DType::kQ6_K, 512, 0.035f},
                                         Nearness{DType::kIQ4_NL, 64, 0.13f}),
                         [](const auto& param) { return std::string(dtype_name(param.param.dtype)); });

TEST(Half, EveryPatternSurvivesTheRoundTrip) {
  const std::vector<float> expected = as_floats(read_bytes(golden("halves.f32")));
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f16_to_f32(static_cast<uint16_t>(bits));
    const bool nan = (bits & 0x7FFF) > 0x7C00;
    ASSERT_EQ(std::isnan(value), nan) << bits;
    const uint32_t quiet = nan ? 0x200u : 0u;
    ASSERT_EQ(f32_to_f16(value), bits | quiet);
    if (bits % 7 == 0 && !nan) {
      ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected[bits / 7])) << bits;
    }
  }
}

TEST(Half, RoundsToNearestEvenAtEveryBorder) {
  const std::vector<float> floats = as_floats(read_bytes(golden("floats.f32")));
  const Bytes halves = read_bytes(golden("floats.f16"));
  ASSERT_EQ(halves.size(), floats.size() * 2);
  for (size_t i = 0; i < floats.size(); ++i) {
    uint16_t expected;
    std::memcpy(&expected, &halves[2 * i], 2);
    ASSERT_EQ(f32_to_f16(floats[i]), expected) << floats[i];
  }
}

TEST(BFloat, RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);  // ties go to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F7FFFFFu)), 0x7F80);  // beyond the largest: infinity
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7F800001u)))));
}

// Weights are outside input: what no integer can hold must not be undefined behaviour.
TEST(Quantize, TakesNanInfinityAndDenormals) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float odd : {inf, -inf, nan, 1e-42f, -1e-45f, 3e38f}) {
    for (const DType dtype : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1}) {
      std::vector<float> row(64, 1e-43f);
      row[3] = odd;
      const std::vector<float> back = dequantized(dtype, quantized(dtype, row));
      if (std::abs(odd) < 1) {
        for (const float value : back) EXPECT_NEAR(value, 0.0f, 1e-6f);
      }
    }
  }
}

// Offsets of the half-precision fields in ggml-common.h's block_* structures.
TEST(Quantize, FindsWhatIsNotFiniteInEveryType) {
  const struct {
    DType dtype;
    std::vector<size_t> halves;
  } cases[] = {{DType::kF16, {0}},     {DType::kQ8_0, {0}},    {DType::kQ4_0, {0}},      {DType::kQ4_1, {0, 2}},
               {DType::kQ5_0, {0}},    {DType::kQ5_1, {0, 2}}, {DType::kQ2_K, {80, 82}}, {DType::kQ3_K, {108}},
               {DType::kQ4_K, {0, 2}}, {DType::kQ5_K, {0, 2}}, {DType::kQ6_K, {208}},    {DType::kIQ4_NL, {0}},
               {DType::kIQ4_XS, {0}}};
  for (const auto& [dtype, halves] : cases) {
    const DTypeTraits traits = dtype_traits(dtype);
    const int64_t blocks = 2050, elements = blocks * traits.block_elements;
    Bytes row(row_bytes(dtype, elements));
    EXPECT_EQ(first_non_finite(dtype, row.data(), elements), -1) << dtype_name(dtype);
    for (const size_t half : halves) {
      for (const size_t block : {size_t{0}, size_t{1023}, size_t{2049}}) {
        for (const uint16_t bad : {uint16_t{0x7C00}, uint16_t{0xFC00}, uint16_t{0x7E01}}) {
          Bytes changed = row;
          std::memcpy(changed.data() + block * static_cast<size_t>(traits.block_bytes) + half, &bad, 2);
          EXPECT_EQ(first_non_finite(dtype, changed.data(), elements),
                    static_cast<int64_t>(block) * traits.block_elements)
              << dtype_name(dtype) << " " << half;
          std::vector<float> values(static_cast<size_t>(elements));
          dequantize_row(dtype, changed.data(), values.data(), elements);
          EXPECT_FALSE(std::ranges::all_of(values, [](float value) { return std::isfinite(value); }));
        }
      }
    }
  }
}

TEST(QuantizeDeathTest, RefusesAPartOfABlock) {
  std::vector<float> row(33);
  Bytes out(100);
  EXPECT_DEATH(quantize_row(DType::kQ8_0, row.data(), out.data(), 33), "whole blocks");
  EXPECT_DEATH(quantize_row(DType::kQ4_K, std::vector<float>(256).data(), Bytes(144).data(), 256), "no meaning");
  EXPECT_DEATH(dequantize_row(DType::kI64, out.data(), row.data(), 1), "no meaning");
}

}  // namespace
}  // namespace sluice
