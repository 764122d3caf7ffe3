// Models quantised by other tools against the libraries themselves: tests/golden/quantized (tools/goldens/quantized.py)
// holds each tool's files, values of the dequantised matrices, and transformers' float32 logits over them.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/quantized_matrix.h"
#include "checkpoint/testing.h"
#include "model/model_loader.h"
#include "tensor/quantize.h"

namespace sluice::model {
namespace {

const std::string kGoldens = std::string(SLUICE_SOURCE_DIR) + "/tests/golden/quantized/";

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldens))
    all.push_back(entry.path().filename().string());
  std::ranges::sort(all);
  return all;
}

Result<std::unique_ptr<Decoder>> load(const std::string& path, const WeightOptions& weights, ThreadPool& pool) {
  SLUICE_TRY(auto files, checkpoint::open_model(path));
  const auto shared = std::make_shared<const checkpoint::ModelFiles>(std::move(files));
  SLUICE_TRY(const ModelDescription description, describe_model(*shared));
  return load_decoder(shared, description, {.weights = weights}, *kernels::available_ops().back(), pool);
}

// ‖ours − theirs‖ / ‖theirs‖ over the logits of the golden prompt.
double logits_error(Decoder& decoder, const Json& golden) {
  EXPECT_TRUE(decoder.reserve(8, 64, 64).ok());
  const auto tokens = golden["prompt"].get<std::vector<TokenId>>();
  std::vector<int32_t> blocks(8), rows(tokens.size());
  std::iota(blocks.begin(), blocks.end(), 0);
  std::iota(rows.begin(), rows.end(), 0);
  const SequenceRows sequence{
      .first_row = 0, .rows = static_cast<int>(tokens.size()), .context = 0, .blocks = blocks.data()};
  auto output = decoder.run({.tokens = tokens, .positions = rows, .sequences = {&sequence, 1}, .logits_rows = rows});
  EXPECT_TRUE(output.ok());
  double difference = 0, norm = 0;
  size_t at = 0;
  for (const Json& row : golden["logits"]) {
    for (const Json& value : row) {
      difference += std::pow(static_cast<double>(output->logits[at++]) - value.get<double>(), 2);
      norm += std::pow(value.get<double>(), 2);
    }
  }
  EXPECT_EQ(at, output->logits.size());
  return std::sqrt(difference / norm);
}

class QuantizedModel : public testing::TestWithParam<std::string> {
 protected:
  std::string path() const { return kGoldens + GetParam(); }
  Json golden_ = parse_json(read_file(kGoldens + GetParam() + "/golden.json").value()).value();
};

TEST_P(QuantizedModel, MatricesHaveTheLibrarysValues) {
  auto files = checkpoint::open_model(path());
  ASSERT_TRUE(files.ok()) << files.error().message;
  EXPECT_FALSE(files->quantization.empty());
  size_t seen = 0;
  for (const auto& [name, samples] : golden_["samples"].items()) {
    SCOPED_TRACE(name);
    const checkpoint::WeightEntry* entry = files->weights.find(name);
    ASSERT_NE(entry, nullptr);
    ASSERT_NE(entry->quantized, nullptr);
    const checkpoint::QuantizedMatrix& matrix = *entry->quantized;
    ASSERT_TRUE(matrix.verify().ok()) << matrix.verify().error().message;
    const auto columns = static_cast<size_t>(matrix.columns());
    std::vector<float> row(columns), scales(static_cast<size_t>(matrix.groups())), zeros(scales.size());
    std::vector<uint8_t> codes(columns);
    const std::vector<int32_t> order = matrix.group_of_column();
    for (const Json& sample : samples) {
      const auto r = sample[0].get<int64_t>();
      const auto c = sample[1].get<size_t>();
      const auto expected = sample[2].get<float>();
      matrix.dequantize_rows(r, 1, row.data());
      EXPECT_EQ(row[c], expected) << "row " << r << ", column " << c;
      ++seen;
      if (!matrix.has_integer_codes()) continue;
      // The parts that a kernel would compute with say the same.
      matrix.unpack_codes(r, 1, codes.data());
      matrix.unpack_scales(r, scales.data(), zeros.data());
      const size_t g = order.empty() ? c / static_cast<size_t>(matrix.group_columns) : static_cast<size_t>(order[c]);
      EXPECT_EQ((static_cast<float>(codes[c]) - zeros[g]) * scales[g], expected);
    }
  }
  EXPECT_GE(seen, 24u * 4);
}

