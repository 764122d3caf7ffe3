// The table of this instruction set.

#include "kernels/cpu/shares.h"

namespace sluice::kernels::SLUICE_ISA {

extern const CpuKernels kKernels;
constexpr CpuKernels kKernels = {
    .matmul_direct = matmul_direct,
    .matmul_panel = matmul_panel,
    .code_rows = code_rows,
    .matmul_packed = matmul_packed,
    .attention = attention,
    .join_segments = join_segments,
    .rms_norm = rms_norm,
    .rope = rope,
    .read_row = read_row,
    .write_row = write_row,
    .gated_activation = gated_activation,
    .add = add,
    .softcap = softcap,
};

}  // namespace sluice::kernels::SLUICE_ISA
