#pragma once
// The tensors of a model as the other kind of file has them: other names, rows of Q and K in another order, some
// matrices joined or taken apart, norms with another offset. What differs follows from the architecture's names and
// from its spec for either kind; nothing here knows a family.

#include <functional>

#include "model/model_loader.h"

namespace sluice::model {

// Rows of a stored matrix; a vector of n elements counts as n rows of one.
struct StoredRows {
  const checkpoint::WeightEntry* entry = nullptr;
  int64_t first = 0, count = 0;
};

enum class RowOrder {
  kSame,
  kPairsBecomeNeighbours,  // of each head: (i, i + head_dim/2) → (2i, 2i+1), as GGUF's llama has them
  kNeighboursBecomePairs,  // the reverse
};

struct ConversionTensor {
  std::string name;  // in the new file
  Role role = Role::kQ;
  Shape shape;
  std::vector<StoredRows> sources;  // one below the other
  RowOrder order = RowOrder::kSame;
  int head_dim = 0;           // rows of a head, where the order changes
  float offset = 0;           // added to every element
  DType dtype = DType::kF32;  // to be written
  size_t bytes() const { return static_cast<size_t>(shape.rows()) * row_bytes(dtype, shape.columns()); }
};

struct ConversionTarget {
  FileKind kind = FileKind::kGguf;
  // Of matrices; nothing: as they are stored where the file kind can hold it, else f16 (bf16 for what a tool
  // quantised). With a type of 4 or 5 bits the embedding and the head become q8_0; a matrix whose rows are no whole
  // blocks, f16.
  std::optional<DType> dtype;
};

// Every tensor of the new file. kUnimplemented names a tensor that has no place there. Entries are those of `files`.
Result<std::vector<ConversionTensor>> plan_conversion(const checkpoint::ModelFiles& files,
                                                      const ModelDescription& description,
                                                      const ConversionTarget& target);

// Computes the tensor a few rows at a time and hands its bytes to `sink` in order. kCorruptData names a tensor that is
// damaged; kInvalidArgument one with a value the type cannot hold; any error of the sink ends it.
Result<void> write_tensor(const checkpoint::WeightMap& files, const ConversionTensor& tensor, ThreadPool& pool,
                          const std::function<Result<void>(std::span<const std::byte>)>& sink);

}  // namespace sluice::model
