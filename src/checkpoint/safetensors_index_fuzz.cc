// Any text as model.safetensors.index.json: an error or names that cannot leave the directory.

#include "base/check.h"
#include "checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::checkpoint;
  const auto index = parse_safetensors_index({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!index.ok()) return 0;
  for (const std::string& shard : index->shards)
    SLUICE_CHECK(shard.find('/') == std::string::npos && shard != ".." && !shard.empty());
  for (const auto& [tensor, shard] : index->home) SLUICE_CHECK(shard < index->shards.size());
  return 0;
}
