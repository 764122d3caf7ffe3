#include "kernels/cpu/amx_trial.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "kernels/cpu/ops_on_cpu.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels {
namespace {

constexpr int64_t kRows = 64, kN = 128, kK = 1024;
constexpr int kRounds = 5;

// The product, and the shortest time it took.
double multiply(const CpuKernels& kernels, ThreadPool& pool, const Tensor& weight, const std::vector<float>& x,
                std::vector<float>& out) {
  double best = 1e9;
  const MatmulArgs args = {.x = x.data(), .rows = kRows, .weight = &weight, .out = out.data()};
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    on_cpu::matmul_packed(kernels, pool, {&args, 1}, {});
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

bool tiles_gain(const CpuKernels& plain, const CpuKernels& tiled) {
  ThreadPool pool({.threads = 1});
  std::vector<float> values(kN * kK), x(kRows * kK), expected(kRows * kN), actual(kRows * kN);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 2654435761u % 2001) - 1000;
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 40503u % 4001) - 2000;
  const PackedFormat format = {};
  Buffer memory(packed_bytes(format, kN, kK));
  const Tensor weight = pack_header(format, kN, kK, memory.data());
  pack_panels({reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {kN, kK}}, weight, 0, kN / kPackedRows);
  const double plain_time = multiply(plain, pool, weight, x, expected);
  const double tiled_time = multiply(tiled, pool, weight, x, actual);
  return tiled_time < plain_time && std::memcmp(expected.data(), actual.data(), actual.size() * sizeof(float)) == 0;
}

}  // namespace sluice::kernels
