#pragma once
// Counts one level of nesting for as long as it lives.

namespace sluice::text::jinja {

class Levels {
 public:
  explicit Levels(int& count) : count_(count) { ++count_; }
  ~Levels() { --count_; }
  Levels(const Levels&) = delete;
  Levels& operator=(const Levels&) = delete;

 private:
  int& count_;
};

}  // namespace sluice::text::jinja
