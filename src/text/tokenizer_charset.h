#pragma once
// CharSet: a set of code points as a pattern's class describes it: ranges, categories, flags, scripts, nested classes.

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice::text {

class CharSet {
 public:
  void add(char32_t first, char32_t last) { ranges_.emplace_back(first, last); }
  void add_categories(uint32_t mask) { categories_ |= mask; }
  void add_flags(uint32_t flags) { flags_ |= flags; }
  void add_script(int script) { scripts_.push_back(script); }
  void add_nested(CharSet set) { nested_.push_back(std::move(set)); }
  void intersect(CharSet set) { intersect_.push_back(std::move(set)); }
  void negate() { negated_ = !negated_; }
  // Adds what equals a member when case is ignored. Categories and nested classes stay as they are.
  void fold_case();
  // Call once when all is added: makes contains() fast for ASCII.
  void finish();

  bool contains(char32_t c) const { return c < 128 ? (ascii_[c >> 6] >> (c & 63) & 1) != 0 : contains_slow(c); }
  const std::array<uint64_t, 2>& ascii() const { return ascii_; }

 private:
  bool contains_slow(char32_t c) const;

  std::vector<std::pair<char32_t, char32_t>> ranges_;
  std::vector<int> scripts_;
  std::vector<CharSet> nested_, intersect_;
  uint32_t categories_ = 0;
  uint32_t flags_ = 0;
  bool negated_ = false;
  std::array<uint64_t, 2> ascii_{};
};

}  // namespace sluice::text
