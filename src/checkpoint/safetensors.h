#pragma once
// Hugging Face safetensors: an 8-byte length, a JSON header, then the tensors' bytes without gaps.
// Format and limits: github.com/huggingface/safetensors (safetensors/src/tensor.rs); files it refuses are refused here.
// F32 F16 BF16 I8 U8 I32 I64 can be used; any other type is listed, and using the tensor gives an error that names it.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint {

struct SafetensorsLimits {
  uint64_t header_bytes_max = 100'000'000;  // as the reference
  size_t tensors_max = 1'000'000;
  int rank_max = 32;
};

// Reads the header of one file; the tensors are views into file.bytes. kCorruptData names file and tensor.
Result<WeightMap> read_safetensors(WeightFile file, const SafetensorsLimits& limits = {});

// model.safetensors.index.json: which file holds which tensor.
struct SafetensorsIndex {
  std::vector<std::string> shards;                  // file names without any folder, in order, each once
  std::map<std::string, size_t, std::less<>> home;  // tensor → index into shards
};

// A shard outside the index's own directory ("/x", "..", "a/b") is kCorruptData. `path` is for messages.
Result<SafetensorsIndex> parse_safetensors_index(std::string_view json, const std::string& path);

// One file, mapped.
Result<WeightMap> open_safetensors(const std::string& path);
// All shards that an index names, mapped. Every file must be there, and every tensor of the index in the file it says.
// Tensors the index does not know are taken along, as transformers does.
Result<WeightMap> open_safetensors_index(const std::string& index_path);
// The weights of a directory: model.safetensors, else those of model.safetensors.index.json, else all *.safetensors
// together. kNotFound when there are none.
Result<WeightMap> open_safetensors_directory(const std::string& directory);

}  // namespace sluice::checkpoint
