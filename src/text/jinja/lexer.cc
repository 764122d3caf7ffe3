#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja/characters.h"

namespace sluice::text::jinja {
namespace {

struct Operator {
  std::string_view text;
  TokenType type;
};
// Longest first, so that "**" is not read as two "*".
constexpr std::array kOperators = {
    Operator{"//", TokenType::kFloorDiv},     Operator{"**", TokenType::kPow},
    Operator{"==", TokenType::kEqual},        Operator{"!=", TokenType::kNotEqual},
    Operator{">=", TokenType::kGreaterEqual}, Operator{"<=", TokenType::kLessEqual},
    Operator{"+", TokenType::kAdd},           Operator{"-", TokenType::kSub},
    Operator{"/", TokenType::kDiv},           Operator{"*", TokenType::kMul},
    Operator{"%", TokenType::kMod},           Operator{"~", TokenType::kTilde},
    Operator{"[", TokenType::kLeftBracket},   Operator{"]", TokenType::kRightBracket},
    Operator{"(", TokenType::kLeftParen},     Operator{")", TokenType::kRightParen},
    Operator{"{", TokenType::kLeftBrace},     Operator{"}", TokenType::kRightBrace},
    Operator{">", TokenType::kGreater},       Operator{"<", TokenType::kLess},
    Operator{"=", TokenType::kAssign},        Operator{".", TokenType::kDot},
    Operator{":", TokenType::kColon},         Operator{"|", TokenType::kPipe},
    Operator{",", TokenType::kComma},         Operator{";", TokenType::kSemicolon},
};

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

// Length of digits with single underscores between them at `text`'s start: (\d+_)*\d+
template <class IsDigit>
size_t digit_run(std::string_view text, IsDigit is) {
  size_t length = 0;
  while (length < text.size()) {
    if (is(text[length])) {
      ++length;
    } else if (text[length] == '_' && length > 0 && length + 1 < text.size() && is(text[length + 1])) {
      length += 2;
    } else {
      break;
    }
  }
  return length;
}

size_t exponent_length(std::string_view text) {
  if (text.empty() || (text[0] != 'e' && text[0] != 'E')) return 0;
  const size_t sign = text.size() > 1 && (text[1] == '+' || text[1] == '-') ? 2 : 1;
  const size_t digits = digit_run(text.substr(sign), is_ascii_digit);
  return digits > 0 ? sign + digits : 0;
}

size_t float_length(std::string_view text) {
  const size_t whole = digit_run(text, is_ascii_digit);
  if (whole == 0) return 0;
  size_t fraction = 0;
  if (whole < text.size() && text[whole] == '.') {
    const size_t digits = digit_run(text.substr(whole + 1), is_ascii_digit);
    if (digits > 0) fraction = digits + 1;
  }
  const size_t exponent = exponent_length(text.substr(whole + fraction));
  return fraction + exponent > 0 ? whole + fraction + exponent : 0;
}

size_t prefixed_integer_length(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 0;
  const char base = static_cast<char>(text[1] | 0x20);
  const std::string_view digits = base == 'b' ? "01" : base == 'o' ? "01234567" : "0123456789abcdefABCDEF";
  if (base != 'b' && base != 'o' && base != 'x') return 0;
  const auto is = [&](char c) { return digits.find(c) != std::string_view::npos; };
  const size_t lead = text[2] == '_' ? 3 : 2;
  const size_t run = digit_run(text.substr(lead), is);
  return run > 0 ? lead + run : 0;
}

size_t integer_length(std::string_view text) {
  if (const size_t prefixed = prefixed_integer_length(text)) return prefixed;
  if (text.empty() || !is_ascii_digit(text[0])) return 0;
  return text[0] == '0' ? digit_run(text, [](char c) { return c == '0'; }) : digit_run(text, is_ascii_digit);
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (position_ < source_.size()) SLUICE_RETURN_IF_ERROR(lex_root());
    add(TokenType::kEnd, source_.size(), source_.size());
    return std::move(tokens_);
  }

