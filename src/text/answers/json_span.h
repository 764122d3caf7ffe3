#pragma once
// JsonSpan: finds where a JSON value ends in a text that arrives in pieces. It checks brackets, strings and the letters
// that may stand outside of them, not the whole grammar: enough to tell arguments from what follows.

#include <string>
#include <string_view>

namespace sluice::text::answers {

class JsonSpan {
 public:
  // `open`: the closing brackets still due when reading begins inside objects, innermost last ("}" or "}}").
  explicit JsonSpan(std::string open = {}) : due_(std::move(open)) {}

  // Reads up to the value's end and returns the number of bytes read. Appends them to `copy`, control characters inside
  // strings escaped. After done() or broken() nothing more is read.
  size_t read(std::string_view text, std::string& copy);

  bool done() const { return state_ == State::kDone; }
  // The next byte cannot stand here; it has not been read.
  bool broken() const { return state_ == State::kBroken; }
  bool in_string() const { return state_ == State::kString || state_ == State::kEscape; }

 private:
  enum class State { kPlain, kString, kEscape, kDone, kBroken };
  void read_plain(char byte);

  State state_ = State::kPlain;
  std::string due_;  // closing brackets, innermost last
};

}  // namespace sluice::text::answers
