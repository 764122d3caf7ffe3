#pragma once
// One stored matrix becomes one the decoder can read: as it is mapped, or decoded and converted into memory of our own.

#include "base/thread_pool.h"
#include "checkpoint/weights.h"

namespace sluice::model {

struct ConvertedMatrix {
  Tensor tensor;
  Buffer owned;  // empty: the tensor is the file's mapping
};

// Every value is checked to be finite (of mapped blocks, their scales); kCorruptData names file, tensor and row, and
// kUnimplemented a type that is no type for weights. Gives converted pages back to the page cache.
Result<ConvertedMatrix> convert_matrix(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry,
                                       DType target, ThreadPool& pool);

// A vector as f32, checked in the same way.
Result<std::vector<float>> widen_vector(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry);

// The type to decide by: of a matrix a tool quantised, the one it decodes to. kUnimplemented when it cannot be used.
Result<DType> stored_dtype(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry);

}  // namespace sluice::model
