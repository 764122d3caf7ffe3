#include "kernels/kernel_testing.h"

namespace sluice::kernels {
namespace {

constexpr DType kWeightTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

struct Size {
  int64_t rows;
  int64_t n;
  int64_t k;
};

class MatmulTest : public OpsTest {};

TEST_P(MatmulTest, AgreesWithTheReference) {
  // Odd sizes, the sizes of a tiny model (64, 172, 512), and depths of one to many pieces of a panel, and beyond any
  // panel.
  const Size sizes[] = {{1, 1, 1},     {1, 3, 5},     {2, 7, 17},      {3, 8, 31},     {4, 172, 64},
                        {5, 64, 172},  {1, 512, 64},  {7, 9, 33},      {8, 33, 48},    {9, 35, 47},
                        {13, 1, 100},  {37, 64, 64},  {61, 37, 1536},  {63, 70, 1568}, {20, 5, 3100},
                        {125, 40, 96}, {1, 37, 3104}, {64, 160, 4096}, {50, 9, 20000}, {50, 3, 33000}};
  Random random(1);
  for (const Size& size : sizes) {
    const std::vector<float> x = random.normals(size.rows * size.k);
    const std::vector<float> values = random.normals(size.n * size.k);
    const std::vector<float> bias = random.normals(size.n);
    for (const DType dtype : kWeightTypes) {
      if (size.k % dtype_traits(dtype).block_elements != 0) continue;
      const StoredTensor weight(dtype, size.n, size.k, values);
      for (const float* b : {static_cast<const float*>(nullptr), bias.data()}) {
        const std::vector<float> expected = multiply(reference(), pool_, x, weight.tensor, b);
        const std::vector<float> actual = multiply(ops(), pool_, x, weight.tensor, b);
        EXPECT_LE(relative_error(actual, expected), 3e-6)
            << dtype_name(dtype) << " " << size.rows << "x" << size.n << "x" << size.k;
      }
    }
  }
}

TEST_P(MatmulTest, AccumulatesOntoTheOutput) {
  Random random(2);
  for (const int64_t rows : {1, 3, 30}) {
    const std::vector<float> x = random.normals(rows * 64);
    const StoredTensor weight(DType::kBF16, 43, 64, random.normals(43 * 64));
    const std::vector<float> bias = random.normals(43);
    const std::vector<float> before = random.normals(rows * 43);
    std::vector<float> expected = before;
    std::vector<float> actual = before;
    MatmulArgs args = {.x = x.data(),
                       .rows = rows,
                       .weight = &weight.tensor,
                       .bias = bias.data(),
                       .out = expected.data(),
                       .accumulate = true};
    reference().matmul(pool_, args);
    args.out = actual.data();
    ops().matmul(pool_, args);
    EXPECT_LE(relative_error(actual, expected), 3e-6);
    EXPECT_GT(relative_error(actual, before), 0.1);
  }
}

// Every row of every batch has the bits it has alone, with any number of threads.
TEST_P(MatmulTest, ARowDoesNotDependOnItsBatch) {
  Random random(3);
  constexpr int64_t kRows = 137;
  for (const Size& size : {Size{kRows, 77, 64}, Size{kRows, 130, 172}, Size{kRows, 50, 1600}, Size{kRows, 33, 4128}}) {
    const std::vector<float> x = random.normals(size.rows * size.k);
    const std::vector<float> values = random.normals(size.n * size.k);
    for (const DType dtype : kWeightTypes) {
      if (size.k % dtype_traits(dtype).block_elements != 0) continue;
      const StoredTensor weight(dtype, size.n, size.k, values);
      const std::vector<float> whole = multiply(ops(), pool_, x, weight.tensor);
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool({.threads = threads});
        for (const int64_t batch : {1, 2, 3, 4, 5, 6, 8, 9, 37}) {
          const int64_t first = random.below(static_cast<int>(kRows - batch + 1));
          const auto part =
              std::span(x).subspan(static_cast<size_t>(first * size.k), static_cast<size_t>(batch * size.k));
          const std::vector<float> alone = multiply(ops(), pool, part, weight.tensor);
          const auto expected = std::span(whole).subspan(static_cast<size_t>(first * size.n), alone.size());
          EXPECT_TRUE(same_bits(alone, expected)) << dtype_name(dtype) << " batch " << batch << " k " << size.k;
        }
      }
    }
  }
}

// A cell's bits do not depend on its neighbours among the weight rows either: tensor rows may be split or fused.
TEST_P(MatmulTest, AColumnDoesNotDependOnItsWeight) {
  Random random(4);
  constexpr int64_t kN = 45;
  constexpr int64_t kK = 1632;
  const std::vector<float> values = random.normals(kN * kK);
  for (const DType dtype : kWeightTypes) {
    const StoredTensor weight(dtype, kN, kK, values);
    for (const int64_t rows : {1, 40}) {
      const std::vector<float> x = random.normals(rows * kK);
      const std::vector<float> whole = multiply(ops(), pool_, x, weight.tensor);
      for (const int64_t column : {0, 3, 31, 32, 44}) {
        const Tensor one = {weight.tensor.row(column), dtype, {1, kK}};
        const std::vector<float> alone = multiply(ops(), pool_, x, one);
        for (int64_t r = 0; r < rows; ++r) {
          EXPECT_TRUE(same_bits({&alone[static_cast<size_t>(r)], 1}, {&whole[static_cast<size_t>(r * kN + column)], 1}))
              << dtype_name(dtype) << " column " << column << " row " << r;
        }
      }
    }
  }
}

TEST_P(MatmulTest, ReadsUnalignedWeights) {
  Random random(5);
  const std::vector<float> x = random.normals(11 * 96);
  for (const DType dtype : kWeightTypes) {
    const StoredTensor weight(dtype, 21, 96, random.normals(21 * 96));
    std::vector<std::byte> shifted(weight.bytes.size() + 1);
    std::copy(weight.bytes.begin(), weight.bytes.end(), shifted.begin() + 1);
    const Tensor unaligned = {shifted.data() + 1, dtype, weight.tensor.shape};
    EXPECT_TRUE(same_bits(multiply(ops(), pool_, x, unaligned), multiply(ops(), pool_, x, weight.tensor)))
        << dtype_name(dtype);
  }
}

TEST(MatmulTables, VectorTablesAgreeToTheBit) {
  const std::vector<const Ops*> tables = available_ops();
  if (tables.size() < 3)
    GTEST_SKIP() << "this machine runs " << tables.size() << " tables; two vector tables are needed";
  Random random(6);
  ThreadPool pool({.threads = 2});
  for (const int64_t rows : {1, 50}) {
    const std::vector<float> x = random.normals(rows * 1632);
    const StoredTensor weight(DType::kQ8_0, 39, 1632, random.normals(39 * 1632));
    EXPECT_TRUE(same_bits(multiply(*tables[1], pool, x, weight.tensor), multiply(*tables[2], pool, x, weight.tensor)));
  }
}

TEST(SelectOps, PinsByNameAndNamesTheChoices) {
  EXPECT_EQ(select_ops("").value(), available_ops().back());
  for (const Ops* ops : available_ops()) EXPECT_EQ(select_ops(ops->name).value(), ops);
  const Result<const Ops*> unknown = select_ops("mmx");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(unknown.error().message.find("mmx"), std::string::npos);
  EXPECT_NE(unknown.error().message.find("ref"), std::string::npos);
}

SLUICE_FOR_ALL_TABLES(MatmulTest);

}  // namespace
}  // namespace sluice::kernels
