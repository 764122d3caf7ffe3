#pragma once
// Whether an instruction set's bf16 products are worth using on this machine: tried, not assumed. The dot product of
// AVX512-BF16 has twice the rate of float32 on some processors and half of it on others.

#include "kernels/cpu/kernels.h"

namespace sluice::kernels {

// Multiplies many rows and one by a small bf16 matrix, from its stored rows in float32 and packed, a few milliseconds.
// True when packed takes less time for many rows and is fast enough for one to wait for memory alone, is right within
// the rounding of float32 sums, and gives a row the same bits alone.
bool bf16_gains(const CpuKernels& kernels);

}  // namespace sluice::kernels
