// Products with packed weights, of every table against the reference: equal to the bit.

#include "kernels/kernel_testing.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels {
namespace {

// Owns a packed matrix made from random values.
struct PackedWeight {
  PackedWeight(const PackedFormat& format, int64_t n, int64_t k, const std::vector<float>& values)
      : memory(packed_bytes(format, n, k)) {
    tensor = pack_header(format, n, k, memory.data());
    const Tensor stored = {reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {n, k}};
    EXPECT_TRUE(pack_panels(stored, tensor, 0, packed_view(tensor).panel_count()));
  }
  Buffer memory;
  Tensor tensor;
};

std::vector<PackedFormat> formats() {
  std::vector<PackedFormat> all;
  for (const int bits : {4, 6, 8}) {
    for (const int group : {16, 32, 64, 128}) {
      for (const bool minima : {false, true})
        all.push_back({.bits = bits, .group = group, .minima = minima, .shift = 3});
    }
  }
  return all;
}

std::string name_of(const PackedFormat& format) {
  return std::to_string(format.bits) + " bits, groups of " + std::to_string(format.group) +
         (format.minima ? " with minima" : "");
}

class PackedTest : public OpsTest {};

TEST_P(PackedTest, HasTheBitsOfTheReference) {
  struct Size {
    int64_t rows, n, k;
  };
  const Size sizes[] = {{1, 1, 1},      {1, 5, 16},     {2, 16, 31},  {3, 17, 64},   {4, 33, 100},
                        {5, 40, 128},   {6, 48, 192},   {7, 15, 320}, {8, 100, 256}, {12, 31, 96},
                        {13, 65, 1152}, {33, 50, 2112}, {70, 37, 160}};
  Random random(1);
  for (const Size& size : sizes) {
    const std::vector<float> x = random.normals(size.rows * size.k);
    const std::vector<float> values = random.normals(size.n * size.k);
    const std::vector<float> bias = random.normals(size.n);
    for (const PackedFormat& format : formats()) {
      const PackedWeight weight(format, size.n, size.k, values);
      const std::vector<float> expected = multiply(reference(), pool_, x, weight.tensor, bias.data());
      EXPECT_TRUE(same_bits(multiply(ops(), pool_, x, weight.tensor, bias.data()), expected))
          << name_of(format) << " " << size.rows << "x" << size.n << "x" << size.k;
    }
  }
}

// The oracle here is a plain product of the floats: the codes of x cost less than one part in a hundred of its size.
TEST_P(PackedTest, IsNearTheProductOfTheFloats) {
  Random random(2);
  constexpr int64_t kRows = 9, kN = 40, kK = 1024;
  const std::vector<float> x = random.normals(kRows * kK);
  const std::vector<float> values = random.normals(kN * kK);
  for (const PackedFormat& format : formats()) {
    const PackedWeight weight(format, kN, kK, values);
    std::vector<float> unpacked(kN * kK);
    for (int64_t n = 0; n < kN; ++n) unpack_row(packed_view(weight.tensor), n, unpacked.data() + n * kK);
    const Tensor plain = {reinterpret_cast<const std::byte*>(unpacked.data()), DType::kF32, {kN, kK}};
    const std::vector<float> actual = multiply(ops(), pool_, x, weight.tensor);
    const std::vector<float> expected = multiply(reference(), pool_, x, plain);
    double squares = 0, differences = 0;
    for (size_t i = 0; i < actual.size(); ++i) {
      squares += double{expected[i]} * expected[i];
      differences += (double{actual[i]} - expected[i]) * (double{actual[i]} - expected[i]);
    }
    EXPECT_LT(std::sqrt(differences / squares), 0.01) << name_of(format);
    EXPECT_GT(differences, 0) << name_of(format);
  }
}

TEST_P(PackedTest, ExtremesStayExact) {
  // The largest codes of both signs everywhere: an intermediate of 16 bits would saturate.
  constexpr int64_t kN = 32, kK = 512;
  for (const PackedFormat& format : formats()) {
    for (const float sign : {1.0f, -1.0f}) {
      std::vector<float> values(kN * kK);
      for (size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 1.0f : -sign;
      std::vector<float> x(3 * kK);
      for (size_t i = 0; i < x.size(); ++i) x[i] = i % 2 == 0 ? 127.0f : -127.0f * sign;
      const PackedWeight weight(format, kN, kK, values);
      EXPECT_TRUE(same_bits(multiply(ops(), pool_, x, weight.tensor), multiply(reference(), pool_, x, weight.tensor)))
          << name_of(format);
    }
  }
}

TEST_P(PackedTest, StrangeActivations) {
  Random random(3);
  constexpr int64_t kN = 20, kK = 300;
  const PackedWeight weight({}, kN, kK, random.normals(kN * kK));
  std::vector<float> x(4 * kK, 0.0f);  // row 0: zeros
  for (int64_t i = kK; i < 4 * kK; ++i) x[static_cast<size_t>(i)] = random.normal();
  x[kK + 5] = std::numeric_limits<float>::infinity();
  x[2 * kK + 299] = std::numeric_limits<float>::quiet_NaN();
  for (int64_t i = 3 * kK; i < 4 * kK; ++i) x[static_cast<size_t>(i)] *= 1e-36f;
  const std::vector<float> out = multiply(ops(), pool_, x, weight.tensor);
  for (int64_t n = 0; n < kN; ++n) {
    EXPECT_EQ(out[static_cast<size_t>(n)], 0.0f);
    EXPECT_TRUE(std::isnan(out[static_cast<size_t>(kN + n)]));
    EXPECT_TRUE(std::isnan(out[static_cast<size_t>(2 * kN + n)]));
    EXPECT_EQ(out[static_cast<size_t>(3 * kN + n)], 0.0f);
  }
}

TEST_P(PackedTest, ARowDoesNotDependOnItsBatchOrThreads) {
  Random random(4);
  constexpr int64_t kRows = 131, kN = 210, kK = 2240;
  const std::vector<float> x = random.normals(kRows * kK);
  for (const PackedFormat& format :
       {PackedFormat{.bits = 8, .group = 32}, PackedFormat{.bits = 4, .group = 32, .minima = true}}) {
    const PackedWeight weight(format, kN, kK, random.normals(kN * kK));
    const std::vector<float> whole = multiply(ops(), pool_, x, weight.tensor);
    for (const int threads : {1, 3}) {
      ThreadPool pool({.threads = threads});
      for (const int64_t batch : {1, 2, 5, 6, 7, 12, 40}) {
        const int64_t first = random.below(static_cast<int>(kRows - batch + 1));
        const auto part = std::span(x).subspan(static_cast<size_t>(first * kK), static_cast<size_t>(batch * kK));
        const std::vector<float> alone = multiply(ops(), pool, part, weight.tensor);
        EXPECT_TRUE(same_bits(alone, std::span(whole).subspan(static_cast<size_t>(first * kN), alone.size())))
            << name_of(format) << " batch " << batch << " threads " << threads;
      }
    }
    if (&ops() == &reference()) return;  // one format is slow enough
  }
}

TEST_P(PackedTest, ManyWeightsOfOneX) {
  Random random(5);
  constexpr int64_t kRows = 7, kK = 384;
  const std::vector<float> x = random.normals(kRows * kK);
  const PackedWeight a({.bits = 8, .group = 32}, 70, kK, random.normals(70 * kK));
  const PackedWeight b({.bits = 8, .group = 32}, 19, kK, random.normals(19 * kK));
  const PackedWeight c({.bits = 4, .group = 16, .minima = true}, 33, kK, random.normals(33 * kK));
  const StoredTensor d(DType::kQ8_0, 21, kK, random.normals(21 * kK));
  for (const std::vector<const Tensor*>& weights :
       {std::vector<const Tensor*>{&a.tensor, &b.tensor, &c.tensor}, {&a.tensor, &d.tensor}, {&c.tensor, &b.tensor}}) {
    std::vector<std::vector<float>> outs;
    std::vector<MatmulArgs> all;
    for (const Tensor* weight : weights) outs.emplace_back(static_cast<size_t>(kRows * weight->shape.rows()), 0.5f);
    for (size_t i = 0; i < weights.size(); ++i)
      all.push_back({.x = x.data(), .rows = kRows, .weight = weights[i], .out = outs[i].data()});
    ops().matmul_many(pool_, all, {});
    for (size_t i = 0; i < weights.size(); ++i)
      EXPECT_TRUE(same_bits(outs[i], multiply(ops(), pool_, x, *weights[i]))) << i;
  }
}

TEST_P(PackedTest, MakesRowsOfANormOrAnActivation) {
  Random random(8);
  constexpr int64_t kK = 384;
  const PackedWeight a({.bits = 8, .group = 32}, 70, kK, random.normals(70 * kK));
  const PackedWeight b({.bits = 4, .group = 32, .minima = true}, 33, kK, random.normals(33 * kK));
  const PackedWeight c({.bits = 16, .group = 0}, 35, kK, random.normals(35 * kK));
  const StoredTensor d(DType::kF16, 21, kK, random.normals(21 * kK));
  const std::vector<float> weight = random.normals(kK);
  for (const int64_t rows : {1, 7, 93}) {
    const std::vector<float> x = random.normals(rows * kK), y = random.normals(rows * kK);
    std::vector<float> normed(x.size()), gated(x.size()), unwritten(x.size());
    NormArgs norm = {.x = x.data(),
                     .weight = weight.data(),
                     .out = normed.data(),
                     .rows = rows,
                     .columns = kK,
                     .epsilon = 1e-5f,
                     .weight_offset = 1};
    GatedActivationArgs activation = {.gate = x.data(),
                                      .up = y.data(),
                                      .out = gated.data(),
                                      .rows = rows,
                                      .width = kK,
                                      .activation = Activation::kSilu};
    ops().rms_norm(pool_, norm);
    ops().gated_activation(pool_, activation);
    norm.out = activation.out = unwritten.data();
    const std::pair<const std::vector<float>*, RowSource> made[] = {{&normed, {.norm = &norm}},
                                                                    {&gated, {.gated = &activation}}};
    for (const auto& [expected_rows, source] : made) {
      for (const std::vector<const Tensor*>& weights : {std::vector<const Tensor*>{&a.tensor, &a.tensor},
                                                        {&b.tensor, &a.tensor},
                                                        {&c.tensor},
                                                        {&d.tensor, &a.tensor}}) {
        std::vector<std::vector<float>> outs;
        std::vector<MatmulArgs> all;
        for (const Tensor* one : weights) outs.emplace_back(static_cast<size_t>(rows * one->shape.rows()), 0.5f);
        for (size_t i = 0; i < weights.size(); ++i)
          all.push_back({.x = unwritten.data(), .rows = rows, .weight = weights[i], .out = outs[i].data()});
        ops().matmul_many(pool_, all, source);
        for (size_t i = 0; i < weights.size(); ++i)
          EXPECT_TRUE(same_bits(outs[i], multiply(ops(), pool_, *expected_rows, *weights[i]))) << rows << " " << i;
      }
    }
  }
}

TEST_P(PackedTest, PartsForMemoryNodesChangeNoBit) {
  Random random(10);
  constexpr int64_t kK = 384;
  ThreadPool nodes({.threads = 3, .nodes = {{.number = 0, .cpus = {0}}, {.number = 1, .cpus = {0}}}});
  for (const int bits : {8, 16}) {
    const PackedFormat format = {.bits = bits, .group = bits == 16 ? 0 : 32};
    const PackedWeight a(format, 1000, kK, random.normals(1000 * kK)), b(format, 20, kK, random.normals(20 * kK));
    for (const int64_t rows : {2, 70}) {
      const std::vector<float> x = random.normals(rows * kK);
      std::vector<float> out_a(static_cast<size_t>(rows * 1000)), out_b(static_cast<size_t>(rows * 20));
      const MatmulArgs all[] = {{.x = x.data(), .rows = rows, .weight = &a.tensor, .out = out_a.data()},
                                {.x = x.data(), .rows = rows, .weight = &b.tensor, .out = out_b.data()}};
      ops().matmul_many(nodes, all, {});
      EXPECT_TRUE(same_bits(out_a, multiply(ops(), pool_, x, a.tensor))) << bits << " " << rows;
      EXPECT_TRUE(same_bits(out_b, multiply(ops(), pool_, x, b.tensor))) << bits << " " << rows;
    }
  }
}

TEST_P(PackedTest, PrefetchingChangesNoBit) {
  Random random(9);
  const std::vector<float> x = random.normals(3 * 384);
  for (const int bits : {4, 8, 16}) {
    const PackedWeight weight({.bits = bits, .group = bits == 16 ? 0 : 32}, 70, 384, random.normals(70 * 384));
    std::vector<float> out(3 * 70);
    MatmulArgs args = {.x = x.data(), .rows = 3, .weight = &weight.tensor, .out = out.data()};
    for (const int bytes : {64, 1 << 20}) {  // the latter far behind the matrix: nothing is read there
      args.prefetch_bytes = bytes;
      ops().matmul(pool_, args);
      EXPECT_TRUE(same_bits(out, multiply(ops(), pool_, x, weight.tensor))) << bits << " bits, " << bytes;
    }
  }
}

TEST_P(PackedTest, AccumulatesOntoTheOutput) {
  Random random(6);
  const std::vector<float> x = random.normals(9 * 64);
  const PackedWeight weight({}, 43, 64, random.normals(43 * 64));
  const std::vector<float> before = random.normals(9 * 43);
  const std::vector<float> product = multiply(ops(), pool_, x, weight.tensor);
  std::vector<float> out = before;
  ops().matmul(pool_, {.x = x.data(), .rows = 9, .weight = &weight.tensor, .out = out.data(), .accumulate = true});
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], before[i] + product[i]);
}

TEST_P(PackedTest, EmbedsRows) {
  Random random(7);
  const PackedWeight weight({}, 37, 96, random.normals(37 * 96));
  const std::vector<int32_t> ids = {0, 36, 5, 16};
  Output out(4 * 96);
  ops().embed(pool_, weight.tensor, ids, 2.0f, out.data());
  const std::vector<float> rows = out.take();
  std::vector<float> expected(96);
  for (size_t i = 0; i < 4; ++i) {
    unpack_row(packed_view(weight.tensor), ids[i], expected.data());
    for (size_t c = 0; c < 96; ++c) EXPECT_EQ(rows[i * 96 + c], 2.0f * expected[c]);
  }
}

SLUICE_FOR_ALL_TABLES(PackedTest);

}  // namespace
}  // namespace sluice::kernels
