// A GGUF in which every quantised type has a matrix (tools/goldens/gguf_types.py), against transformers over the values
// that gguf.quants gives its blocks.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

TEST(GgufTypes, AModelOfEveryTypeGivesTransformersLogits) {
  const std::string folder = std::string(SLUICE_SOURCE_DIR) + "/tests/golden/gguf_types";
  const Json golden = parse_json(read_file(folder + "/golden.json").value()).value();
  const auto tokens = golden["prompt"].get<std::vector<TokenId>>();
  auto files = checkpoint::open_model(folder + "/model.gguf");
  ASSERT_TRUE(files.ok()) << files.error().message;
  const auto shared = std::make_shared<const checkpoint::ModelFiles>(std::move(files).value());
  std::set<std::string> types;
  for (const checkpoint::WeightEntry& entry : shared->weights.entries()) types.insert(entry.stored_type);
  for (const char* type : {"F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
                           "Q6_K", "IQ4_NL", "IQ4_XS"})
    EXPECT_TRUE(types.contains(type)) << type;

  const ModelDescription description = describe_model(*shared).value();
  struct Loading {
    WeightOptions weights;
    double error;
  };
  ThreadPool pool({.threads = 2});
  // As stored, types with kernels multiply by rounded activations (q8_0, q4_0); the others are widened to f16.
  for (const Loading& loading : {Loading{{.dtype = DType::kF32}, 1e-4}, Loading{{}, 2e-2},
                                 Loading{{.quantization = WeightQuantization::kInt8}, 5e-2},
                                 Loading{{.activations = Activations::kInt8}, 5e-2}}) {
    for (const kernels::Ops* ops : kernels::available_ops()) {
      auto decoder =
          load_decoder(shared, description, {.weights = loading.weights, .kv_dtype = DType::kF32}, *ops, pool);
      ASSERT_TRUE(decoder.ok()) << decoder.error().message;
      ASSERT_TRUE((*decoder)->reserve(8, 64, 64).ok());
      std::vector<int32_t> blocks(8), rows(tokens.size());
      std::iota(blocks.begin(), blocks.end(), 0);
      std::iota(rows.begin(), rows.end(), 0);
      const SequenceRows sequence{
          .first_row = 0, .rows = static_cast<int>(tokens.size()), .context = 0, .blocks = blocks.data()};
      const auto output =
          (*decoder)->run({.tokens = tokens, .positions = rows, .sequences = {&sequence, 1}, .logits_rows = rows});
      ASSERT_TRUE(output.ok());
      double difference = 0, norm = 0;
      size_t at = 0;
      for (const Json& row : golden["logits"]) {
        for (const Json& value : row) {
          difference += std::pow(static_cast<double>(output->logits[at++]) - value.get<double>(), 2);
          norm += std::pow(value.get<double>(), 2);
        }
      }
      EXPECT_LT(std::sqrt(difference / norm), loading.error) << ops->name;
    }
  }
}

}  // namespace
}  // namespace sluice::model
