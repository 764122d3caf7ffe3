#include <algorithm>
#include <cmath>

#include "kernels/kernel_testing.h"

namespace sluice::kernels {
namespace {

class ElementwiseTest : public OpsTest {};

constexpr int64_t kColumns[] = {1, 8, 15, 64, 65, 172, 1000, 4096};

TEST_P(ElementwiseTest, RmsNormAgreesInAndOutOfPlace) {
  Random random(1);
  for (const int64_t columns : kColumns) {
    for (const float offset : {0.0f, 1.0f}) {
      constexpr int64_t kRows = 21;
      std::vector<float> x = random.normals(kRows * columns, 3.0f);
      const std::vector<float> weight = random.normals(columns);
      NormArgs args = {x.data(), weight.data(), nullptr, kRows, columns, 1e-5f, offset};
      Output expected(kRows * columns);
      Output actual(kRows * columns);
      args.out = expected.data();
      reference().rms_norm(pool_, args);
      args.out = actual.data();
      ops().rms_norm(pool_, args);
      EXPECT_LE(relative_error(actual.take(), expected.take()), 2e-6) << columns;

      Output alone(columns);
      NormArgs one = {x.data() + 7 * columns, weight.data(), alone.data(), 1, columns, 1e-5f, offset};
      ops().rms_norm(pool_, one);
      EXPECT_TRUE(same_bits(alone.take(), {actual.data() + 7 * columns, static_cast<size_t>(columns)}));

      args.out = x.data();
      ops().rms_norm(pool_, args);
      EXPECT_TRUE(same_bits(x, actual.take())) << "in place, " << columns;
    }
  }
}

TEST_P(ElementwiseTest, RopeTurnsTheFirstDimensionsOfEveryHead) {
  Random random(2);
  for (const bool interleaved : {false, true}) {
    for (const auto& [head_dim, rotary_dim] : {std::pair{8, 8}, {64, 64}, {64, 32}, {80, 20}, {128, 128}, {10, 6}}) {
      constexpr int64_t kRows = 33;
      constexpr int kHeads = 3;
      const int64_t stride = kHeads * head_dim + 5;
      const std::vector<float> before = random.normals(kRows * stride);
      std::vector<float> cos(static_cast<size_t>(kRows * rotary_dim / 2));
      std::vector<float> sin(cos.size());
      for (size_t i = 0; i < cos.size(); ++i) {
        const float angle = random.normal(10.0f);
        cos[i] = std::cos(angle);
        sin[i] = std::sin(angle);
      }
      std::vector<float> expected = before;
      std::vector<float> actual = before;
      RopeArgs args = {expected.data(), kRows,       stride,     kHeads,    head_dim,
                       rotary_dim,      interleaved, cos.data(), sin.data()};
      reference().rope(pool_, args);
      args.x = actual.data();
      ops().rope(pool_, args);
      EXPECT_LE(relative_error(actual, expected), 1e-6) << head_dim << " " << rotary_dim << " " << interleaved;
      EXPECT_GT(relative_error(actual, before), 0.1);
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t c = 0; c < stride; ++c) {
          const bool turned = c < kHeads * head_dim && c % head_dim < rotary_dim;
          if (turned) continue;
          ASSERT_EQ(actual[static_cast<size_t>(r * stride + c)], before[static_cast<size_t>(r * stride + c)]);
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, EmbedReadsRowsOfEveryType) {
  Random random(3);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
    for (const int64_t columns : {int64_t{64}, int64_t{96}, is_quantized(dtype) ? int64_t{32} : int64_t{37}}) {
      const StoredTensor table(dtype, 50, columns, random.normals(50 * columns));
      const std::vector<int32_t> ids = {0, 49, 7, 7, 31};
      Output expected(5 * columns);
      Output actual(5 * columns);
      reference().embed(pool_, table.tensor, ids, 8.5f, expected.data());
      ops().embed(pool_, table.tensor, ids, 8.5f, actual.data());
      EXPECT_TRUE(same_bits(actual.take(), expected.take())) << dtype_name(dtype) << " " << columns;
    }
  }
}

// All magnitudes, both signs, and what is not a number.
std::vector<float> interesting_floats() {
  std::vector<float> values;
  for (int exponent = -149; exponent <= 127; ++exponent) {
    for (const float mantissa : {1.0f, 1.3f, 1.9f}) {
      values.push_back(std::ldexp(mantissa, exponent));
      values.push_back(-values.back());
    }
  }
  for (float x = -110.0f; x < 110.0f; x += 0.037f) values.push_back(x);
  values.insert(values.end(), {0.0f, -0.0f, INFINITY, -INFINITY});
  return values;
}

// Below 1e-36 a float's e^-x has overflowed, and 0 is as good.
void expect_close_floats(const std::vector<float>& actual, const std::vector<float>& expected,
                         const std::vector<float>& x) {
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(actual[i])) << x[i];
    } else if (std::isinf(expected[i])) {
      EXPECT_EQ(actual[i], expected[i]) << x[i];
    } else {
      EXPECT_NEAR(actual[i], expected[i], std::abs(expected[i]) * 2e-6 + 1e-36) << x[i];
    }
  }
}

