// Input: a pack file of the key "fuzz"; its index checksum is made right, so that what it says is reached.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "checkpoint/pack_file.h"
#include "tensor/packed_matrix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::checkpoint;
  constexpr size_t kHeader = 64;
  if (size < kHeader) return 0;
  std::vector<std::byte> bytes(size);
  std::memcpy(bytes.data(), data, size);
  uint64_t index_bytes = 0;
  std::memcpy(&index_bytes, bytes.data() + 24, sizeof index_bytes);
  const uint64_t file_bytes = size;
  std::memcpy(bytes.data() + 16, &file_bytes, sizeof file_bytes);
  if (index_bytes <= size - kHeader) {
    const uint64_t sum = checksum64(std::span(bytes).subspan(kHeader, index_bytes));
    std::memcpy(bytes.data() + 32, &sum, sizeof sum);
  }
  const auto pack = PackFile::parse(WeightFile::from_memory("fuzz", bytes), "fuzz");
  if (!pack.ok()) return 0;
  const auto blob = pack->find("a");
  if (!blob.empty() && check_packed(blob, 16, 64).ok()) {
    std::vector<float> row(64);
    alignas(64) static std::byte copy[1 << 16];
    if (blob.size() > sizeof copy) return 0;
    std::memcpy(copy, blob.data(), blob.size());
    unpack_row(packed_view({copy, DType::kPacked, {16, 64}}), 15, row.data());
  }
  return 0;
}
