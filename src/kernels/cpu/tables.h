#pragma once
// The tables of this processor's instruction sets, beside the portable one.

#include <vector>

#include "kernels/ops.h"

namespace sluice::kernels {

// Appends the tables that this build contains and this machine can run, the fastest last. isa.cmake chooses the
// definition: x86_isa.cc, or portable_isa.cc (none) for other processors.
void append_cpu_ops(std::vector<const Ops*>& tables);

}  // namespace sluice::kernels
