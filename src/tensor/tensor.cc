#include "tensor/tensor.h"

#include <sys/mman.h>

#include "base/strings.h"

namespace sluice {

std::string Shape::str() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) out += cat(i > 0 ? ", " : "", (*this)[i]);
  return out + "]";
}

Buffer::Buffer(size_t bytes) : size_(bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : 64;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded));
  SLUICE_CHECK(memory != nullptr, cat("out of memory for a buffer of ", bytes, " bytes"));
  memory_.reset(memory);
  if (alignment == kHugePage) ::madvise(memory, rounded, MADV_HUGEPAGE);  // a wish; refusal is fine
}

}  // namespace sluice