 private:
  std::string_view rest(size_t position) const { return source_.substr(std::min(position, source_.size())); }
  bool at(size_t position, std::string_view text) const { return rest(position).starts_with(text); }
  char sign_at(size_t position) const {
    return position < source_.size() && (source_[position] == '-' || source_[position] == '+') ? source_[position] : 0;
  }
  size_t skip_space(size_t position) const { return position + leading_space_length(rest(position)); }

  int line_at(size_t position) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    counted_ = position;
    return line_;
  }
  void add(TokenType type, size_t begin, size_t end) {
    tokens_.push_back({type, line_at(begin), static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  }
  Error error_at(size_t position, std::string_view message) {
    return corrupt_data(cat("chat template line ", line_at(std::max(position, counted_)), ": ", message));
  }

  // Position after "%}" in one of its forms, or 0 when none stands here.
  size_t block_end(size_t position, bool plain_trims) const {
    if (at(position, "-%}")) return skip_space(position + 3);
    if (plain_trims && at(position, "+%}")) return position + 3;
    if (!at(position, "%}")) return 0;
    return position + 2 + (plain_trims && at(position + 2, "\n") ? 1 : 0);
  }
  // For "{%" [sign] `word` "%}" at `position`: where it ends, or 0.
  size_t word_tag(size_t position, std::string_view word, bool plain_trims) const {
    size_t p = position + 2;
    if (sign_at(p)) ++p;
    p = skip_space(p);
    if (!at(p, word)) return 0;
    return block_end(skip_space(p + word.size()), plain_trims);
  }

  // Emits the text before a tag, stripped as the tag's sign and lstrip_blocks ask.
  void add_data(size_t begin, size_t end, char sign, bool lstrip) {
    std::string_view text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text.remove_suffix(trailing_space_length(text));
    } else if (sign != '+' && lstrip) {
      const size_t line_start = text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1;
      const bool starts_line = line_start > 0 || begin == 0 || source_[begin - 1] == '\n';
      const std::string_view tail = text.substr(line_start);
      if (starts_line && !tail.empty() && leading_space_length(tail) == tail.size()) text = text.substr(0, line_start);
    }
    if (!text.empty()) add(TokenType::kData, begin, begin + text.size());
  }

  Result<void> lex_root() {
    const size_t begin = position_;
    size_t tag = begin;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos) {
        add(TokenType::kData, begin, source_.size());
        position_ = source_.size();
        return {};
      }
      const char second = tag + 1 < source_.size() ? source_[tag + 1] : 0;
      if (second == '{' || second == '%' || second == '#') break;
    }
    const char kind = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    add_data(begin, tag, sign, kind != '{');
    if (kind == '%') {
      if (const size_t end = word_tag(tag, "raw", false)) return lex_raw(end);
    }
    position_ = tag + 2 + (sign ? 1 : 0);
    if (kind == '#') return lex_comment(tag);
    add(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, tag, position_);
    return lex_code(kind == '%');
  }

  Result<void> lex_comment(size_t tag) {
    const size_t close = source_.find("#}", position_);
    if (close == std::string_view::npos)
      return error_at(tag, "a comment is opened with '{#' and never closed with '#}'");
    const char sign = close > position_ ? source_[close - 1] : 0;
    position_ = close + 2;
    if (sign == '-') {
      position_ = skip_space(position_);
    } else if (sign != '+' && at(position_, "\n")) {
      ++position_;
    }
    return {};
  }

  Result<void> lex_raw(size_t begin) {
    for (size_t tag = source_.find("{%", begin); tag != std::string_view::npos; tag = source_.find("{%", tag + 1)) {
      if (const size_t end = word_tag(tag, "endraw", true)) {
        add_data(begin, tag, sign_at(tag + 2), true);
        position_ = end;
        return {};
      }
    }
    return error_at(begin, "'{% raw %}' is never closed with '{% endraw %}'");
  }

  // Position after the tag's end, or 0 when it does not end here.
  size_t code_end(bool block) const {
    if (block) return block_end(position_, true);
    if (at(position_, "-}}")) return skip_space(position_ + 3);
    return at(position_, "}}") ? position_ + 2 : 0;
  }

  Result<void> lex_code(bool block) {
    std::string open;  // the brackets still to be closed
    while (position_ < source_.size()) {
      if (open.empty()) {
        if (const size_t end = code_end(block)) {
          add(block ? TokenType::kBlockEnd : TokenType::kVariableEnd, position_, end);
          position_ = end;
          return {};
        }
      }
      if (const size_t space = leading_space_length(rest(position_))) {
        position_ += space;
        continue;
      }
      SLUICE_RETURN_IF_ERROR(lex_code_token(open));
    }
    return {};
  }

  Result<void> lex_code_token(std::string& open) {
    const std::string_view text = rest(position_);
    const bool after_dot = position_ > 0 && source_[position_ - 1] == '.';
    if (const size_t length = after_dot ? 0 : float_length(text)) return take(TokenType::kFloat, length);
    if (const size_t length = integer_length(text)) return take(TokenType::kInteger, length);
    if (const size_t length = identifier_length(text)) return take(TokenType::kName, length);
    if (text[0] == '\'' || text[0] == '"') {
      size_t end = 1;
      while (end < text.size() && text[end] != text[0]) end += text[end] == '\\' ? 2 : 1;
      if (end >= text.size()) return error_at(position_, "a string is opened and never closed");
      return take(TokenType::kString, end + 1);
    }
    for (const Operator& op : kOperators) {
      if (!text.starts_with(op.text)) continue;
      SLUICE_RETURN_IF_ERROR(balance(op.text[0], open));
      return take(op.type, op.text.size());
    }
    return error_at(position_, cat("unexpected character '", first_character(text), "'"));
  }

  Result<void> balance(char c, std::string& open) {
    if (c == '{') open.push_back('}');
    if (c == '(') open.push_back(')');
    if (c == '[') open.push_back(']');
    if (c != '}' && c != ')' && c != ']') return {};
    if (open.empty()) return error_at(position_, cat("unexpected '", c, "'"));
    if (open.back() != c) return error_at(position_, cat("unexpected '", c, "', expected '", open.back(), "'"));
    open.pop_back();
    return {};
  }

  Result<void> take(TokenType type, size_t length) {
    add(type, position_, position_ + length);
    position_ += length;
    return {};
  }

  std::string_view source_;
  size_t position_ = 0;
  size_t counted_ = 0;  // line_ is the line of this byte
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_source(std::string_view source) {
  const std::string valid = utf8_sanitize(source);
  std::string out;
  out.reserve(valid.size());
  for (size_t i = 0; i < valid.size(); ++i) {
    if (valid[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < valid.size() && valid[i + 1] == '\n') ++i;
    } else {
      out.push_back(valid[i]);
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

std::string_view describe(TokenType type) {
  switch (type) {
    case TokenType::kData:
      return "text";
    case TokenType::kVariableBegin:
      return "'{{'";
    case TokenType::kVariableEnd:
      return "'}}'";
    case TokenType::kBlockBegin:
      return "'{%'";
    case TokenType::kBlockEnd:
      return "'%}'";
    case TokenType::kName:
      return "a name";
    case TokenType::kString:
      return "a string";
    case TokenType::kInteger:
      return "an integer";
    case TokenType::kFloat:
      return "a float";
    case TokenType::kEnd:
      return "the end of the template";
    default:
      break;
  }
  for (const Operator& op : kOperators) {
    if (op.type == type) return op.text;
  }
  return "a token";
}

}  // namespace sluice::text::jinja
