#include "text/tokenizer_regex_parse.h"

#include <map>
#include <utility>

#include "base/strings.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

using Greed = RegexInstruction::Greed;
using Op = RegexInstruction::Op;

constexpr int kDepthMax = 60;
constexpr uint32_t kRepeatMax = 1000;
constexpr size_t kPatternMax = 64 * 1024;

// Category names as \p{…} takes them, without spaces, '_' and '-', in lower case.
uint32_t category_by_name(const std::string& name) {
  static const auto* const kNames = [] {
    auto* names = new std::map<std::string, uint32_t>{{"l", kLetterMask},
                                                      {"letter", kLetterMask},
                                                      {"m", kMarkMask},
                                                      {"mark", kMarkMask},
                                                      {"combiningmark", kMarkMask},
                                                      {"n", kNumberMask},
                                                      {"number", kNumberMask},
                                                      {"p", kPunctuationMask},
                                                      {"punctuation", kPunctuationMask},
                                                      {"s", kSymbolMask},
                                                      {"symbol", kSymbolMask},
                                                      {"z", kSeparatorMask},
                                                      {"separator", kSeparatorMask},
                                                      {"c", kOtherMask},
                                                      {"other", kOtherMask}};
    const char* const kShort[] = {"cn", "cc", "cf", "co", "cs", "lu", "ll", "lt", "lm", "lo",
                                  "mn", "mc", "me", "nd", "nl", "no", "pc", "pd", "ps", "pe",
                                  "pi", "pf", "po", "sm", "sc", "sk", "so", "zs", "zl", "zp"};
    const char* const kLong[] = {"unassigned",
                                 "control",
                                 "format",
                                 "privateuse",
                                 "surrogate",
                                 "uppercaseletter",
                                 "lowercaseletter",
                                 "titlecaseletter",
                                 "modifierletter",
                                 "otherletter",
                                 "nonspacingmark",
                                 "spacingmark",
                                 "enclosingmark",
                                 "decimalnumber",
                                 "letternumber",
                                 "othernumber",
                                 "connectorpunctuation",
                                 "dashpunctuation",
                                 "openpunctuation",
                                 "closepunctuation",
                                 "initialpunctuation",
                                 "finalpunctuation",
                                 "otherpunctuation",
                                 "mathsymbol",
                                 "currencysymbol",
                                 "modifiersymbol",
                                 "othersymbol",
                                 "spaceseparator",
                                 "lineseparator",
                                 "paragraphseparator"};
    for (int i = 0; i < kCategoryCount; ++i) {
      (*names)[kShort[i]] = uint32_t{1} << i;
      (*names)[kLong[i]] = uint32_t{1} << i;
    }
    (*names)["lc"] = category_bit(Category::kLu) | category_bit(Category::kLl) | category_bit(Category::kLt);
    return names;
  }();
  const auto at = kNames->find(name);
  return at == kNames->end() ? 0 : at->second;
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) : text_(pattern) {}

  Result<RegexNode> parse() {
    if (text_.size() > kPatternMax) return fail("the pattern is longer than 64 KiB");
    if (!utf8_valid(text_)) return fail("the pattern is not UTF-8");
    SLUICE_TRY(RegexNode node, alternatives());
    if (at_ < text_.size()) return fail("an unmatched ')'");
    return node;
  }

 private:
  Error fail(std::string_view what) const {
    return corrupt_data(cat("regular expression, at byte ", at_, ": ", what, ", in: ", text_.substr(0, 400)));
  }
  Error beyond(std::string_view what) const {
    return unimplemented(
        cat("regular expression, at byte ", at_, ": ", what, " is not supported, in: ", text_.substr(0, 400)));
  }
  bool done() const { return at_ >= text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view what) {
    if (text_.substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }
  char32_t character() {
    const char* p = text_.data() + at_;
    const char32_t c = next_code_point(p);
    at_ = static_cast<size_t>(p - text_.data());
    return c;
  }

  Result<RegexNode> alternatives() {
    if (++depth_ > kDepthMax) return fail("groups are nested too deeply");
    const bool ignore_case = ignore_case_;
    const bool dot_all = dot_all_;
    RegexNode all;
    all.kind = RegexNode::Kind::kAlternatives;
    do {
      SLUICE_TRY(RegexNode part, sequence());
      all.parts.push_back(std::move(part));
    } while (take("|"));
    ignore_case_ = ignore_case;
    dot_all_ = dot_all;
    --depth_;
    if (all.parts.size() == 1) {
      RegexNode only = std::move(all.parts[0]);
      return only;
    }
    return all;
  }

  Result<RegexNode> sequence() {
    RegexNode all;
    all.kind = RegexNode::Kind::kConcat;
    while (!done() && peek() != '|' && peek() != ')') {
      SLUICE_TRY(RegexNode part, atom());
      SLUICE_TRY(part, quantified(std::move(part)));
      all.parts.push_back(std::move(part));
    }
    return all;
  }

  Result<RegexNode> quantified(RegexNode part) {
    for (int repeats = 0; !done(); ++repeats) {
      if (repeats > 8) return fail("a repeat of a repeat, too often");
      RegexNode repeat;
      repeat.kind = RegexNode::Kind::kRepeat;
      bool interval = false;
      if (take("*")) {
        repeat.max = Regex::kUnbounded;
      } else if (take("+")) {
        repeat.min = 1;
        repeat.max = Regex::kUnbounded;
      } else if (take("?")) {
        repeat.max = 1;
      } else if (peek() == '{') {
        const size_t before = at_;
        SLUICE_TRY(const bool is_interval, counts(repeat));
        if (!is_interval) {
          at_ = before;
          return part;
        }
        interval = true;
      } else {
        return part;
      }
      if (part.kind == RegexNode::Kind::kAssert || part.kind == RegexNode::Kind::kLook) {
        return beyond("a quantifier behind an assertion");
      }
      if (take("?")) {
        repeat.greed = Greed::kLazy;
      } else if (!interval && take("+")) {  // in this dialect {m,n}+ is a repeat of a repeat
        repeat.greed = Greed::kPossessive;
      }
      repeat.parts.push_back(std::move(part));
      part = std::move(repeat);
    }
    return part;
  }

  // {m}, {m,}, {m,n}, {,n}; false when the braces are none of these and stand for themselves.
  Result<bool> counts(RegexNode& repeat) {
    ++at_;
    const auto number = [&](uint32_t* value) {
      const size_t begin = at_;
      *value = 0;
      while (peek() >= '0' && peek() <= '9' && at_ - begin < 7)
        *value = *value * 10 + static_cast<uint32_t>(text_[at_++] - '0');
      return at_ > begin;
    };
    const bool has_min = number(&repeat.min);
    if (take(",")) {
      if (!number(&repeat.max)) {
        if (!has_min) return false;
        repeat.max = Regex::kUnbounded;
      }
    } else {
      if (!has_min) return false;
      repeat.max = repeat.min;
    }
    if (!take("}")) return false;
    if (repeat.min > kRepeatMax || (repeat.max != Regex::kUnbounded && repeat.max > kRepeatMax)) {
      return fail("a count above 1000");
    }
    if (repeat.max < repeat.min) return fail("a count whose maximum is below its minimum");
    return true;
  }

  Result<RegexNode> atom() {
    const char c = peek();
    if (c == '(') return group();
    if (c == '[') {
      SLUICE_TRY(CharSet set, bracket());
      return of_set(std::move(set));
    }
    if (c == '\\') return escape();
    if (c == '*' || c == '+' || c == '?') return fail("a quantifier with nothing to repeat");
    if (take("^")) return assertion(Op::kLineStart);
    if (take("$")) return assertion(Op::kLineEnd);
    if (take(".")) {
      CharSet set;
      if (!dot_all_) set.add('\n', '\n');
      set.negate();
      return of_set(std::move(set));
    }
    return of_character(character());
  }

  static RegexNode assertion(Op op) {
    RegexNode node;
    node.kind = RegexNode::Kind::kAssert;
    node.assertion = op;
    return node;
  }
  static RegexNode of_set(CharSet set) {
    RegexNode node;
    node.kind = RegexNode::Kind::kSet;
    set.finish();
    node.set = std::move(set);
    return node;
  }
  RegexNode of_character(char32_t c) const {
    CharSet set;
    set.add(c, c);
    const bool folds = ignore_case_ && !case_variants(c).empty();
    if (folds) set.fold_case();
    RegexNode node = of_set(std::move(set));
    if (!folds) node.single = c;
    return node;
  }

  Result<RegexNode> group() {
    ++at_;
    RegexNode node;
    if (take("?")) {
      if (take("#")) {
        while (!done() && peek() != ')') ++at_;
        if (!take(")")) return fail("a comment without its ')'");
        return node;
      }
      if (take("=") || take("!") || take("<=") || take("<!")) {
        node.kind = RegexNode::Kind::kLook;
        node.negative = text_[at_ - 1] == '!';
        node.behind = text_[at_ - 2] == '<';
      } else if (take(">")) {
        node.kind = RegexNode::Kind::kAtomic;
      } else if (take("<") || take("P<") || take("'")) {
        const char close = text_[at_ - 1] == '<' ? '>' : '\'';
        while (!done() && peek() != close) ++at_;
        if (!take(std::string_view(&close, 1))) return fail("a group name without its end");
      } else if (!take(":")) {
        return options();
      }
    }
    SLUICE_TRY(RegexNode inside, alternatives());
    if (!take(")")) return fail("a '(' without its ')'");
    if (node.kind == RegexNode::Kind::kEmpty) return inside;
    node.parts.push_back(std::move(inside));
    return node;
  }

  // (?i:…), (?i), (?-i:…); at_ is behind "(?".
  Result<RegexNode> options() {
    const bool ignore_case = ignore_case_;
    const bool dot_all = dot_all_;
    bool on = true;
    while (peek() != ':' && peek() != ')') {
      if (take("-")) {
        on = false;
      } else if (take("i")) {
        ignore_case_ = on;
      } else if (take("m") || take("s")) {
        dot_all_ = on;
      } else {
        return beyond(cat("the group (?", peek(), "…"));
      }
    }
    if (take(")")) {  // holds to the end of the enclosing group
      return alternatives_until_close();
    }
    ++at_;
    SLUICE_TRY(RegexNode inside, alternatives());
    if (!take(")")) return fail("a '(' without its ')'");
    ignore_case_ = ignore_case;
    dot_all_ = dot_all;
    return inside;
  }

  // Oniguruma reads a(?i)b|c as a(?i:b|c).
  Result<RegexNode> alternatives_until_close() { return alternatives(); }

  Result<RegexNode> escape() {
    const size_t begin = at_;
    ++at_;
    if (done()) return fail("a '\\' at the end");
    switch (peek()) {
      case 'A':
        ++at_;
        return assertion(Op::kTextStart);
      case 'z':
        ++at_;
        return assertion(Op::kTextEnd);
      case 'Z':
        ++at_;
        return assertion(Op::kTextEndNewline);
      case 'b':
        ++at_;
        return assertion(Op::kWordBorder);
      case 'B':
        ++at_;
        return assertion(Op::kNotWordBorder);
      default:
        break;
    }
    at_ = begin;
    CharSet set;
    SLUICE_TRY(const char32_t c, class_escape(set, false));
    if (c != kIsSet) return of_character(c);
    return of_set(std::move(set));
  }

  static constexpr char32_t kIsSet = 0xFFFFFFFF;

  // Oniguruma's \w holds ² ³ ¹ ¼ ½ ¾ by itself, but not inside a class.
  static CharSet not_latin1_number() {
    CharSet set;
    for (char32_t c : {0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE}) set.add(c, c);
    set.negate();
    set.finish();
    return set;
  }

  // An escape that stands for a character (returned) or a class (added to `set`, kIsSet returned). at_ is on the '\'.
  Result<char32_t> class_escape(CharSet& set, bool in_class) {
    ++at_;
    if (done()) return fail("a '\\' at the end");
    const char c = peek();
    if (c >= '1' && c <= '9') return beyond("a back-reference");
    const char32_t full = character();
    CharSet part;
    switch (c) {
      case 't':
        return U'\t';
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 'f':
        return U'\f';
      case 'v':
        return U'\v';
      case 'a':
        return U'\a';
      case 'e':
        return U'\x1B';
      case '0':
        return U'\0';
      case 'x':
        return hex(peek() == '{' ? 0 : 2);
      case 'u':
        return hex(4);
      case 's':
      case 'S':
        part.add_flags(kFlagSpace);
        break;
      case 'd':
      case 'D':
        part.add_categories(category_bit(Category::kNd));
        break;
      case 'w':
      case 'W':
        part.add_flags(kFlagWord);
        if (in_class) part.intersect(not_latin1_number());
        break;
      case 'h':
      case 'H':
        part.add('0', '9');
        part.add('a', 'f');
        part.add('A', 'F');
        break;
      case 'p':
      case 'P': {
        SLUICE_RETURN_IF_ERROR(property(part));
        break;
      }
      default:
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return beyond(cat("the escape \\", c));
        return full;
    }
    if (c >= 'A' && c <= 'Z') part.negate();
    part.finish();
    set.add_nested(std::move(part));
    return kIsSet;
  }

  Result<char32_t> hex(int digits) {
    const bool braces = digits == 0 && take("{");
    uint32_t value = 0;
    int taken = 0;
    for (; braces ? taken < 8 : taken < digits; ++taken) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) break;
      value = value << 4 | static_cast<uint32_t>(digit);
      ++at_;
    }
    if (taken == 0 || (braces && !take("}")) || value >= 0x110000) return fail("a wrong hexadecimal escape");
    return static_cast<char32_t>(value);
  }

  // {Name} or {^Name} behind \p; also a single letter.
  Result<void> property(CharSet& set) {
    std::string name;
    bool negated = false;
    if (take("{")) {
      negated = take("^");
      while (!done() && peek() != '}') {
        const char c = text_[at_++];
        if (c != ' ' && c != '_' && c != '-') name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      }
      if (!take("}")) return fail("a '\\p{' without its '}'");
    } else if (!done()) {
      name = to_lower_ascii(std::string_view(&text_[at_++], 1));
    }
    for (std::string_view prefix : {"script=", "sc=", "generalcategory=", "gc="}) {
      if (name.starts_with(prefix)) name = name.substr(prefix.size());
    }
    if (const uint32_t mask = category_by_name(name)) {
      set.add_categories(mask);
    } else if (name == "alphabetic" || name == "alpha") {
      set.add_flags(kFlagAlphabetic);
    } else if (name == "whitespace" || name == "space") {
      set.add_flags(kFlagSpace);
    } else if (name == "digit") {
      set.add_categories(category_bit(Category::kNd));
    } else if (name == "word") {
      set.add_flags(kFlagWord);
    } else if (name == "alnum") {
      set.add_flags(kFlagAlphabetic);
      set.add_categories(category_bit(Category::kNd));
    } else if (name == "any") {
      set.add(0, 0x10FFFF);
    } else if (const int script = find_script(name); script >= 0) {
      set.add_script(script);
    } else {
      return beyond(cat("the property \\p{", name, "}"));
    }
    if (negated) {
      CharSet inside = std::move(set);
      inside.negate();
      inside.finish();
      set = CharSet();
      set.add_nested(std::move(inside));
    }
    return {};
  }

  Result<void> posix(CharSet& set) {
    const bool negated = take("^");
    const size_t end = text_.find(":]", at_);
    if (end == std::string_view::npos) return fail("a '[:' without its ':]'");
    const std::string name(text_.substr(at_, end - at_));
    CharSet part;
    if (name == "alpha") {
      part.add_flags(kFlagAlphabetic);
    } else if (name == "digit") {
      part.add_categories(category_bit(Category::kNd));
    } else if (name == "alnum") {
      part.add_flags(kFlagAlphabetic);
      part.add_categories(category_bit(Category::kNd));
    } else if (name == "space") {
      part.add_flags(kFlagSpace);
    } else if (name == "word") {
      part.add_flags(kFlagWord);
    } else if (name == "cntrl") {
      part.add_categories(category_bit(Category::kCc));
    } else if (name == "xdigit") {
      part.add('0', '9');
      part.add('a', 'f');
      part.add('A', 'F');
    } else if (name == "blank") {
      part.add_categories(category_bit(Category::kZs));
      part.add('\t', '\t');
    } else if (name == "ascii") {
      part.add(0, 0x7F);
    } else if (name == "punct") {
      part.add_categories(kPunctuationMask | kSymbolMask);
    } else {
      return beyond(cat("the class [:", name, ":]"));
    }
    if (negated) part.negate();
    part.finish();
    set.add_nested(std::move(part));
    at_ = end + 2;
    return {};
  }

  Result<CharSet> bracket() {
    if (++depth_ > kDepthMax) return fail("classes are nested too deeply");
    const size_t begin = at_;
    ++at_;
    const bool negated = take("^");
    CharSet set;
    std::vector<CharSet> operands;
    bool first = true;
    for (;; first = false) {
      if (done()) {
        at_ = begin;
        return fail("a '[' without its ']'");
      }
      if (peek() == ']' && !first) break;
      if (take("&&")) {
        if (ignore_case_) set.fold_case();
        set.finish();
        operands.push_back(std::move(set));
        set = CharSet();
      } else if (take("[:")) {
        SLUICE_RETURN_IF_ERROR(posix(set));
      } else if (peek() == '[') {
        SLUICE_TRY(CharSet inner, bracket());
        inner.finish();
        set.add_nested(std::move(inner));
      } else {
        SLUICE_RETURN_IF_ERROR(range(set));
      }
    }
    ++at_;
    --depth_;
    if (ignore_case_) set.fold_case();
    for (CharSet& operand : operands) set.intersect(std::move(operand));
    if (negated) set.negate();
    return set;
  }

  // One character, escape or range a-z inside a class.
  Result<void> range(CharSet& set) {
    char32_t first = 0;
    if (peek() == '\\') {
      if (peek(1) == 'b') return beyond("\\b in a class");
      SLUICE_TRY(first, class_escape(set, true));
    } else {
      first = character();
    }
    if (first == kIsSet) return {};
    char32_t last = first;
    if (peek() == '-' && peek(1) != ']' && peek(1) != '\0') {
      const size_t before = at_;
      ++at_;
      if (peek() == '[') {
        at_ = before;
      } else if (peek() == '\\') {
        CharSet unused;
        SLUICE_TRY(last, class_escape(unused, true));
        if (last == kIsSet) {  // [a-\d]: the hyphen is itself; the escape is read again
          at_ = before;
          last = first;
        }
      } else {
        last = character();
      }
      if (last < first) return fail("a range whose end is before its start");
    }
    set.add(first, last);
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool ignore_case_ = false;
  bool dot_all_ = false;
};

}  // namespace

Result<RegexNode> parse_regex(std::string_view pattern) { return Parser(pattern).parse(); }

}  // namespace sluice::text
