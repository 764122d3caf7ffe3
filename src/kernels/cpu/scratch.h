#pragma once
// Memory that a thread keeps between operations, so that no operation allocates once every shape has been met.

#include "tensor/tensor.h"

namespace sluice::kernels {

// At least `floats` floats of the calling thread's own; the next call of this function on this thread gives the same.
float* thread_scratch(size_t floats);
// The same for results that the owner of an operation shares with its workers.
float* shared_scratch(size_t floats);

}  // namespace sluice::kernels
