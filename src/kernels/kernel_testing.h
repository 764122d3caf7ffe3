#pragma once
// What the kernel tests share: random rows, stored tensors, and outputs that show what was not or wrongly written.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/ops.h"
#include "tensor/quantize.h"

namespace sluice::kernels {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  float normal(float deviation = 1.0f) { return std::normal_distribution<float>(0.0f, deviation)(engine_); }
  int below(int end) { return static_cast<int>(engine_() % static_cast<uint64_t>(end)); }
  std::vector<float> normals(int64_t count, float deviation = 1.0f) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(deviation);
    return values;
  }

 private:
  std::mt19937_64 engine_;
};

// Owns the bytes of a [rows, columns] tensor, in an allocation of exactly its size.
struct StoredTensor {
  StoredTensor(DType dtype, int64_t rows, int64_t columns, const std::vector<float>& values)
      : bytes(static_cast<size_t>(rows) * row_bytes(dtype, columns)) {
    for (int64_t r = 0; r < rows; ++r) {
      quantize_row(dtype, values.data() + r * columns,
                   bytes.data() + static_cast<size_t>(r) * row_bytes(dtype, columns), columns);
    }
    tensor = {bytes.data(), dtype, {rows, columns}};
  }
  std::vector<std::byte> bytes;
  Tensor tensor;
};

// Floats that start as NaN, between guards that must stay as they are.
class Output {
 public:
  explicit Output(int64_t count)
      : values_(static_cast<size_t>(count) + 2 * kGuard, std::numeric_limits<float>::quiet_NaN()) {
    for (size_t i = 0; i < kGuard; ++i) values_[i] = values_[values_.size() - 1 - i] = kMark;
  }
  float* data() { return values_.data() + kGuard; }
  std::vector<float> take() const {
    for (size_t i = 0; i < kGuard; ++i) {
      EXPECT_EQ(values_[i], kMark) << "written " << kGuard - i << " before the output";
      EXPECT_EQ(values_[values_.size() - 1 - i], kMark) << "written " << kGuard - i << " behind the output";
    }
    return {values_.begin() + kGuard, values_.end() - kGuard};
  }

 private:
  static constexpr size_t kGuard = 32;
  static constexpr float kMark = 123456.0f;
  std::vector<float> values_;
};

// x · weightᵀ (+ bias).
inline std::vector<float> multiply(const Ops& ops, ThreadPool& pool, std::span<const float> x, const Tensor& weight,
                                   const float* bias = nullptr) {
  const int64_t rows = static_cast<int64_t>(x.size()) / weight.shape.columns();
  Output out(rows * weight.shape.rows());
  ops.matmul(pool, {.x = x.data(), .rows = rows, .weight = &weight, .bias = bias, .out = out.data()});
  return out.take();
}

// Largest difference, relative to the root mean square of `expected` or to the element if that is larger.
inline double relative_error(const std::vector<float>& actual, const std::vector<float>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double squares = 0;
  for (const float value : expected) squares += double{value} * value;
  const double scale = std::sqrt(squares / std::max<double>(1, static_cast<double>(expected.size()))) + 1e-30;
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(double{actual[i]} - expected[i]) / std::max<double>(scale, std::abs(expected[i]));
    if (!(error <= worst)) worst = error;  // a NaN is the worst
    if (std::isnan(error)) return error;
  }
  return worst;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// One test per table of this machine.
class OpsTest : public ::testing::TestWithParam<const Ops*> {
 protected:
  const Ops& ops() const { return *GetParam(); }
  const Ops& reference() const { return reference_ops(); }
  ThreadPool pool_{{.threads = 2}};
};

inline std::string table_name(const ::testing::TestParamInfo<const Ops*>& param) {
  return std::string(param.param->name);
}

#define SLUICE_FOR_ALL_TABLES(suite) \
  INSTANTIATE_TEST_SUITE_P(Tables, suite, ::testing::ValuesIn(available_ops()), table_name)

}  // namespace sluice::kernels
