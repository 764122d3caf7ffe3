// Any bytes as a GGUF file: an error, or metadata and tensors that can be read to their last byte.

#include <vector>

#include "base/check.h"
#include "checkpoint/model_files.h"
#include "tensor/quantize.h"

namespace {

void read_tensors(const sluice::checkpoint::WeightMap& weights, std::span<const std::byte> bytes) {
  size_t total = 0;
  for (const auto& entry : weights.entries()) {
    total += entry.bytes;
    SLUICE_CHECK(entry.data >= bytes.data() && entry.data + entry.bytes <= bytes.data() + bytes.size());
    const auto tensor = weights.tensor(entry.name);
    SLUICE_CHECK(tensor.ok() == entry.problem.empty());
    if (!tensor.ok()) continue;
    SLUICE_CHECK(tensor->bytes() == entry.bytes);
    const bool is_integer = tensor->dtype >= sluice::DType::kI32 && tensor->dtype <= sluice::DType::kU8;
    if (is_integer || tensor->shape.elements() > (1 << 16)) continue;
    std::vector<float> values(static_cast<size_t>(tensor->shape.elements()));
    sluice::dequantize_row(tensor->dtype, tensor->data, values.data(), tensor->shape.elements());
  }
  SLUICE_CHECK(total <= bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::checkpoint;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto file = read_gguf(WeightFile::from_memory("fuzz", bytes));
  if (!file.ok()) return 0;
  read_tensors(file->weights, bytes);
  (void)sluice::dump_json(file->metadata.to_json());
  for (const std::string& key : file->metadata.keys()) {
    (void)file->metadata.integers(key).ok();
    (void)file->metadata.numbers(key).ok();
    (void)file->metadata.strings(key).ok();
    (void)file->metadata.boolean(key, false).ok();
  }
  (void)read_gguf_vocabulary(file->metadata).ok();
  return 0;
}
