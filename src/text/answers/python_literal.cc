#include "text/answers/python_literal.h"

#include <cstdint>

#include "base/json.h"
#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

constexpr int kLiteralDepthMax = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

void append_utf8(std::string& out, uint32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) code = 0xFFFD;
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 63));
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  }
}

class LiteralReader {
 public:
  using Outcome = PythonRead::Outcome;

  LiteralReader(std::string_view text, size_t at, std::string& json) : text_(text), at_(at), json_(json) {}

  Outcome value(int depth) {
    if (depth > kLiteralDepthMax) return Outcome::kBad;
    at_ = skip_space(text_, at_);
    if (at_ >= text_.size()) return Outcome::kMore;
    const char c = text_[at_];
    if (c == '"' || c == '\'') {
      std::string bytes;
      const Outcome read = string(bytes);
      if (read == Outcome::kValue) append_json_string(json_, bytes);
      return read;
    }
    if (c == '[' || c == '(') return list(c == '[' ? ']' : ')', depth);
    if (c == '{') return dict(depth);
    if (is_digit(c) || c == '-' || c == '+' || c == '.') return number();
    if (begins_name(c)) return word();
    return Outcome::kBad;
  }

  // key=value pairs up to `)`.
  Outcome keywords() {
    if (at_ >= text_.size()) return Outcome::kMore;
    if (text_[at_] != '(') return Outcome::kBad;
    ++at_;
    json_ += '{';
    for (bool first = true;; first = false) {
      at_ = skip_space(text_, at_);
      if (at_ >= text_.size()) return Outcome::kMore;
      if (text_[at_] == ')') break;
      const PythonRead name = read_python_name(text_, at_);
      if (name.outcome != Outcome::kValue) return name.outcome;
      if (!first) json_ += ", ";
      append_json_string(json_, text_.substr(at_, name.end - at_));
      at_ = skip_space(text_, name.end);
      if (at_ >= text_.size()) return Outcome::kMore;
      if (text_[at_] != '=') return Outcome::kBad;
      ++at_;
      json_ += ": ";
      if (const Outcome read = value(0); read != Outcome::kValue) return read;
      if (const Outcome read = separator(')'); read != Outcome::kValue) return read;
    }
    ++at_;
    json_ += '}';
    return Outcome::kValue;
  }

  size_t at() const { return at_; }

 private:
  // A comma, or the closing bracket, which stays.
  Outcome separator(char close) {
    at_ = skip_space(text_, at_);
    if (at_ >= text_.size()) return Outcome::kMore;
    if (text_[at_] == ',') {
      ++at_;
      return Outcome::kValue;
    }
    return text_[at_] == close ? Outcome::kValue : Outcome::kBad;
  }

  Outcome list(char close, int depth) {
    ++at_;
    json_ += '[';
    for (bool first = true;; first = false) {
      at_ = skip_space(text_, at_);
      if (at_ >= text_.size()) return Outcome::kMore;
      if (text_[at_] == close) break;
      if (!first) json_ += ", ";
      if (const Outcome read = value(depth + 1); read != Outcome::kValue) return read;
      if (const Outcome read = separator(close); read != Outcome::kValue) return read;
    }
    ++at_;
    json_ += ']';
    return Outcome::kValue;
  }

  Outcome dict(int depth) {
    ++at_;
    json_ += '{';
    for (bool first = true;; first = false) {
      at_ = skip_space(text_, at_);
      if (at_ >= text_.size()) return Outcome::kMore;
      if (text_[at_] == '}') break;
      if (!first) json_ += ", ";
      if (const Outcome read = key(depth); read != Outcome::kValue) return read;
      at_ = skip_space(text_, at_);
      if (at_ >= text_.size()) return Outcome::kMore;
      if (text_[at_] != ':') return Outcome::kBad;
      ++at_;
      json_ += ": ";
      if (const Outcome read = value(depth + 1); read != Outcome::kValue) return read;
      if (const Outcome read = separator('}'); read != Outcome::kValue) return read;
    }
    ++at_;
    json_ += '}';
    return Outcome::kValue;
  }

  // JSON's keys are strings: 1 becomes "1".
  Outcome key(int depth) {
    const size_t begin = json_.size();
    if (const Outcome read = value(depth + 1); read != Outcome::kValue) return read;
    const std::string written = json_.substr(begin);
    if (written.front() == '"') return Outcome::kValue;
    if (written.front() == '{' || written.front() == '[') return Outcome::kBad;
    json_.resize(begin);
    append_json_string(json_, written);
    return Outcome::kValue;
  }

