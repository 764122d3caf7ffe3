#include "kernels/cpu/amx_trial.h"

#include <cstring>
#include <vector>

#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/trial.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels {
namespace {

// The product, and the shortest time it took.
double multiply(const CpuKernels& kernels, ThreadPool& pool, const Tensor& weight, const std::vector<float>& x,
                std::vector<float>& out) {
  const MatmulArgs args = {.x = x.data(), .rows = kTrialRows, .weight = &weight, .out = out.data()};
  return shortest_time(kTrialRounds, [&] { on_cpu::matmul_packed(kernels, pool, {&args, 1}, {}); });
}

}  // namespace

bool tiles_gain(const CpuKernels& plain, const CpuKernels& tiled) {
  ThreadPool pool({.threads = 1});
  std::vector<float> values(kTrialN * kTrialK), x(kTrialRows * kTrialK), expected(kTrialRows * kTrialN),
      actual(kTrialRows * kTrialN);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 2654435761u % 2001) - 1000;
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 40503u % 4001) - 2000;
  const PackedFormat format = {};
  Buffer memory(packed_bytes(format, kTrialN, kTrialK));
  const Tensor weight = pack_header(format, kTrialN, kTrialK, memory.data());
  pack_panels({reinterpret_cast<const std::byte*>(values.data()), DType::kF32, {kTrialN, kTrialK}}, weight, 0,
              kTrialN / kPackedRows);
  const double plain_time = multiply(plain, pool, weight, x, expected);
  const double tiled_time = multiply(tiled, pool, weight, x, actual);
  return tiled_time < plain_time && std::memcmp(expected.data(), actual.data(), actual.size() * sizeof(float)) == 0;
}

}  // namespace sluice::kernels
