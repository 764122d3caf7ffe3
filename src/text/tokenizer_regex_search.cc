#include <cstring>

#include "text/tokenizer_regex.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

using Op = RegexInstruction::Op;
using Greed = RegexInstruction::Greed;

// What a Choice's `at` holds when the choice is the other branch of a split, or marks a split both of whose branches
// are being tried.
constexpr uint32_t kOtherBranch = 0xFFFFFFFF, kSplitMark = 0xFFFFFFFE;
constexpr uint64_t kMemoBitsMax = uint64_t{1} << 31;

}  // namespace

Regex::Search::Search(const Regex& regex, std::string_view text)
    : regex_(regex), text_(text), run_failures_(regex.program_.size()) {}

bool Regex::Search::next(size_t* begin, size_t* end) {
  const auto size = static_cast<uint32_t>(text_.size());
  for (uint32_t at = from_; at <= size;) {
    if (regex_.first_known_) {
      while (at < size && static_cast<unsigned char>(text_[at]) < 128 &&
             !regex_.first_.contains(static_cast<unsigned char>(text_[at]))) {
        ++at;
      }
      if (at == size) break;
    }
    const uint32_t stop = match(0, at, false);
    if (stop != kNoMatch && !(stop == at && last_end_ == at)) {
      *begin = at;
      *end = stop;
      from_ = stop;
      last_end_ = stop;
      return true;
    }
    if (at == size) break;
    at += static_cast<uint32_t>(utf8_length(text_[at]));
  }
  from_ = size + 1;
  return false;
}

bool Regex::Search::border(uint32_t at) const {
  const auto word_at = [&](const char* p) { return has_flag(next_code_point(p), kFlagWord); };
  const bool before = at > 0 && word_at(previous_start(text_.data() + at));
  const bool after = at < text_.size() && word_at(text_.data() + at);
  return before != after;
}

uint64_t Regex::Search::memo_bit(uint32_t pc, uint32_t at) const {
  return uint64_t{regex_.split_index_[pc]} * (text_.size() + 1) + at;
}
bool Regex::Search::memo(const std::vector<uint64_t>& bits, uint32_t pc, uint32_t at) const {
  if (bits.empty()) return false;
  const uint64_t bit = memo_bit(pc, at);
  return (bits[bit >> 6] >> (bit & 63) & 1) != 0;
}
void Regex::Search::remember_bit(std::vector<uint64_t>& bits, uint32_t pc, uint32_t at) {
  const uint64_t bit = memo_bit(pc, at);
  bits[bit >> 6] |= uint64_t{1} << (bit & 63);
}

// Begins a run at *at: leaves the first end to try in *at, or false when there is none.
bool Regex::Search::run(const RegexInstruction& instruction, uint32_t pc, uint32_t* at) {
  const CharSet& set = regex_.sets_[instruction.a];
  const uint32_t start = *at;
  if (instruction.max == kUnbounded && instruction.greed != Greed::kPossessive) {
    const RunFailure& failure = run_failures_[pc];
    if (start >= failure.start && start < failure.reach) return false;
  }
  const char* const begin = text_.data();
  const char* const end = begin + text_.size();
  const char* p = begin + start;
  const uint32_t stop_at = instruction.greed == Greed::kLazy ? instruction.min : instruction.max;
  uint32_t count = 0;
  uint32_t low = start;
  while (count < stop_at && p < end) {
    const char* q = p;
    if (!set.contains(next_code_point(q))) break;
    p = q;
    if (++count == instruction.min) low = static_cast<uint32_t>(p - begin);
  }
  steps_ += count;
  if (count < instruction.min) return false;
  *at = static_cast<uint32_t>(p - begin);
  if (instruction.greed == Greed::kLazy) {
    if (count < instruction.max) choices_.push_back({pc, start, count, *at});
  } else if (instruction.greed == Greed::kGreedy) {
    if (*at > low || (instruction.max == kUnbounded && *at > start)) choices_.push_back({pc, start, low, *at});
  }
  return true;
}

// Moves the run of `choice` (the topmost) to its next end; false when it has none left.
bool Regex::Search::run_again(Choice& choice, uint32_t* at) {
  const RegexInstruction& instruction = regex_.program_[choice.pc];
  if (instruction.greed == Greed::kLazy) {
    const char* p = text_.data() + choice.at;
    if (choice.at >= text_.size() || choice.low >= instruction.max) return false;
    if (!regex_.sets_[instruction.a].contains(next_code_point(p))) return false;
    choice.low += 1;
    choice.at = *at = static_cast<uint32_t>(p - text_.data());
    return true;
  }
  if (choice.at <= choice.low) return false;
  choice.at = *at = static_cast<uint32_t>(previous_start(text_.data() + choice.at) - text_.data());
  return true;
}

