// Settings that are refused, and parts that do not fit each other. That sound files decode to the right values is
// tested in model/quantized_models_test.cc against the libraries that wrote them.

#include "checkpoint/quantized_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/testing.h"
#include "tensor/quantize.h"

namespace sluice::checkpoint {
namespace {

using test_files::SafetensorsTensor;

Result<std::optional<Quantization>> parse(std::string_view settings) {
  return parse_quantization({{"quantization_config", parse_json(settings).value()}}, "m/config.json");
}

TEST(Quantization, IsReadFromEveryPlace) {
  EXPECT_FALSE(parse_quantization(Json::object(), "c").value().has_value());
  EXPECT_FALSE(parse_quantization({{"quantization_config", nullptr}}, "c").value().has_value());
  const Json settings = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}, {"desc_act", true}};
  for (const Json& config : {Json{{"quantization_config", settings}}, Json{{"compression_config", settings}},
                             Json{{"text_config", {{"quantization_config", settings}}}}}) {
    const auto found = parse_quantization(config, "c").value();
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->method, QuantizationMethod::kGptq);
    EXPECT_EQ(found->summary, "gptq, 4 bits, groups of 128, act-order");
  }
}

TEST(Quantization, OldFilesOfTheirOwnNeedNoMethod) {
  EXPECT_EQ(parse(R"({"bits": 8, "group_size": -1, "desc_act": false})").value()->method, QuantizationMethod::kGptq);
  const auto awq = parse(R"({"zero_point": true, "q_group_size": 64, "w_bit": 4, "version": "GEMM"})").value();
  EXPECT_EQ(awq->method, QuantizationMethod::kAwq);
  EXPECT_EQ(awq->schemes[0].group_columns, 64);
}

TEST(Quantization, RefusesByName) {
  const std::pair<std::string_view, std::vector<std::string_view>> cases[] = {
      {R"({"quant_method": "bitsandbytes", "load_in_4bit": true})", {"bitsandbytes", "--quantize"}},
      {R"({"load_in_8bit": true})", {"bitsandbytes"}},
      {R"({"quant_method": "hqq"})", {"'hqq'", "awq, gptq"}},
      {R"({"quant_method": "gptq", "bits": 5})", {"'bits'", "5", "2, 3, 4, 8"}},
      {R"({"quant_method": "gptq", "group_size": 128})", {"'bits'", "missing"}},
      {R"({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"})", {"'checkpoint_format'", "'marlin'"}},
      {R"({"quant_method": "gptq", "bits": 4, "is_marlin_format": true})", {"'is_marlin_format'"}},
      {R"({"quant_method": "gptq", "bits": 4, "pack_dtype": "int8"})", {"'pack_dtype'", "'int8'"}},
      {R"({"quant_method": "gptq", "bits": 4, "rotation": "hadamard"})", {"'rotation'"}},
      {R"({"quant_method": "awq", "bits": 3})", {"'bits'", "3"}},
      {R"({"quant_method": "awq", "bits": 4, "version": "gemv"})", {"'version'", "'gemv'"}},
      {R"({"quant_method": "awq", "bits": 4, "smoothing": 2})", {"'smoothing'"}},
      {R"({"quant_method": "fp8", "fmt": "e5m2"})", {"'fmt'", "'e5m2'"}},
      {R"({"quant_method": "fp8", "weight_block_size": [128, 128], "transposed": true})", {"'transposed'"}},
      {R"({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"})", {"'nvfp4-pack-quantized'"}},
      {R"({"quant_method": "compressed-tensors", "sparsity_config": {"format": "sparse-24-bitmask"},
           "config_groups": {}})",
       {"'sparse-24-bitmask'"}},
      {R"({"quant_method": "compressed-tensors", "transform_config": {"config_groups": {"R1": {}}},
           "config_groups": {}})",
       {"'transform_config'"}},
      {R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 4, "curve": 1}}}})",
       {"'g'", "'curve'"}},
      {R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights":
           {"num_bits": 4, "type": "float"}}}})",
       {"'num_bits'", "4"}},
  };
  for (const auto& [settings, parts] : cases) {
    const auto got = parse(settings);
    ASSERT_FALSE(got.ok()) << settings;
    EXPECT_EQ(got.error().code, ErrorCode::kUnimplemented) << got.error().message;
    EXPECT_TRUE(got.error().message.starts_with("m/config.json: ")) << got.error().message;
    for (const std::string_view part : parts)
      EXPECT_NE(got.error().message.find(part), std::string::npos) << part << " in: " << got.error().message;
  }
}

