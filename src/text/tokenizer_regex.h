#pragma once
// Regex: the dialect that tokenizer files use (Oniguruma's, as Hugging Face tokenizers compile it), on valid UTF-8.
//
// Known: alternation, groups (?:…) (…) (?i:…) (?>…), classes with ranges, \p{…} (categories, scripts, Alphabetic …),
// POSIX brackets and && , \s \S \d \D \w \W \h \H, . ^ $ \A \z \Z \b \B, quantifiers * + ? {m,n} greedy, lazy and
// possessive, (?=…) (?!…), and (?<=…) (?<!…) of fixed length. Anything else (back-references, \K, \X …) is an Error
// that names it: a pattern is never half understood.
//
// Matching is leftmost with backtracking order. Failures are remembered across the matches of one text, so that the
// time stays linear in the text (times the pattern's size) also for texts made to force backtracking.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/tokenizer_charset.h"

namespace sluice::text {

struct RegexInstruction {
  enum class Op : uint8_t {
    kSet,      // one character of sets[a]
    kLiteral,  // the bytes literals[a]
    kRun,      // min to max characters of sets[a]
    kSplit,    // try a, then b
    kJump,     // go on at a
    kLook,     // the part from here + 1 must match ahead (a: instruction after the part; b: its flags; min: step back)
    kAtomic,   // the part from here + 1, without going back into it (a: instruction after the part)
    kLineStart,
    kLineEnd,
    kTextStart,
    kTextEnd,
    kTextEndNewline,
    kWordBorder,
    kNotWordBorder,
    kMatch,  // end of the pattern or part
  };
  static constexpr uint32_t kLookBehind = 1, kLookNegative = 2;  // flags
  enum class Greed : uint8_t { kGreedy, kLazy, kPossessive };
  Op op = Op::kMatch;
  Greed greed = Greed::kGreedy;
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t min = 0;
  uint32_t max = 0;
};

class Regex {
 public:
  static constexpr uint32_t kUnbounded = 0xFFFFFFFF;

  // kCorruptData for a pattern that breaks the grammar, kUnimplemented for one beyond it.
  static Result<Regex> compile(std::string_view pattern);
  // A pattern that matches exactly these bytes.
  static Regex literal(std::string_view text);

  // The text that is all the pattern matches, if it was made by literal() and is not empty.
  std::optional<std::string_view> literal_text() const {
    if (program_.size() != 2 || program_[0].op != RegexInstruction::Op::kLiteral || literals_[0].empty())
      return std::nullopt;
    return literals_[0];
  }

  // One pass over one text; finds matches from left to right. The text must outlive it and be shorter than 4 GiB.
  class Search {
   public:
    Search(const Regex& regex, std::string_view text);
    // The next match: true and its bytes [begin, end). As Oniguruma's find_iter: an empty match right behind the last
    // match is passed over.
    bool next(size_t* begin, size_t* end);

   private:
    struct Choice {
      uint32_t pc;     // of the instruction that chose
      uint32_t start;  // where the run began, or where the other branch goes on
      uint32_t low;    // run: smallest end allowed
      uint32_t at;     // run: the next end to try
    };
    struct RunFailure {
      uint32_t start = 0, reach = 0;
    };
    static constexpr uint32_t kNoMatch = 0xFFFFFFFF;

    uint32_t match(uint32_t pc, uint32_t at, bool ahead);
    uint32_t succeed(size_t bottom, uint32_t at);
    bool backtrack(size_t bottom, uint32_t* pc, uint32_t* at);
    bool run(const RegexInstruction& instruction, uint32_t pc, uint32_t* at);
    bool run_again(Choice& choice, uint32_t* at);
    bool look(const RegexInstruction& instruction, uint32_t pc, uint32_t at);
    bool border(uint32_t at) const;
    uint64_t memo_bit(uint32_t pc, uint32_t at) const;
    bool memo(const std::vector<uint64_t>& bits, uint32_t pc, uint32_t at) const;
    void remember_bit(std::vector<uint64_t>& bits, uint32_t pc, uint32_t at);

    const Regex& regex_;
    std::string_view text_;
    uint32_t from_ = 0;
    uint32_t last_end_ = kNoMatch;
    uint64_t steps_ = 0;
    std::vector<Choice> choices_;
    std::vector<RunFailure> run_failures_;      // [instruction]
    std::vector<uint64_t> failed_, succeeded_;  // bit per (split, position); empty until many steps were taken
  };

 private:
  friend class RegexCompiler;

  std::vector<RegexInstruction> program_;
  std::vector<CharSet> sets_;
  std::vector<std::string> literals_;
  std::vector<uint32_t> split_index_;  // [instruction] its number among the splits
  uint32_t splits_ = 0;
  bool first_known_ = false;  // first_ is a filter: a match begins with one of these ASCII characters or beyond ASCII
  CharSet first_;
};

}  // namespace sluice::text
