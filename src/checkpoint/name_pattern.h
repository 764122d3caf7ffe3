#pragma once
// Regular expressions over names of modules, as quantisation tools write them into configs
// ("re:.*self_attn.[qkv]_proj$"). The part of Python's re that such names need; no pattern makes matching slow.
// Immutable; any thread.

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::checkpoint {

class NamePattern {
 public:
  // Literals, ., sets, \d \w \s \b and their opposites, groups, (?:…), look-ahead, |, * + ? {m,n} (lazy or not), ^ and
  // $. kUnimplemented names anything else, kCorruptData what is no regular expression.
  static Result<NamePattern> compile(std::string_view pattern);

  // Python's re.match(pattern, name): from the beginning of the name, not necessarily to its end. Names beyond 4096
  // bytes match nothing.
  bool matches(std::string_view name) const;

 private:
  friend class NamePatternParser;
  friend class NameMatch;
  enum class Kind { kSet, kSplit, kJump, kLook, kNotLook, kBegin, kEnd, kBorder, kNoBorder, kDone };
  struct Step {
    Kind kind = Kind::kDone;
    int next = 1;   // relative to this step
    int other = 0;  // kSplit
    std::bitset<256> set;
  };
  using Program = std::vector<Step>;

  Program program_;
};

}  // namespace sluice::checkpoint
