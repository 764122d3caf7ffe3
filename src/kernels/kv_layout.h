#pragma once
// Where a block of the cache keeps the keys of one head: side by side, element by element, so that the scores of
// sixteen tokens with a query are the lanes of one register, and nothing is added up across lanes.
//
// Element d of token t is at key_element bytes; of q8_0 that is its code, and key_scale is where the scale of its 32
// elements is. A block has as many bytes as its tokens have as rows. Plain functions: *_isa.cc include them
// (cpu/kernels.h says why that matters).

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "tensor/dtype.h"

namespace sluice::kernels {

constexpr int kKeyGroup = 32;  // elements of a q8_0 block

static constexpr size_t key_element_bytes(DType dtype) {
  return dtype == DType::kF32 ? 4 : dtype == DType::kQ8_0 ? 1 : 2;
}
static constexpr size_t key_element(DType dtype, int block_tokens, int d, int t) {
  const auto tokens = static_cast<size_t>(block_tokens), element = static_cast<size_t>(d),
             token = static_cast<size_t>(t);
  if (dtype != DType::kQ8_0) return (element * tokens + token) * key_element_bytes(dtype);
  return element / kKeyGroup * (kKeyGroup + 2) * tokens + element % kKeyGroup * tokens + token;
}
static constexpr size_t key_scale(int block_tokens, int d, int t) {
  const auto tokens = static_cast<size_t>(block_tokens);
  return static_cast<size_t>(d / kKeyGroup) * (kKeyGroup + 2) * tokens + kKeyGroup * tokens +
         static_cast<size_t>(t) * 2;
}

// Calls piece(bytes of a key as a row of its type (tensor/quantize.h), bytes within the block, size) for every piece of
// token t's key that is in one place in both; sizes are std::integral_constant.
template <class Piece>
static inline void for_key_pieces(DType dtype, int block_tokens, int head_dim, int t, const Piece& piece) {
  const auto tokens = static_cast<size_t>(block_tokens), token = static_cast<size_t>(t);
  const auto elements = [&](size_t count, size_t row, size_t block, auto size) {
    for (size_t d = 0; d < count; ++d) piece(row + d * size, block + (d * tokens + token) * size, size);
  };
  using std::integral_constant;
  const auto dim = static_cast<size_t>(head_dim);
  if (dtype == DType::kF32) return elements(dim, 0, 0, integral_constant<size_t, 4>());
  if (dtype != DType::kQ8_0) return elements(dim, 0, 0, integral_constant<size_t, 2>());
  for (int d = 0; d < head_dim; d += kKeyGroup) {
    const size_t row = row_bytes(dtype, d);
    piece(row, key_scale(block_tokens, d, t), integral_constant<size_t, 2>());
    elements(kKeyGroup, row + 2, row * tokens, integral_constant<size_t, 1>());
  }
}

// A key that is a row of its type, into its place in the block, and out of it.
static inline void put_key(DType dtype, int block_tokens, int head_dim, int t, const std::byte* row, std::byte* block) {
  for_key_pieces(dtype, block_tokens, head_dim, t,
                 [&](size_t from, size_t to, auto size) { std::memcpy(block + to, row + from, size); });
}
static inline void take_key(DType dtype, int block_tokens, int head_dim, int t, const std::byte* block,
                            std::byte* row) {
  for_key_pieces(dtype, block_tokens, head_dim, t,
                 [&](size_t to, size_t from, auto size) { std::memcpy(row + to, block + from, size); });
}

}  // namespace sluice::kernels
