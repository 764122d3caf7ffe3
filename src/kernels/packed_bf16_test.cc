// Products with packed bf16 weights: against the reference, and against the order of additions that cpu/packed_bf16.h
// defines, to the bit.

#include <array>

#include "kernels/kernel_testing.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels {
namespace {

constexpr PackedFormat kFormat = {.bits = 16, .group = 0};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float rounded(float value) { return bf16_to_f32(f32_to_bf16(value)); }

// Owns a packed bf16 matrix [n, k].
struct Bf16Weight {
  Bf16Weight(int64_t n, int64_t k, const std::vector<float>& values) : memory(packed_bytes(kFormat, n, k)) {
    tensor = pack_header(kFormat, n, k, memory.data());
    const Tensor stored = {reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {n, k}};
    EXPECT_TRUE(pack_panels(stored, tensor, 0, packed_view(tensor).panel_count()));
  }
  Buffer memory;
  Tensor tensor;
};

std::vector<float> magnitudes(std::vector<float> values) {
  for (float& value : values) value = std::abs(value);
  return values;
}

// The sum of one output as packed_bf16.h writes it; no denormals.
float sum_of_pairs(const float* x, const float* w, int64_t k) {
  float sum = 0;
  for (int64_t i = 0; i < k; i += 2) {
    if (i + 1 < k) sum = std::fma(rounded(x[i + 1]), rounded(w[i + 1]), sum);
    sum = std::fma(rounded(x[i]), rounded(w[i]), sum);
  }
  return sum;
}
float sum_of_tiles(const float* x, const float* w, int64_t k) {
  float sum = 0;
  for (int64_t begin = 0; begin < k; begin += 32) {
    float parts[2] = {0, 0};
    for (int64_t i = begin; i < std::min(k, begin + 32); ++i)
      parts[i % 2] = std::fma(rounded(x[i]), rounded(w[i]), parts[i % 2]);
    sum += parts[0] + parts[1];
  }
  return sum;
}

class PackedBf16Test : public OpsTest {
 protected:
  // A float32 sum of k products is off by half a unit in the last place of all that is added up, for each of them.
  void expect_near_the_reference(int64_t rows, int64_t n, int64_t k, Random& random) {
    const std::vector<float> x = random.normals(rows * k), values = random.normals(n * k), bias = random.normals(n);
    const Bf16Weight weight(n, k, values), positive(n, k, magnitudes(values));
    const std::vector<float> expected = multiply(reference(), pool_, x, weight.tensor, bias.data());
    const std::vector<float> actual = multiply(ops(), pool_, x, weight.tensor, bias.data());
    const std::vector<float> most =
        multiply(reference(), pool_, magnitudes(x), positive.tensor, magnitudes(bias).data());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_LE(std::abs(actual[i] - expected[i]), most[i] * static_cast<float>(k + 2) * 0x1p-24f)
          << rows << "x" << n << "x" << k << " at " << i;
    }
  }
};

TEST_P(PackedBf16Test, AgreesWithTheReference) {
  Random random(1);
  for (int64_t rows = 1; rows <= 40; ++rows) expect_near_the_reference(rows, 33, 100, random);
  for (const int64_t n : {1, 15, 16, 17, 32, 48, 65, 97, 128}) expect_near_the_reference(7, n, 64, random);
  for (const int64_t k : {1, 2, 31, 64, 65, 255, 256, 257, 512, 513, 1100, 2112}) {
    for (const int64_t rows : {1, 16, 17, 35}) expect_near_the_reference(rows, 50, k, random);
  }
  expect_near_the_reference(300, 150, 160, random);
}

