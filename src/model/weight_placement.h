#pragma once
// Where weights lie on a machine with several memories (base/numa.h): every matrix in as many parts as the pool has
// nodes, each in the memory of the threads that take it first (ThreadPool::nodes).

#include <cstddef>
#include <span>

#include "base/thread_pool.h"
#include "model/decoder_weights.h"

namespace sluice::model {

// Part `n` of `nodes` of a matrix's bytes: whole panels of a packed one, else whole rows.
std::span<const std::byte> matrix_part(const Tensor& matrix, int n, int nodes);

// Touches and places the matrices that are multiplied. False when the kernel has refused, and nothing to do with one
// node. Reads what is mapped and not yet in memory.
bool place_weights(const DecoderWeights& weights, ThreadPool& pool);

}  // namespace sluice::model
