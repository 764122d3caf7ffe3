// Any bytes as a safetensors file: an error or tensors whose every byte lies in the file.

#include "base/check.h"
#include "checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::checkpoint;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto weights = read_safetensors(WeightFile::from_memory("fuzz", bytes));
  if (!weights.ok()) return 0;
  size_t total = 0;
  for (const WeightEntry& entry : weights->entries()) {
    total += entry.bytes;
    SLUICE_CHECK(entry.data >= bytes.data() && entry.data + entry.bytes <= bytes.data() + size);
    const auto tensor = weights->tensor(entry.name);
    SLUICE_CHECK(tensor.ok() == entry.problem.empty());
    if (tensor.ok()) SLUICE_CHECK(tensor->bytes() == entry.bytes);
  }
  SLUICE_CHECK(total == weights->tensor_bytes() && total <= size);
  return 0;
}
