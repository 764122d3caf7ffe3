#pragma once
// What one render may still spend. Every loop over template values goes through here, so that no template, however
// hostile, takes more time, memory or stack than TemplateLimits allows. Owned by one render, used from its thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/chat_template.h"

namespace sluice::text::jinja {

class Budget {
 public:
  explicit Budget(const TemplateLimits& limits);

  // Time: `count` evaluated nodes or visited items.
  Result<void> step(int64_t count = 1) {
    if (count > steps_left_) return steps_error();
    steps_left_ -= count;
    return {};
  }
  // Time for looking through `bytes` of text.
  Result<void> scan(size_t bytes) { return step(1 + static_cast<int64_t>(bytes / kBytesPerStep)); }
  // Memory: a string of `bytes` is about to be made. Refuses before anything is allocated.
  Result<void> make_text(size_t bytes);
  // Memory: `count` values are about to be made.
  Result<void> make_values(size_t count);

  // How many values there is still memory for.
  size_t values_max() const { return bytes_left_ / kBytesPerValue; }
  // One level of filters calling filters; held while the inner one runs.
  class Level {
   public:
    explicit Level(Budget& budget) : budget_(budget) { ++budget_.levels_; }
    ~Level() { --budget_.levels_; }
    Level(const Level&) = delete;
    Result<void> check() const;

   private:
    Budget& budget_;
  };

  size_t text_bytes_max() const { return text_bytes_max_; }
  int depth_max() const { return depth_max_; }

 private:
  static constexpr size_t kBytesPerStep = 64;
  static constexpr size_t kBytesPerValue = 48;

  Error steps_error() const;

  int64_t steps_max_;
  int64_t steps_left_;
  size_t text_bytes_max_;
  size_t bytes_left_;  // of all strings and lists made by this render, freed ones included
  int depth_max_;
  int levels_ = 0;
};

// A string under construction that stops growing at the budget's limit instead of exhausting memory.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(budget) {}
  void append(std::string_view text) {
    if (text.size() > budget_.text_bytes_max() - text_.size()) full_ = true;
    if (!full_) text_.append(text);
  }
  void append(size_t count, char c) {
    if (count > budget_.text_bytes_max() - text_.size()) full_ = true;
    if (!full_) text_.append(count, c);
  }
  void repeat(size_t count, std::string_view text);
  bool full() const { return full_; }
  size_t size() const { return text_.size(); }
  // The text, or kTooLarge if it met the limit.
  Result<std::string> take();

 private:
  Budget& budget_;
  std::string text_;
  bool full_ = false;
};

}  // namespace sluice::text::jinja
