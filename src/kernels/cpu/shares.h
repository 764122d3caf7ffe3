#pragma once
// The functions that make up an instruction set's CpuKernels; each *_isa.cc defines some of them.

#include "kernels/cpu/kernels.h"

namespace sluice::kernels::SLUICE_ISA {

void matmul_direct(const MatmulShare& share);
void matmul_panel(const MatmulShare& share);
void code_rows(const CodeShare& share);
void matmul_packed(const PackedShare& share);
void matmul_tiled(const PackedShare& share);
void round_rows(const RoundShare& share);
void matmul_bf16(const Bf16Share& share);
void matmul_bf16_tiled(const Bf16Share& share);
void attention(const AttentionShare& share);
void join_segments(float* partials, size_t stride, int segments, float* out, int head_dim);
void rms_norm(const NormArgs& args, int64_t row_begin, int64_t row_end);
void rope(const RopeArgs& args, int64_t row_begin, int64_t row_end);
void read_row(DType dtype, const std::byte* in, float scale, float* out, int64_t columns);
void write_row(DType dtype, const float* in, std::byte* out, int64_t columns);
void gated_activation(const GatedActivationArgs& args, int64_t begin, int64_t end);
void add(float* x, const float* y, int64_t count);
void softcap(float* x, float cap, int64_t count);

}  // namespace sluice::kernels::SLUICE_ISA