TEST(Quantization, SettingsThatMakeNoSenseAreErrors) {
  for (const std::string_view settings :
       {R"([])", R"(7)", R"({"quant_method": 4})", R"({"quant_method": "gptq", "bits": "four"})",
        R"({"quant_method": "gptq", "bits": 4, "group_size": 0})", R"({"quant_method": "gptq", "bits": 4, "sym": "x",
        "desc_act": 3})",
        R"({"quant_method": "fp8", "weight_block_size": [0, 128]})",
        R"({"quant_method": "fp8", "weight_block_size": [128]})", R"({"quant_method": "compressed-tensors"})",
        R"({"quant_method": "compressed-tensors", "config_groups": {"W4A16": ["Linear"]}})",
        R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": null}}})",
        R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"],
        "weights": {"num_bits": 8, "strategy": "block"}}}})",
        R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 8}}}})",
        R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": "Linear",
        "weights": {"num_bits": 8}}}})",
        R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["re:("],
        "weights": {"num_bits": 8}}}})",
        R"x({"quant_method": "compressed-tensors", "ignore": ["re:(?<=a)"], "config_groups": {"g": {"targets":
        ["Linear"], "weights": {"num_bits": 8}}}})x"}) {
    const auto got = parse(settings);
    ASSERT_FALSE(got.ok()) << settings;
    EXPECT_TRUE(got.error().message.starts_with("m/config.json: ")) << got.error().message;
  }
}

std::string zeros(size_t bytes) { return std::string(bytes, '\0'); }

// A sound GPTQ matrix [32, 64] of 4 bits in groups of 32, which each test then spoils.
std::vector<SafetensorsTensor> gptq_parts() {
  return {{"a.qweight", "I32", {8, 32}, zeros(8 * 32 * 4)},
          {"a.qzeros", "I32", {2, 4}, zeros(2 * 4 * 4)},
          {"a.scales", "F16", {2, 32}, zeros(2 * 32 * 2)},
          {"a.g_idx", "I32", {64}, zeros(64 * 4)}};
}

Result<WeightMap> gather(const std::vector<SafetensorsTensor>& tensors, std::string_view settings, std::string& bytes) {
  bytes = test_files::safetensors_bytes(tensors);
  SLUICE_TRY(WeightMap weights,
             read_safetensors(WeightFile::from_memory("m.safetensors", test_files::as_bytes(bytes))));
  const auto quantization = parse(settings).value();
  return gather_quantized(std::move(weights), *quantization);
}

constexpr std::string_view kGptq = R"({"quant_method": "gptq", "bits": 4, "group_size": 32})";

void expect_error(const std::vector<SafetensorsTensor>& tensors, std::string_view settings,
                  const std::vector<std::string_view>& parts) {
  std::string bytes;
  const auto got = gather(tensors, settings, bytes);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::kCorruptData);
  for (const std::string_view part : parts)
    EXPECT_NE(got.error().message.find(part), std::string::npos) << part << " in: " << got.error().message;
}

TEST(QuantizedWeights, PartsBecomeOneEntryAndActivationScalesAreDropped) {
  auto tensors = gptq_parts();
  tensors.push_back({"a.bias", "F32", {32}, zeros(32 * 4)});
  tensors.push_back({"norm.weight", "F32", {4}, zeros(16)});
  tensors.push_back({"a.input_scale", "F32", {}, zeros(4)});
  std::string bytes;
  const auto got = gather(tensors, kGptq, bytes);
  ASSERT_TRUE(got.ok()) << got.error().message;
  ASSERT_EQ(got->entries().size(), 3u);
  const WeightEntry* entry = got->find("a.weight");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->shape, (Shape{32, 64}));
  EXPECT_EQ(entry->stored_type, "GPTQ int4");
  EXPECT_EQ(entry->bytes, 8u * 32 * 4 + 2 * 4 * 4 + 2 * 32 * 2 + 64 * 4);
  EXPECT_FALSE(got->tensor("a.weight").ok());
  EXPECT_TRUE(entry->quantized->group_index);  // all columns in group 0
  std::vector<int32_t> order(64);
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i / 32);
  tensors[3].bytes = test_files::bytes_of(order);
  std::string in_order;
  EXPECT_FALSE(gather(tensors, kGptq, in_order)->find("a.weight")->quantized->group_index);
  EXPECT_TRUE(is_zero_bias(*got, *got->find("a.bias")));
  EXPECT_FALSE(is_zero_bias(*got, *got->find("norm.weight")));
}

