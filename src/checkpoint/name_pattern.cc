#include "checkpoint/name_pattern.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/strings.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint {
namespace {

constexpr size_t kPatternBytesMax = 4096;
constexpr size_t kStepsMax = 5000;
constexpr size_t kNameBytesMax = 4096;
constexpr int kDepthMax = 50;
constexpr int kRepeatMax = 1000;

using Bytes = std::bitset<256>;

Bytes bytes_where(bool (*holds)(unsigned char)) {
  Bytes set;
  for (unsigned byte = 0; byte < 256; ++byte) set[byte] = holds(static_cast<unsigned char>(byte));
  return set;
}
bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
bool is_word(unsigned char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}
bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_letter(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

// Turns the text into steps whose jumps are relative, so that parts can be joined and repeated as they are.
class NamePatternParser {
 public:
  explicit NamePatternParser(std::string_view text) : text_(text) {}

  Result<NamePattern> parse() {
    if (text_.size() > kPatternBytesMax) return wrong("it is too long");
    SLUICE_TRY(Program program, alternatives(0));
    if (at_ < text_.size()) return wrong("unbalanced )");
    program.push_back({});
    NamePattern out;
    out.program_ = std::move(program);
    return out;
  }

 private:
  using Program = NamePattern::Program;
  using Step = NamePattern::Step;
  using Kind = NamePattern::Kind;

  Error wrong(std::string_view what) const {
    return corrupt_data(cat("the pattern ", quote(text_), " cannot be read: ", what));
  }
  Error unknown(std::string_view what) const {
    return unimplemented(cat("the pattern ", quote(text_), " has ", what, ", which is not supported"));
  }
  bool more() const { return at_ < text_.size(); }
  bool take(std::string_view piece) {
    if (!text_.substr(at_).starts_with(piece)) return false;
    at_ += piece.size();
    return true;
  }
  static Step one(Kind kind) {
    Step step;
    step.kind = kind;
    return step;
  }
  static Step set_of(const Bytes& set) {
    Step step = one(Kind::kSet);
    step.set = set;
    return step;
  }
  static Step split(size_t next, size_t other) {
    Step step = one(Kind::kSplit);
    step.next = static_cast<int>(next);
    step.other = static_cast<int>(other);
    return step;
  }
  static Step jump(int next) {
    Step step = one(Kind::kJump);
    step.next = next;
    return step;
  }
  static void append(Program& to, const Program& from) { to.insert(to.end(), from.begin(), from.end()); }

  Result<Program> alternatives(int depth) {
    if (depth > kDepthMax) return wrong("its groups are nested too deeply");
    SLUICE_TRY(Program program, sequence(depth));
    while (take("|")) {
      SLUICE_TRY(const Program right, sequence(depth));
      Program joined = {split(1, program.size() + 2)};
      append(joined, program);
      joined.push_back(jump(static_cast<int>(right.size()) + 1));
      append(joined, right);
      program = std::move(joined);
    }
    return program;
  }

  Result<Program> sequence(int depth) {
    Program program;
    while (more() && text_[at_] != '|' && text_[at_] != ')') {
      SLUICE_TRY(const Program item, atom(depth));
      SLUICE_TRY(const Program repeated, quantified(item));
      append(program, repeated);
      if (program.size() > kStepsMax) return wrong("it is too large");
    }
    return program;
  }

  Result<Program> quantified(const Program& item) {
    int least = 1, most = 1;  // most < 0: any number
    if (take("*")) {
      least = 0, most = -1;
    } else if (take("+")) {
      most = -1;
    } else if (take("?")) {
      least = 0;
    } else {
      const std::optional<std::pair<int, int>> counts = braces();
      if (!counts) return item;
      std::tie(least, most) = *counts;
      if (least > kRepeatMax || most > kRepeatMax || (most >= 0 && most < least)) return wrong("a repeat count");
    }
    take("?");  // lazy or not: the same names match
    if (more() && (text_[at_] == '*' || text_[at_] == '+' || text_[at_] == '?')) return wrong("multiple repeat");
    Program out;
    const size_t copies = static_cast<size_t>(std::max({least, most, 1}));
    if (copies * (item.size() + 2) > kStepsMax) return wrong("it is too large");
    for (int i = 0; i < least; ++i) append(out, item);
    if (most < 0) {
      out.push_back(split(1, item.size() + 2));
      append(out, item);
      out.push_back(jump(-static_cast<int>(item.size()) - 1));
    }
    for (int i = least; i < most; ++i) {
      out.push_back(split(1, item.size() + 1));
      append(out, item);
    }
    return out;
  }

  // {m}, {m,}, {,n}, {m,n}; anything else in braces is text, as in Python.
  std::optional<std::pair<int, int>> braces() {
    const size_t end = text_.find('}', at_);
    if (!more() || text_[at_] != '{' || end == std::string_view::npos) return std::nullopt;
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    const size_t comma = inside.find(',');
    const auto number = [](std::string_view digits, int absent) -> std::optional<int> {
      if (digits.empty()) return absent;
      if (digits.size() > 4 || !std::ranges::all_of(digits, is_digit)) return std::nullopt;
      int value = 0;
      for (const char digit : digits) value = value * 10 + (digit - '0');
      return value;
    };
    if (inside.empty()) return std::nullopt;
    const auto least = number(inside.substr(0, comma), 0);
    const auto most = comma == std::string_view::npos ? least : number(inside.substr(comma + 1), -1);
    if (!least || !most) return std::nullopt;
    at_ = end + 1;
    return std::pair(*least, *most);
  }

  Result<Program> atom(int depth) {
    if (take("(")) return group(depth);
    if (take("[")) return one_of();
    if (take(".")) return Program{set_of(~Bytes().set('\n'))};
    if (take("^")) return Program{one(Kind::kBegin)};
    if (take("$")) return Program{one(Kind::kEnd)};
    if (take("\\")) {
      if (take("b")) return Program{one(Kind::kBorder)};
      if (take("B")) return Program{one(Kind::kNoBorder)};
      SLUICE_TRY(const Bytes set, escaped());
      return Program{set_of(set)};
    }
    const char c = text_[at_];
    if (c == '*' || c == '+' || c == '?') return wrong("nothing to repeat");
    ++at_;
    return Program{set_of(Bytes().set(static_cast<unsigned char>(c)))};
  }

  Result<Program> group(int depth) {
    std::optional<Kind> look;
    if (take("?=")) {
      look = Kind::kLook;
    } else if (take("?!")) {
      look = Kind::kNotLook;
    } else if (take("?P<")) {
      const size_t end = text_.find('>', at_);
      if (end == std::string_view::npos) return wrong("a group's name has no end");
      at_ = end + 1;
    } else if (!take("?:") && more() && text_[at_] == '?') {
      return unknown(quote(text_.substr(at_ - 1, 3)));
    }
    SLUICE_TRY(const Program inside, alternatives(depth + 1));
    if (!take(")")) return wrong("missing )");
    if (!look) return inside;
    Program out = {one(*look)};
    out[0].next = static_cast<int>(inside.size()) + 2;
    append(out, inside);
    out.push_back({});
    return out;
  }

  // After a backslash, in a set or outside of one.
  Result<Bytes> escaped() {
    if (!more()) return wrong("it ends with \\");
    const char c = text_[at_++];
    switch (c) {
      case 'd':
        return bytes_where(is_digit);
      case 'D':
        return ~bytes_where(is_digit);
      case 'w':
        return bytes_where(is_word);
      case 'W':
        return ~bytes_where(is_word);
      case 's':
        return bytes_where(is_space);
      case 'S':
        return ~bytes_where(is_space);
      case 'n':
        return Bytes().set('\n');
      case 't':
        return Bytes().set('\t');
      default:
        break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (is_letter(byte) || is_digit(byte)) return unknown(cat("\\", c));
    return Bytes().set(byte);
  }

  Result<Program> one_of() {
    const bool inverted = take("^");
    Bytes set;
    for (bool first = true; first || !take("]"); first = false) {
      if (!more()) return wrong("missing ]");
      SLUICE_TRY(const Bytes item, set_item());
      if (item.count() == 1 && text_.substr(at_).starts_with("-") && !text_.substr(at_).starts_with("-]")) {
        ++at_;
        if (!more()) return wrong("missing ]");
        SLUICE_TRY(const Bytes last, set_item());
        if (last.count() != 1 || last._Find_first() < item._Find_first()) return wrong("a range");
        for (size_t byte = item._Find_first(); byte <= last._Find_first(); ++byte) set.set(byte);
      } else {
        set |= item;
      }
    }
    return Program{set_of(inverted ? ~set : set)};
  }
  Result<Bytes> set_item() {
    if (take("\\")) return escaped();
    return Bytes().set(static_cast<unsigned char>(text_[at_++]));
  }

  std::string_view text_;
  size_t at_ = 0;
};

Result<NamePattern> NamePattern::compile(std::string_view pattern) { return NamePatternParser(pattern).parse(); }

// All ways at once, so that no pattern makes it slow; what a look-ahead finds at a place is found once.
class NameMatch {
 public:
  NameMatch(const NamePattern& pattern, std::string_view name) : program_(pattern.program_), name_(name) {}

  bool run(size_t first, size_t at) {
    std::vector<size_t> waiting = {first}, next;
    for (;; ++at) {
      std::vector<bool> reached(program_.size());
      next.clear();
      for (const size_t step : waiting) follow(step, at, reached, next);
      for (const size_t step : next) {
        if (program_[step].kind == Kind::kDone) return true;
      }
      if (next.empty() || at == name_.size()) return false;
      waiting.clear();
      for (const size_t step : next) {
        if (program_[step].set[static_cast<unsigned char>(name_[at])]) waiting.push_back(step + 1);
      }
    }
  }

 private:
  using Kind = NamePattern::Kind;

  // The steps that take a byte, or end, reached from `step` without taking one.
  void follow(size_t step, size_t at, std::vector<bool>& reached, std::vector<size_t>& waiting) {
    std::vector<size_t> open = {step};
    while (!open.empty()) {
      const size_t here = open.back();
      open.pop_back();
      if (reached[here]) continue;
      reached[here] = true;
      const NamePattern::Step& now = program_[here];
      if (now.kind == Kind::kSet || now.kind == Kind::kDone) {
        waiting.push_back(here);
      } else if (holds(here, at)) {
        open.push_back(here + static_cast<size_t>(now.next));
      }
      if (now.kind == Kind::kSplit) open.push_back(here + static_cast<size_t>(now.other));
    }
  }

  // Whether a step that takes no byte may be passed.
  bool holds(size_t step, size_t at) {
    const bool before = at > 0 && is_word(static_cast<unsigned char>(name_[at - 1]));
    const bool border = before != (at < name_.size() && is_word(static_cast<unsigned char>(name_[at])));
    switch (program_[step].kind) {
      case Kind::kLook:
        return look(step, at);
      case Kind::kNotLook:
        return !look(step, at);
      case Kind::kBegin:
        return at == 0;
      case Kind::kEnd:
        return at == name_.size() || name_.substr(at) == "\n";
      case Kind::kBorder:
        return border;
      case Kind::kNoBorder:
        return !border;
      default:
        return true;
    }
  }

  bool look(size_t step, size_t at) {
    const auto known = looks_.find({step, at});
    if (known != looks_.end()) return known->second;
    return looks_[{step, at}] = run(step + 1, at);
  }

  const NamePattern::Program& program_;
  const std::string_view name_;
  std::map<std::pair<size_t, size_t>, bool> looks_;
};

bool NamePattern::matches(std::string_view name) const {
  return name.size() <= kNameBytesMax && NameMatch(*this, name).run(0, 0);
}

}  // namespace sluice::checkpoint
