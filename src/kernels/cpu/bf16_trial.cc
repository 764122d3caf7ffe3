#include "kernels/cpu/bf16_trial.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/ops_on_cpu.h"
#include "tensor/packed_matrix.h"
#include "tensor/quantize.h"

namespace sluice::kernels {
namespace {

constexpr int64_t kRows = 64, kN = 128, kK = 1024;
constexpr int kRounds = 5;
// From the caches float32 products of one row run at three times the speed of memory and more, so what takes twice
// their time there still waits for memory when the weights come from it.
constexpr double kOneRowSlack = 2;

class Bf16Trial {
 public:
  explicit Bf16Trial(const CpuKernels& kernels) : kernels_(kernels) {
    for (size_t i = 0; i < values_.size(); ++i)
      values_[i] = f32_to_bf16(static_cast<float>(static_cast<int>(i * 2654435761u % 2001) - 1000) * 1e-3f);
    for (size_t i = 0; i < x_.size(); ++i)
      x_[i] = static_cast<float>(static_cast<int>(i * 40503u % 4001) - 2000) * 1e-3f;
    pack_panels(stored_, packed_, 0, kN / kPackedRows);
  }

  bool gains() {
    std::vector<float> plain(kRows * kN), all(kRows * kN);
    const double plain_time = multiply(stored_, kRows, plain);
    const double packed_time = multiply(packed_, kRows, all);
    std::vector<float> one(kN);
    const bool streams = multiply(packed_, 1, one) < kOneRowSlack * multiply(stored_, 1, one);
    return packed_time < plain_time && streams && is_right(all) && is_the_same_alone(all);
  }

 private:
  // The product of the first `rows` rows, and the shortest time it took.
  double multiply(const Tensor& weight, int64_t rows, std::vector<float>& out, int rounds = kRounds) {
    double best = 1e9;
    const MatmulArgs args = {.x = x_.data(), .rows = rows, .weight = &weight, .out = out.data()};
    for (int round = 0; round < rounds; ++round) {
      const auto start = std::chrono::steady_clock::now();
      on_cpu::matmul(kernels_, pool_, args);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
  }

  // Some rows against sums in double; each of kK additions may cost half a unit in the last place of what is added up.
  bool is_right(const std::vector<float>& out) const {
    for (const int64_t r : {int64_t{0}, kRows / 2 + 1, kRows - 1}) {
      for (int64_t n = 0; n < kN; ++n) {
        double sum = 0, magnitudes = 0;
        for (int64_t k = 0; k < kK; ++k) {
          const double product = double{bf16_to_f32(f32_to_bf16(x_[static_cast<size_t>(r * kK + k)]))} *
                                 bf16_to_f32(values_[static_cast<size_t>(n * kK + k)]);
          sum += product;
          magnitudes += std::abs(product);
        }
        const double error = std::abs(double{out[static_cast<size_t>(r * kN + n)]} - sum);
        if (!(error <= magnitudes * kK * 0x1p-24)) return false;
      }
    }
    return true;
  }

  bool is_the_same_alone(const std::vector<float>& all) {
    for (const int64_t rows : {1, 2, 5, 17}) {
      std::vector<float> few(static_cast<size_t>(rows * kN));
      multiply(packed_, rows, few, 1);
      if (std::memcmp(few.data(), all.data(), few.size() * sizeof(float)) != 0) return false;
    }
    return true;
  }

  const CpuKernels& kernels_;
  ThreadPool pool_{{.threads = 1}};
  std::vector<uint16_t> values_ = std::vector<uint16_t>(kN * kK);
  std::vector<float> x_ = std::vector<float>(kRows * kK);
  const Tensor stored_ = {reinterpret_cast<const std::byte*>(values_.data()), DType::kBF16, {kN, kK}};
  Buffer memory_{packed_bytes({.bits = 16, .group = 0}, kN, kK)};
  const Tensor packed_ = pack_header({.bits = 16, .group = 0}, kN, kK, memory_.data());
};

}  // namespace

bool bf16_gains(const CpuKernels& kernels) { return Bf16Trial(kernels).gains(); }

}  // namespace sluice::kernels