TEST(QuantizedWeights, EachMissingPartIsNamed) {
  for (const std::string_view part : {"a.qzeros", "a.scales"}) {
    auto tensors = gptq_parts();
    std::erase_if(tensors, [&](const SafetensorsTensor& tensor) { return tensor.name == part; });
    expect_error(tensors, kGptq, {part, "is missing", "a.qweight", "m.safetensors"});
  }
  expect_error({{"a.qweight", "I32", {64, 4}, zeros(64 * 4 * 4)}, {"a.scales", "F16", {2, 32}, zeros(128)}},
               R"({"quant_method": "awq", "bits": 4, "group_size": 32})", {"a.qzeros", "is missing"});
  expect_error({{"a.weight_packed", "I32", {4, 8}, zeros(128)}},
               R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"],
               "weights": {"num_bits": 4}}}})",
               {"a.weight_shape", "is missing"});
  expect_error({{"a.weight", "F8_E4M3", {4, 8}, zeros(32)}}, R"({"quant_method": "fp8"})",
               {"a.weight_scale", "is missing"});
}

TEST(QuantizedWeights, WrongShapesAndTypesSayWhatWasExpectedAndFound) {
  struct Spoiled {
    size_t part;
    SafetensorsTensor tensor;
    std::vector<std::string_view> message;
  };
  const Spoiled spoiled[] = {
      {0, {"a.qweight", "F32", {8, 32}, zeros(8 * 32 * 4)}, {"a.qweight", "F32", "i32"}},
      {0, {"a.qweight", "I32", {256}, zeros(8 * 32 * 4)}, {"a.qweight", "[256]", "matrix"}},
      {1, {"a.qzeros", "I32", {2, 3}, zeros(24)}, {"a.qzeros", "[2, 3]", "[2, 4]"}},
      {1, {"a.qzeros", "F32", {2, 4}, zeros(32)}, {"a.qzeros", "F32", "i32"}},
      {2, {"a.scales", "F16", {1, 32}, zeros(64)}, {"a.scales", "[1, 32]", "[2, 32]"}},
      {2, {"a.scales", "I8", {2, 32}, zeros(64)}, {"a.scales", "I8", "f16"}},
      {3, {"a.g_idx", "I32", {63}, zeros(252)}, {"a.g_idx", "[63]", "[64]"}},
  };
  for (const Spoiled& one : spoiled) {
    auto tensors = gptq_parts();
    tensors[one.part] = one.tensor;
    expect_error(tensors, kGptq, one.message);
  }
  expect_error(
      {{"a.weight_packed", "I32", {4, 8}, zeros(128)},
       {"a.weight_shape", "I64", {2}, test_files::bytes_of(std::vector<int64_t>{4, int64_t{1} << 40})},
       {"a.weight_scale", "F32", {4, 1}, zeros(16)}},
      R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 4,
          "strategy": "channel"}}}})",
      {"a.weight_shape", "1099511627776", "[4, 8]"});
  expect_error(
      {{"a.weight", "I8", {4, 8}, zeros(32)}, {"a.weight_scale", "F32", {3, 1}, zeros(12)}},
      R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 8,
          "strategy": "channel"}}}})",
      {"a.weight_scale", "[3, 1]", "[4, 1]"});
  expect_error({{"a.weight", "F8_E4M3", {4, 8}, zeros(32)}, {"a.weight_scale_inv", "F32", {1, 1}, zeros(4)}},
               R"({"quant_method": "fp8", "weight_block_size": [2, 4]})", {"a.weight_scale_inv", "[1, 1]", "[2, 2]"});
}