TEST_P(PackedBf16Test, AddsInTheOrderOfItsUnit) {
  if (ops().name == "ref") GTEST_SKIP() << "sums in double";
  const bool tiles = ops().name == "tiles" || ops().name == "amx";
  Random random(2);
  for (const int64_t rows : {1, 5, 6, 40}) {
    constexpr int64_t kN = 37;
    for (const int64_t k : {7, 90, 600}) {
      const std::vector<float> x = random.normals(rows * k), values = random.normals(kN * k);
      const Bf16Weight weight(kN, k, values);
      std::vector<float> expected;
      for (int64_t i = 0; i < rows * kN; ++i) {
        const float* row = x.data() + i / kN * k;
        const float* column = values.data() + i % kN * k;
        expected.push_back(tiles ? sum_of_tiles(row, column, k) : sum_of_pairs(row, column, k));
      }
      EXPECT_TRUE(same_bits(multiply(ops(), pool_, x, weight.tensor), expected)) << rows << "x" << kN << "x" << k;
    }
  }
}

TEST_P(PackedBf16Test, ARowDoesNotDependOnItsBatchOrThreads) {
  Random random(3);
  constexpr int64_t kRows = 131, kN = 210, kK = 1216;
  const std::vector<float> x = random.normals(kRows * kK);
  const Bf16Weight weight(kN, kK, random.normals(kN * kK));
  const std::vector<float> whole = multiply(ops(), pool_, x, weight.tensor);
  for (const int threads : {1, 3}) {
    ThreadPool pool({.threads = threads});
    for (const int64_t batch : {1, 2, 3, 5, 6, 7, 15, 16, 17, 32, 33, 48, 65}) {
      const int64_t first = random.below(static_cast<int>(kRows - batch + 1));
      const auto part = std::span(x).subspan(static_cast<size_t>(first * kK), static_cast<size_t>(batch * kK));
      const std::vector<float> alone = multiply(ops(), pool, part, weight.tensor);
      EXPECT_TRUE(same_bits(alone, std::span(whole).subspan(static_cast<size_t>(first * kN), alone.size())))
          << "batch " << batch << " threads " << threads;
    }
  }
}

TEST_P(PackedBf16Test, RoundsActivationsToTheNearestEven) {
  // Ties, carries into the exponent, the largest number (which becomes infinite), signed zeros.
  const auto float_of = [](uint32_t bits) { return std::bit_cast<float>(bits); };
  const std::vector<float> inputs = {1.0f,
                                     float_of(0x3F808000),
                                     float_of(0x3F818000),
                                     float_of(0x3F808001),
                                     float_of(0x3F807FFF),
                                     float_of(0x3FFFFFFF),
                                     float_of(0xBF818000),
                                     std::numeric_limits<float>::max(),
                                     -std::numeric_limits<float>::max(),
                                     kInfinity,
                                     -kInfinity,
                                     0.0f};
  const auto k = static_cast<int64_t>(inputs.size());
  std::vector<float> identity(inputs.size() * inputs.size(), 0.0f);
  for (size_t i = 0; i < inputs.size(); ++i) identity[i * inputs.size() + i] = 1;
  // One row for each input, alone among zeros: an infinity times a zero is no number.
  std::vector<float> x(inputs.size() * inputs.size(), 0.0f);
  for (size_t i = 0; i < inputs.size(); ++i) x[i * inputs.size() + i] = inputs[i];
  const Bf16Weight weight(k, k, identity);
  const std::vector<float> out = multiply(ops(), pool_, x, weight.tensor);
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t n = 0; n < inputs.size(); ++n) {
      const float actual = out[i * inputs.size() + n];
      SCOPED_TRACE(std::to_string(i) + " " + std::to_string(n));
      if (n == i) {
        EXPECT_EQ(actual, rounded(inputs[i]));
      } else if (std::isinf(rounded(inputs[i]))) {
        EXPECT_TRUE(std::isnan(actual));
      } else if (std::isfinite(rounded(inputs[i]))) {
        EXPECT_EQ(actual, 0);
      }
    }
  }
}

TEST_P(PackedBf16Test, NoNumberStaysInItsRow) {
  Random random(4);
  for (const float strange : {std::numeric_limits<float>::quiet_NaN(), kInfinity, std::bit_cast<float>(0x7F800001u)}) {
    constexpr int64_t kRows = 20, kN = 20, kK = 70;
    std::vector<float> x = random.normals(kRows * kK);
    const Bf16Weight weight(kN, kK, random.normals(kN * kK));
    const std::vector<float> before = multiply(ops(), pool_, x, weight.tensor);
    x[3 * kK + 69] = strange;
    const std::vector<float> after = multiply(ops(), pool_, x, weight.tensor);
    for (size_t i = 0; i < after.size(); ++i) {
      if (i / kN == 3) {
        EXPECT_FALSE(std::isfinite(after[i])) << i;
      } else {
        EXPECT_EQ(after[i], before[i]) << i;
      }
    }
  }
}

