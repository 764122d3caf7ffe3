#pragma once
// The parsed form of a pattern; between the parser and the compiler of tokenizer_regex.h.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer_regex.h"

namespace sluice::text {

struct RegexNode {
  enum class Kind : uint8_t { kEmpty, kSet, kConcat, kAlternatives, kRepeat, kLook, kAtomic, kAssert };
  Kind kind = Kind::kEmpty;
  CharSet set;                                                       // kSet
  char32_t single = 0;                                               // kSet: the one character it stands for, or 0
  std::vector<RegexNode> parts;                                      // the others
  uint32_t min = 0, max = 0;                                         // kRepeat
  RegexInstruction::Greed greed = RegexInstruction::Greed::kGreedy;  // kRepeat
  bool behind = false, negative = false;                             // kLook
  RegexInstruction::Op assertion = RegexInstruction::Op::kMatch;     // kAssert
};

Result<RegexNode> parse_regex(std::string_view pattern);

}  // namespace sluice::text
