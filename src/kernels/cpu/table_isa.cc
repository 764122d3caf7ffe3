// The table of this instruction set.

#include "kernels/cpu/int_lanes.h"
#include "kernels/cpu/shares.h"

namespace sluice::kernels::SLUICE_ISA {

namespace {

constexpr CpuKernels table(bool use_tiles) {
  return {
      .direct_rows_max = kWidth == 16 ? 40 : 6,
      .matmul_direct = matmul_direct,
      .matmul_panel = matmul_panel,
      .word_codes = kWordCodes,
      .code_rows = code_rows,
      .matmul_packed = matmul_packed,
      .matmul_tiled = matmul_tiled,
      .use_tiles = use_tiles,
      .round_rows = round_rows,
      .matmul_bf16 = use_tiles ? matmul_bf16_tiled : matmul_bf16,
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
}

}  // namespace

extern const CpuKernels kKernels;
extern const CpuKernels kTiledKernels;
constexpr CpuKernels kKernels = table(false);
constexpr CpuKernels kTiledKernels = table(true);

}  // namespace sluice::kernels::SLUICE_ISA
