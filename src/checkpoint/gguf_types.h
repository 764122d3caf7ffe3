#pragma once
// The tensor types of GGUF files: ggml's numbers, names and block sizes (ggml/include/ggml.h, ggml/src/ggml.c).

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace sluice::checkpoint {

struct GgmlType {
  uint32_t id;
  std::string_view name;
  uint32_t block_elements;
  uint32_t block_bytes;
  std::optional<DType> dtype;  // nothing: ggml knows it, this program does not
};

// Null for a number ggml does not know, or has withdrawn.
const GgmlType* find_ggml_type(uint32_t id);
// The ggml type that stores `dtype`, which must have one.
const GgmlType& ggml_type_of(DType dtype);

}  // namespace sluice::checkpoint