TEST_P(ElementwiseTest, ActivationsAgreeOverAllMagnitudes) {
  std::vector<float> gate = interesting_floats();
  gate.push_back(NAN);
  const auto count = static_cast<int64_t>(gate.size());
  const std::vector<float> up(gate.size(), -1.5f);
  for (const Activation activation : kActivations) {
    Output expected(count);
    Output actual(count);
    reference().gated_activation(pool_, {gate.data(), up.data(), expected.data(), 1, count, activation});
    ops().gated_activation(pool_, {gate.data(), up.data(), actual.data(), 1, count, activation});
    const std::vector<float> e = expected.take();
    const std::vector<float> a = actual.take();
    // 1 + tanh, and 1 + erf, cancel for negative gates in every float implementation: the error is relative to the
    // gate. That of e^−1.702x grows with the rounded exponent.
    const bool cancels = activation == Activation::kGelu || activation == Activation::kGeluTanh;
    const float exponent_error = activation == Activation::kQuickGelu ? 1.2e-7f : 0;
    for (size_t i = 0; i < gate.size(); ++i) {
      if (std::isnan(gate[i])) {
        EXPECT_TRUE(std::isnan(a[i]));
      } else if (std::isfinite(e[i])) {
        const float relative = 2e-6f + std::min(std::abs(gate[i]), 1e3f) * exponent_error;
        EXPECT_NEAR(a[i], e[i], std::abs(e[i]) * relative + (cancels ? std::abs(gate[i]) * 3e-7f + 3e-38f : 1e-36f))
            << gate[i];
      } else if (!cancels) {
        EXPECT_TRUE(a[i] == e[i] || std::isnan(e[i])) << gate[i];
      }
    }
    std::vector<float> in_place = gate;
    ops().gated_activation(pool_, {in_place.data(), up.data(), in_place.data(), 1, count, activation});
    EXPECT_TRUE(same_bits(in_place, a));
  }
}

TEST_P(ElementwiseTest, ActivationRowsDoNotDependOnTheBatch) {
  Random random(4);
  constexpr int64_t kWidth = 1723;
  constexpr int64_t kRows = 40;
  const std::vector<float> gate = random.normals(kRows * kWidth, 4.0f);
  const std::vector<float> up = random.normals(kRows * kWidth);
  Output whole(kRows * kWidth);
  ops().gated_activation(pool_, {gate.data(), up.data(), whole.data(), kRows, kWidth, Activation::kSilu});
  for (const int64_t row : {int64_t{0}, int64_t{17}, kRows - 1}) {
    Output alone(kWidth);
    ops().gated_activation(
        pool_, {gate.data() + row * kWidth, up.data() + row * kWidth, alone.data(), 1, kWidth, Activation::kSilu});
    EXPECT_TRUE(same_bits(alone.take(), {whole.data() + row * kWidth, static_cast<size_t>(kWidth)})) << row;
  }
}

TEST_P(ElementwiseTest, SoftcapAgreesOverAllMagnitudes) {
  std::vector<float> x = interesting_floats();
  x.push_back(NAN);
  for (const float cap : {1.0f, 30.0f}) {
    std::vector<float> expected = x;
    std::vector<float> actual = x;
    reference().softcap(pool_, expected.data(), cap, static_cast<int64_t>(x.size()));
    ops().softcap(pool_, actual.data(), cap, static_cast<int64_t>(x.size()));
    expect_close_floats(actual, expected, x);
  }
}

TEST_P(ElementwiseTest, AddAddsEveryElement) {
  Random random(5);
  for (const int64_t count : {1, 7, 16, 33, 100'001}) {
    const std::vector<float> x = random.normals(count);
    const std::vector<float> y = random.normals(count);
    std::vector<float> actual = x;
    ops().add(pool_, actual.data(), y.data(), count);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(actual[i], x[i] + y[i]);
  }
}

SLUICE_FOR_ALL_TABLES(ElementwiseTest);

}  // namespace
}  // namespace sluice::kernels
