#pragma once
// Guards of recursion: how many levels there are, and how much stack they have really taken.

#include <cstddef>
#include <cstdint>

namespace sluice::text::jinja {

// Counts one level of nesting for as long as it lives.
class Levels {
 public:
  explicit Levels(int& count) : count_(count) { ++count_; }
  ~Levels() { --count_; }
  Levels(const Levels&) = delete;
  Levels& operator=(const Levels&) = delete;

 private:
  int& count_;
};

// The stack below the place where it was made. Frames differ between builds, so levels alone would not bound it; the
// limit fits threads with small stacks.
class StackMark {
 public:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kBytesMax = size_t{4} << 20;  // frames with red zones
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  static constexpr size_t kBytesMax = size_t{4} << 20;
#else
  static constexpr size_t kBytesMax = size_t{1} << 20;
#endif
#else
  static constexpr size_t kBytesMax = size_t{1} << 20;
#endif

  StackMark() : base_(address()) {}
  bool exhausted() const {
    const uintptr_t now = address();
    return (base_ > now ? base_ - now : now - base_) > kBytesMax;
  }

 private:
  static uintptr_t address() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

  uintptr_t base_;
};

}  // namespace sluice::text::jinja
