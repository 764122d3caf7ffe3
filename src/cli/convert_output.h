#pragma once
// Writing a converted model: a GGUF file (or the parts of a split one), or a directory of safetensors.

#include <functional>

#include "checkpoint/gguf_writer.h"
#include "model/config_export.h"
#include "model/conversion.h"

namespace sluice::cli {

struct ConversionOutput {
  std::string path;          // the GGUF file, or the directory
  uint64_t shard_bytes = 0;  // largest part; 0: one file
  bool replace = false;      // what is there already
  // Called with the bytes written since the last call; an error ends the conversion.
  std::function<Result<void>(size_t bytes)> on_progress;
};

// `head` holds the metadata; the tensors are added here. Nothing is left behind when it fails.
Result<void> write_gguf_model(const checkpoint::WeightMap& files, const std::vector<model::ConversionTensor>& tensors,
                              const std::vector<model::GgufSideTensor>& side, const checkpoint::GgufHead& head,
                              const ConversionOutput& output, ThreadPool& pool);

// The weights of a directory: model.safetensors, or shards and their index. The directory is there already.
Result<void> write_safetensors_model(const checkpoint::WeightMap& files,
                                     const std::vector<model::ConversionTensor>& tensors,
                                     const ConversionOutput& output, ThreadPool& pool);

}  // namespace sluice::cli