TEST_P(PackedBf16Test, DenormalsAreZeros) {
  constexpr float kDenormal = 0x1p-130f, kLeast = std::numeric_limits<float>::min();
  struct Case {
    std::array<float, 2> x, w;
    float expected;
  };
  const Case cases[] = {{{kDenormal, 1}, {0x1p100f, 1}, 1},       // of x
                        {{0x1p100f, 1}, {kDenormal, 1}, 1},       // of the weight
                        {{0x1p-70f, 0}, {0x1p-70f, 0}, 0},        // a product
                        {{kLeast, kLeast}, {1, -1.0078125f}, 0},  // a sum
                        {{kLeast, kLeast}, {1, 1}, 2 * kLeast}};  // the smallest that stay
  for (const Case& c : cases) {
    for (const int64_t rows : {1, 40}) {
      std::vector<float> x;
      for (int64_t r = 0; r < rows; ++r) x.insert(x.end(), c.x.begin(), c.x.end());
      const Bf16Weight weight(1, 2, {c.w[0], c.w[1]});
      const std::vector<float> out = multiply(ops(), pool_, x, weight.tensor);
      if (ops().name == "ref") continue;  // its sums are double
      for (const float value : out) EXPECT_EQ(value, c.expected) << &c - cases;
    }
  }
}

TEST_P(PackedBf16Test, AccumulatesOntoTheOutput) {
  Random random(5);
  constexpr int64_t kN = 43, kK = 96;
  for (const int64_t rows : {1, 9, 40}) {
    const std::vector<float> x = random.normals(rows * kK), before = random.normals(rows * kN);
    const Bf16Weight weight(kN, kK, random.normals(kN * kK));
    const std::vector<float> product = multiply(ops(), pool_, x, weight.tensor);
    std::vector<float> out = before;
    ops().matmul(pool_, {.x = x.data(), .rows = rows, .weight = &weight.tensor, .out = out.data(), .accumulate = true});
    for (size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], before[i] + product[i], 1e-5);
  }
}

TEST_P(PackedBf16Test, ManyWeightsOfOneX) {
  Random random(6);
  constexpr int64_t kK = 384;
  const Bf16Weight a(70, kK, random.normals(70 * kK)), b(19, kK, random.normals(19 * kK));
  const PackedFormat int8 = {.bits = 8, .group = 32};
  Buffer memory(packed_bytes(int8, 33, kK));
  const Tensor c = pack_header(int8, 33, kK, memory.data());
  const std::vector<float> values = random.normals(33 * kK);
  pack_panels({reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {33, kK}}, c, 0, 3);
  for (const int64_t rows : {1, 7, 90}) {
    const std::vector<float> x = random.normals(rows * kK);
    for (const std::vector<const Tensor*>& weights :
         {std::vector<const Tensor*>{&a.tensor, &b.tensor}, {&a.tensor, &c, &b.tensor}, {&c, &a.tensor}}) {
      std::vector<std::vector<float>> outs;
      std::vector<MatmulArgs> all;
      for (const Tensor* weight : weights) outs.emplace_back(static_cast<size_t>(rows * weight->shape.rows()), 0.5f);
      for (size_t i = 0; i < weights.size(); ++i)
        all.push_back({.x = x.data(), .rows = rows, .weight = weights[i], .out = outs[i].data()});
      ops().matmul_many(pool_, all, {});
      for (size_t i = 0; i < weights.size(); ++i)
        EXPECT_TRUE(same_bits(outs[i], multiply(ops(), pool_, x, *weights[i]))) << rows << " " << i;
    }
  }
}

SLUICE_FOR_ALL_TABLES(PackedBf16Test);

}  // namespace
}  // namespace sluice::kernels
