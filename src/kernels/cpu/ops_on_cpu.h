#pragma once
// Operations on a pool of CPU threads: each is cut into shares (kernels.h) that one thread computes. How the cut falls
// never changes a bit of the result. Work too small to be worth waking a thread stays on the caller's.

#include "kernels/cpu/kernels.h"

namespace sluice::kernels {

namespace on_cpu {

// Shares per thread that keep all threads busy to the end.
constexpr int64_t kSharesPerThread = 4;

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

void embed(const CpuKernels& kernels, ThreadPool& pool, const Tensor& table, std::span<const int32_t> ids, float scale,
           float* out);
void rms_norm(const CpuKernels& kernels, ThreadPool& pool, const NormArgs& args);
void matmul(const CpuKernels& kernels, ThreadPool& pool, const MatmulArgs& args);
void matmul_many(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all, const RowSource& source);
void matmul_packed(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all,
                   const RowSource& source);
// `all` are packed bf16 matrices that meet one x.
void matmul_bf16(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all, const RowSource& source);
void rope(const CpuKernels& kernels, ThreadPool& pool, const RopeArgs& args);
void kv_write(const CpuKernels& kernels, ThreadPool& pool, const KvWriteArgs& args);
void attention(const CpuKernels& kernels, ThreadPool& pool, const AttentionArgs& args);
void gated_activation(const CpuKernels& kernels, ThreadPool& pool, const GatedActivationArgs& args);
void add(const CpuKernels& kernels, ThreadPool& pool, float* x, const float* y, int64_t count);
void softcap(const CpuKernels& kernels, ThreadPool& pool, float* x, float cap, int64_t count);

}  // namespace on_cpu

// The Ops table of one instruction set.
template <const CpuKernels& kKernels>
struct OpsOnCpu {
  template <auto kOperation, class... Args>
  static void call(ThreadPool& pool, Args... args) {
    kOperation(kKernels, pool, args...);
  }

  static constexpr Ops table(std::string_view name, bool fast_int8) {
    return {
        .name = name,
        .fast_int8 = fast_int8,
        .fast_bf16 = false,  // until a trial says so
        .embed = call<on_cpu::embed, const Tensor&, std::span<const int32_t>, float, float*>,
        .rms_norm = call<on_cpu::rms_norm, const NormArgs&>,
        .matmul = call<on_cpu::matmul, const MatmulArgs&>,
        .matmul_many = call<on_cpu::matmul_many, std::span<const MatmulArgs>, const RowSource&>,
        .rope = call<on_cpu::rope, const RopeArgs&>,
        .kv_write = call<on_cpu::kv_write, const KvWriteArgs&>,
        .attention = call<on_cpu::attention, const AttentionArgs&>,
        .gated_activation = call<on_cpu::gated_activation, const GatedActivationArgs&>,
        .add = call<on_cpu::add, float*, const float*, int64_t>,
        .softcap = call<on_cpu::softcap, float*, float, int64_t>,
    };
  }
};

}  // namespace sluice::kernels
