#pragma once
// The tile registers of AMX are large, so Linux gives them only to a process that asks.

namespace sluice::kernels {

// Whether this processor multiplies tiles of int8 and bf16 and the operating system lets this process use them: asks
// for them, once and for all threads.
bool may_use_tiles();

}  // namespace sluice::kernels