// Groups are told apart by the names they target, even where the shapes would fit another.
TEST(QuantizedWeights, ConfigGroupsApplyToTheModulesTheyName) {
  const auto matrix = [](const std::string& module) {
    return std::vector<SafetensorsTensor>{{module + ".weight", "I8", {4, 4}, zeros(16)},
                                          {module + ".weight_scale", "F32", {4, 1}, zeros(16)}};
  };
  const auto settings = [](std::string_view ignore) {
    return std::string(R"({"quant_method": "compressed-tensors", "ignore": [)") + std::string(ignore) +
           R"(], "config_groups": {
      "g0": {"targets": ["re:.*mlp.*"], "weights": {"num_bits": 8, "strategy": "channel"}},
      "g1": {"targets": ["Linear"], "weights": {"num_bits": 8, "strategy": "tensor"}},
      "g2": {"targets": ["re:.*attn.*"], "weights": null, "input_activations": {"num_bits": 8}}}})";
  };
  std::string bytes;
  EXPECT_TRUE(gather(matrix("a.mlp.up"), settings(""), bytes).ok());
  expect_error(matrix("b"), settings(""), {"m.safetensors", "'b.weight_scale'", "[4, 1]", "[1, 1]"});
  expect_error(matrix("a.attn.q"), settings(""), {"m.safetensors", "'a.attn.q.weight'", "no config group for"});
  expect_error(matrix("b"), settings(R"("b")"), {"m.safetensors", "'b.weight'", "ignores module 'b'"});
  const std::vector<SafetensorsTensor> plain = {{"b.weight", "F32", {4, 4}, zeros(64)}};
  expect_error(plain, settings(""), {"m.safetensors", "'b.weight'", "F32", "not quantised"});
  EXPECT_TRUE(gather(plain, settings(R"("re:b$")"), bytes).ok());
  const std::vector<SafetensorsTensor> others = {{"embed_tokens.weight", "F32", {4, 4}, zeros(64)},
                                                 {"norm.weight", "F32", {4}, zeros(16)}};
  EXPECT_TRUE(gather(others, settings(""), bytes).ok());
}

TEST(QuantizedWeights, GroupIndexOutOfRangeIsNamed) {
  auto tensors = gptq_parts();
  std::vector<int32_t> order(64, 1);
  order[7] = 2;
  tensors[3].bytes = test_files::bytes_of(order);
  std::string bytes;
  const auto got = gather(tensors, kGptq, bytes);
  ASSERT_TRUE(got.ok());
  const auto verified = got->find("a.weight")->quantized->verify();
  ASSERT_FALSE(verified.ok());
  for (const std::string_view part : {"m.safetensors", "a.g_idx", "element 7", "2 groups"})
    EXPECT_NE(verified.error().message.find(part), std::string::npos) << verified.error().message;
}

TEST(Float8, EveryCodeIsWhatE4m3fnSays) {
  // IEEE-like with bias 7, subnormals of 2⁻⁹, 448 the largest, NaN where all bits are set.
  EXPECT_EQ(e4m3_to_f32(0x00), 0.0f);
  EXPECT_EQ(e4m3_to_f32(0x01), 0.001953125f);
  EXPECT_EQ(e4m3_to_f32(0x08), 0.015625f);
  EXPECT_EQ(e4m3_to_f32(0x38), 1.0f);
  EXPECT_EQ(e4m3_to_f32(0xB9), -1.125f);
  EXPECT_EQ(e4m3_to_f32(0x7E), 448.0f);
  EXPECT_TRUE(std::isnan(e4m3_to_f32(0x7F)));
  EXPECT_TRUE(std::isnan(e4m3_to_f32(0xFF)));
}

TEST(FirstNonFinite, FindsTheElementOrBlock) {
  std::vector<float> values(3000, 1.5f);
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  EXPECT_EQ(first_non_finite(DType::kF32, bytes, 3000), -1);
  values[2049] = -INFINITY;
  EXPECT_EQ(first_non_finite(DType::kF32, bytes, 3000), 2049);
  std::vector<std::byte> blocks(3 * 34, std::byte{0xFF});  // codes may have any bits
  for (size_t b = 0; b < 3; ++b) std::memset(blocks.data() + b * 34, 0x3C, 2);
  EXPECT_EQ(first_non_finite(DType::kQ8_0, blocks.data(), 96), -1);
  blocks[34 + 1] = std::byte{0x7E};
  EXPECT_EQ(first_non_finite(DType::kQ8_0, blocks.data(), 96), 32);
}

}  // namespace
}  // namespace sluice::checkpoint