// Goes back to the last choice above `bottom` that has something left to try.
bool Regex::Search::backtrack(size_t bottom, uint32_t* pc, uint32_t* at) {
  while (choices_.size() > bottom) {
    ++steps_;
    Choice& choice = choices_.back();
    if (choice.at == kSplitMark) {
      remember_bit(failed_, choice.pc, choice.start);
      choices_.pop_back();
      continue;
    }
    if (choice.at == kOtherBranch) {
      *pc = regex_.program_[choice.pc].b;
      *at = choice.start;
      choices_.pop_back();
      return true;
    }
    const uint32_t reached = choice.at;
    if (run_again(choice, at)) {
      *pc = choice.pc + 1;
      return true;
    }
    const RegexInstruction& instruction = regex_.program_[choice.pc];
    if (instruction.greed == Greed::kGreedy && instruction.max == kUnbounded) {
      // All ends failed, so a run of the same instruction from inside this one would fail too. How far it reached is
      // found again by the failure that came last: ends only shrink, so the largest is where the set stops.
      RunFailure& failure = run_failures_[choice.pc];
      const char* p = text_.data() + reached;
      const char* const end = text_.data() + text_.size();
      if (choice.start >= failure.start && choice.start < failure.reach) {
        p = text_.data() + failure.reach;
      } else {
        while (p < end) {
          const char* q = p;
          if (!regex_.sets_[instruction.a].contains(next_code_point(q))) break;
          p = q;
          ++steps_;
        }
      }
      failure = {choice.start, static_cast<uint32_t>(p - text_.data())};
    }
    choices_.pop_back();
  }
  return false;
}

bool Regex::Search::look(const RegexInstruction& instruction, uint32_t pc, uint32_t at) {
  const bool behind = (instruction.b & RegexInstruction::kLookBehind) != 0;
  uint32_t start = at;
  for (uint32_t i = 0; behind && i < instruction.min; ++i) {
    if (start == 0) return (instruction.b & RegexInstruction::kLookNegative) != 0;
    start = static_cast<uint32_t>(previous_start(text_.data() + start) - text_.data());
  }
  const bool found = match(pc + 1, start, !behind) != kNoMatch;
  return found != ((instruction.b & RegexInstruction::kLookNegative) != 0);
}

// Ends a look-ahead that matched: where it ends does not matter, so every split still under way is known to succeed.
uint32_t Regex::Search::succeed(size_t bottom, uint32_t at) {
  for (size_t i = bottom; i < choices_.size() && !succeeded_.empty(); ++i) {
    if (choices_[i].at == kSplitMark) remember_bit(succeeded_, choices_[i].pc, choices_[i].start);
  }
  choices_.resize(bottom);
  return at;
}

// Runs the (sub-)program at `pc` from `at`; the end of the match, or kNoMatch. Leaves no choices behind.
// `ahead`: the end does not matter. Sub-programs nest only as deep as the pattern does.
uint32_t Regex::Search::match(uint32_t pc, uint32_t at, bool ahead) {
  const size_t bottom = choices_.size();
  const auto size = static_cast<uint32_t>(text_.size());
  for (;;) {
    ++steps_;
    const RegexInstruction& in = regex_.program_[pc];
    bool ok = true;
    switch (in.op) {
      case Op::kSet: {
        const char* p = text_.data() + at;
        ok = at < size && regex_.sets_[in.a].contains(next_code_point(p));
        if (ok) at = static_cast<uint32_t>(p - text_.data());
        break;
      }
      case Op::kLiteral: {
        const std::string& literal = regex_.literals_[in.a];
        ok = size - at >= literal.size() && std::memcmp(text_.data() + at, literal.data(), literal.size()) == 0;
        if (ok) at += static_cast<uint32_t>(literal.size());
        break;
      }
      case Op::kRun:
        ok = run(in, pc, &at);
        break;
      case Op::kSplit:
        if (failed_.empty() && steps_ > uint64_t{64} * size + 65536 && uint64_t{regex_.splits_} * size < kMemoBitsMax) {
          failed_.assign((uint64_t{regex_.splits_} * (text_.size() + 1) >> 6) + 1, 0);
          succeeded_ = failed_;
        }
        if (memo(failed_, pc, at)) {
          ok = false;
          break;
        }
        if (ahead && memo(succeeded_, pc, at)) return succeed(bottom, at);
        if (!failed_.empty()) choices_.push_back({pc, at, 0, kSplitMark});
        choices_.push_back({pc, at, 0, kOtherBranch});
        pc = in.a;
        continue;
      case Op::kJump:
        pc = in.a;
        continue;
      case Op::kLook:
        ok = look(in, pc, at);
        if (ok) {
          pc = in.a;
          continue;
        }
        break;
      case Op::kAtomic: {
        const uint32_t stop = match(pc + 1, at, false);
        ok = stop != kNoMatch;
        if (ok) {
          at = stop;
          pc = in.a;
          continue;
        }
        break;
      }
      case Op::kLineStart:
        ok = at == 0 || text_[at - 1] == '\n';
        break;
      case Op::kLineEnd:
        ok = at == size || text_[at] == '\n';
        break;
      case Op::kTextStart:
        ok = at == 0;
        break;
      case Op::kTextEnd:
        ok = at == size;
        break;
      case Op::kTextEndNewline:
        ok = at == size || (at + 1 == size && text_[at] == '\n');
        break;
      case Op::kWordBorder:
        ok = border(at);
        break;
      case Op::kNotWordBorder:
        ok = !border(at);
        break;
      case Op::kMatch:
        if (ahead) return succeed(bottom, at);
        choices_.resize(bottom);
        return at;
    }
    if (ok) {
      ++pc;
      continue;
    }
    if (!backtrack(bottom, &pc, &at)) return kNoMatch;
  }
}

}  // namespace sluice::text
