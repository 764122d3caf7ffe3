#pragma once
// The reference of products with packed weights: what cpu/packed.h says, to the bit, and bf16 by sums in double.

#include "kernels/ops.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels::ref {

void matmul_packed(ThreadPool& pool, const MatmulArgs& args);

}  // namespace sluice::kernels::ref
