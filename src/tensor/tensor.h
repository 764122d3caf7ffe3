#pragma once
// Tensor: a view of contiguous row-major elements that somebody else owns. Buffer: aligned memory that owns.

#include <array>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "tensor/dtype.h"

namespace sluice {

constexpr int kRankMax = 5;  // a Conv3d weight is the largest we meet

// Sizes of a tensor, outermost first; the last one is contiguous.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) {
    for (const int64_t size : sizes) push_back(size);
  }
  void push_back(int64_t size) {
    SLUICE_CHECK(rank_ < kRankMax && size >= 0);
    sizes_[static_cast<size_t>(rank_++)] = size;
  }
  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return sizes_[static_cast<size_t>(axis < 0 ? axis + rank_ : axis)]; }
  int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= sizes_[static_cast<size_t>(i)];
    return n;
  }
  int64_t columns() const { return rank_ == 0 ? 1 : (*this)[-1]; }              // the last axis
  int64_t rows() const { return columns() == 0 ? 0 : elements() / columns(); }  // all others together
  bool operator==(const Shape& other) const { return rank_ == other.rank_ && sizes_ == other.sizes_; }
  std::string str() const;  // "[2, 64]"

 private:
  std::array<int64_t, kRankMax> sizes_{};
  int rank_ = 0;
};

struct Tensor {
  const std::byte* data = nullptr;  // not owned; may be unaligned when it points into a mapped file
  DType dtype = DType::kF32;
  Shape shape;

  size_t bytes() const {
    if (dtype == DType::kPacked) return packed_tensor_bytes();
    return static_cast<size_t>(shape.rows()) * row_bytes(dtype, shape.columns());
  }
  const std::byte* row(int64_t index) const {
    return data + static_cast<size_t>(index) * row_bytes(dtype, shape.columns());
  }
  explicit operator bool() const { return data != nullptr; }

 private:
  size_t packed_tensor_bytes() const;
};

// Uninitialised bytes, aligned to 64 (a cache line, a zmm register). Large ones are aligned to 2 MiB and offered huge
// pages.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);

  std::byte* data() { return memory_.get(); }
  const std::byte* data() const { return memory_.get(); }
  size_t size() const { return size_; }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(memory_.get());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  size_t size_ = 0;
};

}  // namespace sluice
