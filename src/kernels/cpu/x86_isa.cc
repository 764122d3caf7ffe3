// The tables of x86-64, and which of them this machine can run. Compiled for the baseline, like all that is not in an
// instruction set's namespace.

#include "kernels/cpu/amx_trial.h"
#include "kernels/cpu/bf16_trial.h"
#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/tables.h"
#include "kernels/cpu/tile_permission.h"

namespace sluice::kernels {

namespace avx2 {
extern const CpuKernels kKernels;
extern const CpuKernels kTiledKernels;
}  // namespace avx2
namespace avx512 {
extern const CpuKernels kKernels;
}

namespace avx512vnni {
extern const CpuKernels kKernels;
}
namespace avx512bf16 {
void round_rows(const RoundShare& share);
void matmul_bf16(const Bf16Share& share);
}  // namespace avx512bf16
namespace amx {
void matmul_tiled(const PackedShare& share);
void matmul_bf16_tiled(const Bf16Share& share);
}  // namespace amx

namespace {

// The kernels of VNNI, beside those of one more unit.
const CpuKernels kBf16Kernels = [] {
  CpuKernels kernels = avx512vnni::kKernels;
  kernels.round_rows = avx512bf16::round_rows;
  kernels.matmul_bf16 = avx512bf16::matmul_bf16;
  return kernels;
}();
const CpuKernels kAmxKernels = [] {
  CpuKernels kernels = avx512vnni::kKernels;
  kernels.matmul_tiled = amx::matmul_tiled;
  kernels.use_tiles = true;
  kernels.matmul_bf16 = amx::matmul_bf16_tiled;
  return kernels;
}();

constexpr Ops kAvx2 = OpsOnCpu<avx2::kKernels>::table("avx2", true);
constexpr Ops kTiles = OpsOnCpu<avx2::kTiledKernels>::table("tiles", false);
constexpr Ops kAmx = OpsOnCpu<kAmxKernels>::table("amx", true);
constexpr Ops kAvx512 = OpsOnCpu<avx512::kKernels>::table("avx512", true);
constexpr Ops kAvx512Vnni = OpsOnCpu<avx512vnni::kKernels>::table("avx512vnni", true);
constexpr Ops kAvx512Bf16 = OpsOnCpu<kBf16Kernels>::table("avx512bf16", true);

// __builtin_cpu_supports also asks whether the operating system saves the registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

bool has_avx512bf16() { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }

// With what a trial says of the table's bf16 products.
Ops tried(Ops ops, const CpuKernels& kernels) {
  ops.fast_bf16 = bf16_gains(kernels);
  return ops;
}
const Ops* avx512bf16_ops() {
  static const Ops ops = tried(kAvx512Bf16, kBf16Kernels);
  return &ops;
}
const Ops* amx_ops() {
  static const Ops ops = tried(kAmx, kAmxKernels);
  return &ops;
}

}  // namespace

void append_cpu_ops(std::vector<const Ops*>& tables) {
  if (has_avx2()) tables.push_back(&kTiles);
  if (has_avx2()) tables.push_back(&kAvx2);
  if (has_avx512()) tables.push_back(&kAvx512);
  if (!has_avx512vnni()) return;
  const auto plain = static_cast<std::ptrdiff_t>(tables.size());
  tables.push_back(&kAvx512Vnni);
  // On some machines slower than float32 products, but then it is not used for them.
  if (has_avx512bf16()) tables.push_back(avx512bf16_ops());
  if (!may_use_tiles()) return;
  // Tiles that gain nothing here can still be asked for by name.
  static const bool gains = tiles_gain(avx512vnni::kKernels, kAmxKernels);
  tables.insert(gains ? tables.end() : tables.begin() + plain, amx_ops());
}

}  // namespace sluice::kernels
