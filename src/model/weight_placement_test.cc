#include "model/weight_placement.h"

#include <gtest/gtest.h>

#include <numeric>

#include "model/golden_models.h"
#include "model/model_loader.h"
#include "tensor/packed_matrix.h"

namespace sluice::model {
namespace {

TEST(MatrixPart, PartsFollowEachOtherAndMakeTheWhole) {
  constexpr int64_t kRows = 37, kColumns = 96;
  const std::vector<float> values(kRows * kColumns, 1.0f);
  const Tensor stored{reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {kRows, kColumns}};
  const PackedFormat format;
  Buffer memory(packed_bytes(format, 16 * kRows, kColumns));
  const Tensor packed = pack_header(format, 16 * kRows, kColumns, memory.data());
  for (const int nodes : {1, 2, 5, 50}) {
    for (const Tensor* matrix : {&stored, &packed}) {
      const std::byte* next = matrix->dtype == DType::kPacked ? packed_view(*matrix).panels : matrix->data;
      const size_t item = matrix->dtype == DType::kPacked ? packed_view(*matrix).panel_bytes : kColumns * sizeof(float);
      for (int n = 0; n < nodes; ++n) {
        const std::span<const std::byte> part = matrix_part(*matrix, n, nodes);
        EXPECT_EQ(part.data(), next);
        EXPECT_EQ(part.size() % item, 0u);
        next += part.size();
      }
      const std::byte* end = matrix->dtype == DType::kPacked ? memory.data() + memory.size()
                                                             : matrix->data + values.size() * sizeof(float);
      EXPECT_EQ(next, end);
    }
  }
}

// The only node here is number 0: both parts are placed on it.
TEST(PlaceWeights, ChangesNoWeight) {
  const GoldenFiles llama(golden_folder("llama2"));
  const auto files =
      std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(llama.safetensors()).value());
  const auto description = describe_model(*files).value();
  const auto load = [&](ThreadPool& pool) {
    return load_decoder(files, description,
                        {.weights = {.quantization = WeightQuantization::kInt8, .activations = Activations::kInt8}},
                        *kernels::available_ops().back(), pool)
        .value();
  };
  ThreadPool plain({.threads = 2});
  ThreadPool nodes({.threads = 2, .nodes = {{.number = 0, .cpus = {0}}, {.number = 0, .cpus = {0}}}});
  const auto expected = load(plain), placed = load(nodes);
  const auto bytes = [](const Tensor& matrix) {
    const std::span<const std::byte> all = matrix_part(matrix, 0, 1);
    return std::vector<std::byte>(all.begin(), all.end());
  };
  ASSERT_EQ(expected->weights().layers.size(), placed->weights().layers.size());
  for (size_t i = 0; i < placed->weights().layers.size(); ++i) {
    EXPECT_EQ(bytes(expected->weights().layers[i].down), bytes(placed->weights().layers[i].down));
    EXPECT_EQ(bytes(expected->weights().layers[i].q), bytes(placed->weights().layers[i].q));
  }
  EXPECT_TRUE(place_weights(placed->weights(), plain)) << "one node: nothing to do";
}

}  // namespace
}  // namespace sluice::model