TEST_P(QuantizedModel, LogitsAreThoseOfTransformers) {
  struct Loading {
    WeightOptions options;
    double error;
  };
  const Loading loadings[] = {{{.dtype = DType::kF32}, 1e-4},
                              {{}, 2e-2},  // bf16
                              {{.activations = Activations::kBF16}, 2e-2},
                              {{.dtype = DType::kF16}, 4e-3},
                              {{.quantization = WeightQuantization::kInt8}, 5e-2},
                              // Packed, with activations of 8 bits: the tool's codes themselves, or ours.
                              {{.activations = Activations::kInt8}, 5e-2},
                              {{.quantization = WeightQuantization::kInt8, .activations = Activations::kInt8}, 6e-2}};
  ThreadPool pool({.threads = 2});
  for (const Loading& loading : loadings) {
    auto decoder = load(path(), loading.options, pool);
    ASSERT_TRUE(decoder.ok()) << decoder.error().message;
    const double error = logits_error(**decoder, golden_);
    EXPECT_LT(error, loading.error);
    RecordProperty(cat("error_below_", loading.error), cat(error));  // docs/formats.md
  }
}

TEST_P(QuantizedModel, PlanCountsDecodedMatrices) {
  auto files = std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(path()).value());
  const ModelDescription description = describe_model(*files).value();
  EXPECT_EQ(description.stored_dtype, DType::kBF16);
  ThreadPool pool({.threads = 1});
  size_t bytes[2] = {};
  for (const Activations activations :
       {Activations::kBF16, Activations::kInt8AndBF16, Activations::kF32, Activations::kInt8}) {
    const LoadOptions options = {.weights = {.activations = activations}};
    const MemoryPlan plan = plan_memory(*files, description, options, {.limit = size_t{1} << 30}).value();
    auto decoder = load_decoder(files, description, options, *kernels::available_ops().back(), pool);
    ASSERT_TRUE(decoder.ok());
    EXPECT_EQ(plan.weights_converted, (*decoder)->weights().owned_bytes);
    EXPECT_EQ(plan.weights_mapped, (*decoder)->weights().mapped_bytes);
    bytes[activations == Activations::kInt8] = plan.weights_converted;
  }
  if (GetParam().find("fp8") == std::string::npos) EXPECT_LE(bytes[1], bytes[0]);
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedModel, testing::ValuesIn(names()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

// Some tools write a bias for every layer, of zeros where the model has none.
TEST(QuantizedModelBias, OfZerosIsLeftOutAndAnyOtherIsRefused) {
  for (const float value : {0.0f, 0.5f}) {
    const checkpoint::test_files::TemporaryDirectory directory;
    std::filesystem::copy_file(kGoldens + "gptq4_fused/config.json", directory.file("config.json"));
    std::filesystem::copy_file(kGoldens + "gptq4_fused/model.safetensors", directory.file("a.safetensors"));
    const std::string bias = checkpoint::test_files::bytes_of(std::vector<float>(64, value));
    checkpoint::test_files::write_safetensors(directory.file("b.safetensors"),
                                              {{"model.layers.0.self_attn.o_proj.bias", "F32", {64}, bias}});
    ThreadPool pool({.threads = 1});
    const auto decoder = load(directory.path(), {}, pool);
    EXPECT_EQ(decoder.ok(), value == 0) << value;
    if (!decoder.ok()) EXPECT_NE(decoder.error().message.find("o_proj.bias"), std::string::npos);
  }
}

TEST(QuantizedModelDamage, ScaleThatIsNotANumberNamesFileAndTensor) {
  const checkpoint::test_files::TemporaryDirectory directory;
  std::filesystem::copy(kGoldens + "ct_int4_g32", directory.path());
  const std::string path = directory.file("model.safetensors");
  {
    const auto weights = checkpoint::open_model(directory.path()).value().weights;
    const checkpoint::WeightEntry* entry = weights.find("model.layers.0.mlp.up_proj.weight");
    ASSERT_NE(entry, nullptr);
    const long at = entry->quantized->scales.data - weights.files()[0].bytes.data();
    std::FILE* file = std::fopen(path.c_str(), "r+b");
    const uint16_t nan = 0x7FC0;
    std::fseek(file, at + 2 * 5, SEEK_SET);
    ASSERT_EQ(std::fwrite(&nan, sizeof nan, 1, file), 1u);
    std::fclose(file);
  }
  ThreadPool pool({.threads = 1});
  const auto decoder = load(directory.path(), {}, pool);
  ASSERT_FALSE(decoder.ok());
  for (const std::string_view part : {std::string_view(path), std::string_view("mlp.up_proj.weight_scale"),
                                      std::string_view("scale 5"), std::string_view("nan")})
    EXPECT_NE(decoder.error().message.find(part), std::string::npos) << decoder.error().message;
}

}  // namespace
}  // namespace sluice::model