  Outcome number() {
    size_t end = at_;
    while (end < text_.size() && (is_digit(text_[end]) || begins_name(text_[end]) || text_[end] == '.' ||
                                  ((text_[end] == '-' || text_[end] == '+') &&
                                   (end == at_ || text_[end - 1] == 'e' || text_[end - 1] == 'E')))) {
      ++end;
    }
    std::string digits;
    for (const char c : text_.substr(at_, end - at_)) {
      if (c != '_') digits += c;
    }
    const bool negative = digits.front() == '-';
    if (negative || digits.front() == '+') digits.erase(0, 1);
    if (digits.starts_with('.')) digits.insert(0, "0");
    if (const size_t point = digits.find('.');
        point != std::string::npos && (point + 1 == digits.size() || !is_digit(digits[point + 1])))
      digits.insert(point + 1, "0");
    if (negative) digits.insert(0, "-");
    const auto parsed = parse_json(digits);
    if (!parsed.ok() || !parsed->is_number()) return end == text_.size() ? Outcome::kMore : Outcome::kBad;
    json_ += digits;
    at_ = end;
    return Outcome::kValue;
  }

  Outcome word() {
    const PythonRead name = read_python_name(text_, at_);
    if (name.outcome != Outcome::kValue) return name.outcome;
    const std::string_view word = text_.substr(at_, name.end - at_);
    if (word == "True" || word == "true") {
      json_ += "true";
    } else if (word == "False" || word == "false") {
      json_ += "false";
    } else if (word == "None" || word == "null") {
      json_ += "null";
    } else {
      // A word may go on; a text that ends with it is not wrong yet.
      return name.end == text_.size() ? Outcome::kMore : Outcome::kBad;
    }
    at_ = name.end;
    return Outcome::kValue;
  }

  Outcome string(std::string& bytes) {
    const std::string_view rest = text_.substr(at_);
    const char quote = rest.front();
    const std::string triple(3, quote);
    const bool is_triple = rest.starts_with(triple);
    at_ += is_triple ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == quote && (!is_triple || text_.substr(at_).starts_with(triple))) {
        at_ += is_triple ? 3 : 1;
        return Outcome::kValue;
      }
      if (c == '\\') {
        if (const Outcome read = escape(bytes); read != Outcome::kValue) return read;
        continue;
      }
      bytes += c;
      ++at_;
    }
    return Outcome::kMore;
  }

  Outcome escape(std::string& bytes) {
    if (at_ + 1 >= text_.size()) return Outcome::kMore;
    const char c = text_[at_ + 1];
    at_ += 2;
    static constexpr std::string_view kLetters = "ntrbfav0\\'\"/";
    static constexpr std::string_view kMeant("\n\t\r\b\f\a\v\0\\'\"/", 12);
    if (const size_t known = kLetters.find(c); known != std::string_view::npos) {
      bytes += kMeant[known];
      return Outcome::kValue;
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == '\n') return Outcome::kValue;  // a line that goes on
    if (digits == 0) {
      bytes += '\\';
      bytes += c;
      return Outcome::kValue;
    }
    uint32_t code = 0;
    if (const Outcome read = hex(digits, code); read != Outcome::kValue) return read;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      const size_t before = at_;
      uint32_t low = 0;
      at_ += 2;
      if (const Outcome read = hex(4, low); read != Outcome::kValue) return read;
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = before;
      }
    }
    append_utf8(bytes, code);
    return Outcome::kValue;
  }

  Outcome hex(size_t digits, uint32_t& code) {
    for (size_t i = 0; i < digits; ++i, ++at_) {
      if (at_ >= text_.size()) return Outcome::kMore;
      const char c = text_[at_];
      const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (!is_digit(c) && !letter) return Outcome::kBad;
      code = code << 4 | static_cast<uint32_t>(is_digit(c) ? c - '0' : (c & 0x5F) - 'A' + 10);
    }
    return Outcome::kValue;
  }

  std::string_view text_;
  size_t at_;
  std::string& json_;
};

}  // namespace

PythonRead read_python_literal(std::string_view text, size_t at, std::string& json) {
  LiteralReader reader(text, at, json);
  const auto outcome = reader.value(0);
  return {outcome, reader.at()};
}

PythonRead read_python_name(std::string_view text, size_t at) {
  if (at >= text.size()) return {PythonRead::Outcome::kMore, at};
  if (!begins_name(text[at])) return {PythonRead::Outcome::kBad, at};
  size_t end = at;
  while (end < text.size() && (begins_name(text[end]) || is_digit(text[end]) || text[end] == '.')) ++end;
  return {PythonRead::Outcome::kValue, end};
}

PythonRead read_python_arguments(std::string_view text, size_t at, std::string& json) {
  LiteralReader reader(text, at, json);
  const auto outcome = reader.keywords();
  return {outcome, reader.at()};
}

}  // namespace sluice::text::answers
