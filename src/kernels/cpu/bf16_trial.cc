#include "kernels/cpu/bf16_trial.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/trial.h"
#include "tensor/packed_matrix.h"
#include "tensor/quantize.h"

namespace sluice::kernels {
namespace {

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
    pack_panels(stored_, packed_, 0, kTrialN / kPackedRows);
  }

  bool gains() {
    std::vector<float> plain(kTrialRows * kTrialN), all(kTrialRows * kTrialN);
    const double plain_time = multiply(stored_, kTrialRows, plain);
    const double packed_time = multiply(packed_, kTrialRows, all);
    std::vector<float> one(kTrialN);
    const bool streams = multiply(packed_, 1, one) < kOneRowSlack * multiply(stored_, 1, one);
    return packed_time < plain_time && streams && is_right(all) && is_the_same_alone(all);
  }

 private:
  // The product of the first `rows` rows, and the shortest time it took.
  double multiply(const Tensor& weight, int64_t rows, std::vector<float>& out, int rounds = kTrialRounds) {
    const MatmulArgs args = {.x = x_.data(), .rows = rows, .weight = &weight, .out = out.data()};
    return shortest_time(rounds, [&] { on_cpu::matmul(kernels_, pool_, args); });
  }

  // Some rows against sums in double; each addition may cost half a unit in the last place of what is added up.
  bool is_right(const std::vector<float>& out) const {
    for (const int64_t r : {int64_t{0}, kTrialRows / 2 + 1, kTrialRows - 1}) {
      for (int64_t n = 0; n < kTrialN; ++n) {
        double sum = 0, magnitudes = 0;
        for (int64_t k = 0; k < kTrialK; ++k) {
          const double product = double{bf16_to_f32(f32_to_bf16(x_[static_cast<size_t>(r * kTrialK + k)]))} *
                                 bf16_to_f32(values_[static_cast<size_t>(n * kTrialK + k)]);
          sum += product;
          magnitudes += std::abs(product);
        }
        const double error = std::abs(double{out[static_cast<size_t>(r * kTrialN + n)]} - sum);
        if (!(error <= magnitudes * kTrialK * 0x1p-24)) return false;
      }
    }
    return true;
  }

  bool is_the_same_alone(const std::vector<float>& all) {
    for (const int64_t rows : {1, 2, 5, 17}) {
      std::vector<float> few(static_cast<size_t>(rows * kTrialN));
      multiply(packed_, rows, few, 1);
      if (std::memcmp(few.data(), all.data(), few.size() * sizeof(float)) != 0) return false;
    }
    return true;
  }

  const CpuKernels& kernels_;
  ThreadPool pool_{{.threads = 1}};
  std::vector<uint16_t> values_ = std::vector<uint16_t>(kTrialN * kTrialK);
  std::vector<float> x_ = std::vector<float>(kTrialRows * kTrialK);
  const Tensor stored_ = {reinterpret_cast<const std::byte*>(values_.data()), DType::kBF16, {kTrialN, kTrialK}};
  Buffer memory_{packed_bytes({.bits = 16, .group = 0}, kTrialN, kTrialK)};
  const Tensor packed_ = pack_header({.bits = 16, .group = 0}, kTrialN, kTrialK, memory_.data());
};

}  // namespace

bool bf16_gains(const CpuKernels& kernels) { return Bf16Trial(kernels).gains(); }

}  // namespace sluice::kernels
