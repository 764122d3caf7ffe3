// The tables of x86-64, and which of them this machine can run. Compiled for the baseline, like all that is not in an
// instruction set's namespace.

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels/cpu/amx_trial.h"
#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/tables.h"

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
namespace amx {
extern const CpuKernels kTiledKernels;
}

namespace {

constexpr Ops kAvx2 = OpsOnCpu<avx2::kKernels>::table("avx2", true);
constexpr Ops kTiles = OpsOnCpu<avx2::kTiledKernels>::table("tiles", false);
constexpr Ops kAmx = OpsOnCpu<amx::kTiledKernels>::table("amx", true);
constexpr Ops kAvx512 = OpsOnCpu<avx512::kKernels>::table("avx512", true);
constexpr Ops kAvx512Vnni = OpsOnCpu<avx512vnni::kKernels>::table("avx512vnni", true);

// __builtin_cpu_supports also asks whether the operating system saves the registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

// The processor has tiles and Linux lets this process use them.
bool has_amx() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
         ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

void append_cpu_ops(std::vector<const Ops*>& tables) {
  if (has_avx2()) tables.push_back(&kTiles);
  if (has_avx2()) tables.push_back(&kAvx2);
  if (has_avx512()) tables.push_back(&kAvx512);
  if (!has_avx512vnni()) return;
  if (!has_amx()) return tables.push_back(&kAvx512Vnni);
  // Tiles that gain nothing here can still be asked for by name.
  static const bool gains = tiles_gain(avx512vnni::kKernels, amx::kTiledKernels);
  tables.push_back(gains ? &kAvx512Vnni : &kAmx);
  tables.push_back(gains ? &kAmx : &kAvx512Vnni);
}

}  // namespace sluice::kernels
