#pragma once
// One stored matrix becomes one the decoder can read: as it is mapped, or decoded and converted into memory of our own.

#include <optional>

#include "base/thread_pool.h"
#include "checkpoint/weights.h"
#include "tensor/packed_matrix.h"

namespace sluice::model {

// What a matrix becomes: a type of rows, or, when it is DType::kPacked, the kernels' layout in `format`.
struct MatrixTarget {
  DType dtype = DType::kF32;
  PackedFormat format = {};
  size_t bytes(int64_t rows, int64_t columns) const {
    return dtype == DType::kPacked ? packed_bytes(format, rows, columns)
                                   : row_bytes(dtype, columns) * static_cast<size_t>(rows);
  }
};

// Rows of a matrix.
struct RowRange {
  int64_t first;
  int64_t count;
};

struct ConvertedMatrix {
  Tensor tensor;
  Buffer owned;  // empty: the tensor is the file's mapping
};

// Every value is checked to be finite (of mapped blocks, their scales); kCorruptData names file, tensor and row, and
// kUnimplemented a type that is no type for weights. Gives converted pages back to the page cache.
Result<ConvertedMatrix> convert_matrix(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry,
                                       DType target, ThreadPool& pool);

// The packed form that keeps the codes of a matrix a tool quantised; nothing when there is none (float8, reordered
// columns, groups that are no multiple of 16).
std::optional<PackedFormat> packed_format_of(const checkpoint::QuantizedMatrix& matrix);

// Packs rows of a matrix; the same checks and errors as convert_matrix. kUnimplemented when scales are beyond f16.
Result<ConvertedMatrix> pack_matrix(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry,
                                    RowRange rows, const PackedFormat& format, ThreadPool& pool);

// A vector as f32, checked in the same way.
Result<std::vector<float>> widen_vector(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry);

// The type to decide by: of a matrix a tool quantised, the one it decodes to. kUnimplemented when it cannot be used.
Result<DType> stored_dtype(const checkpoint::WeightMap& files, const checkpoint::WeightEntry& entry);

}  // namespace sluice::model
