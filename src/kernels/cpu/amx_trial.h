#pragma once
// Whether tiles are worth using on this machine: tried, not assumed.

#include "kernels/cpu/kernels.h"

namespace sluice::kernels {

// Multiplies a small matrix both ways, a few milliseconds. True when the tiles give the same bits, in less time.
bool tiles_gain(const CpuKernels& plain, const CpuKernels& tiled);

}  // namespace sluice::kernels
