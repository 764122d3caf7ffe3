#include "text/tokenizer_json_scan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/strings.h"
#include "text/unicode.h"

namespace sluice::text {

void JsonCursor::white_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
    ++at_;
}

bool JsonCursor::at(char c) {
  white_space();
  return at_ < text_.size() && text_[at_] == c;
}

bool JsonCursor::take(char c) {
  if (!at(c)) return false;
  ++at_;
  return true;
}

bool JsonCursor::done() {
  white_space();
  return at_ == text_.size();
}

bool JsonCursor::string(std::string& scratch, std::string_view* out) {
  if (!take('"')) return false;
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' && static_cast<uint8_t>(text_[at_]) >= 0x20)
    ++at_;
  if (at_ < text_.size() && text_[at_] == '"') {
    *out = text_.substr(begin, at_ - begin);
    ++at_;
    return true;
  }
  scratch.assign(text_, begin, at_ - begin);
  while (at_ < text_.size() && text_[at_] != '"') {
    if (static_cast<uint8_t>(text_[at_]) < 0x20) return false;
    if (text_[at_] == '\\') {
      if (!escape(scratch)) return false;
    } else {
      scratch += text_[at_++];
    }
  }
  if (at_ >= text_.size()) return false;
  ++at_;
  *out = scratch;
  return true;
}

bool JsonCursor::hex4(uint32_t* out) {
  *out = 0;
  if (at_ + 4 > text_.size()) return false;
  const auto result = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, *out, 16);
  if (result.ptr != text_.data() + at_ + 4) return false;
  at_ += 4;
  return true;
}

bool JsonCursor::escape(std::string& out) {
  if (at_ + 1 >= text_.size()) return false;
  const char kind = text_[at_ + 1];
  at_ += 2;
  switch (kind) {
    case '"':
    case '\\':
    case '/':
      out += kind;
      return true;
    case 'b':
      out += '\b';
      return true;
    case 'f':
      out += '\f';
      return true;
    case 'n':
      out += '\n';
      return true;
    case 'r':
      out += '\r';
      return true;
    case 't':
      out += '\t';
      return true;
    case 'u':
      break;
    default:
      return false;
  }
  uint32_t unit = 0;
  if (!hex4(&unit)) return false;
  if (unit >= 0xD800 && unit < 0xDC00) {
    uint32_t low = 0;
    if (text_.substr(at_, 2) != "\\u") return false;
    at_ += 2;
    if (!hex4(&low) || low < 0xDC00 || low > 0xDFFF) return false;
    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
  } else if (unit >= 0xDC00 && unit < 0xE000) {
    return false;
  }
  append_utf8(out, unit);
  return true;
}

bool JsonCursor::integer(int64_t* out) {
  white_space();
  const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), *out);
  if (result.ec != std::errc()) return false;
  at_ = static_cast<size_t>(result.ptr - text_.data());
  return at_ == text_.size() || (text_[at_] != '.' && text_[at_] != 'e' && text_[at_] != 'E');
}

namespace {

const std::array<double, 309>& powers_of_ten() {
  static const std::array<double, 309> kPowers = [] {
    std::array<double, 309> made{};
    for (size_t i = 0; i < made.size(); ++i) {
      const std::string text = cat("1e", i);  // pow() need not be exact
      std::from_chars(text.data(), text.data() + text.size(), made[i]);
    }
    return made;
  }();
  return kPowers;
}

// The value that Rust's serde_json, and so the tokenizers library, gives a number: its digits as an integer of 64 bits,
// times or by a power of ten. That may be a unit in the last place off, and chooses between segmentations of equal
// score.
double as_serde_reads(std::string_view number) {
  uint64_t digits = 0;
  int64_t exponent = 0;
  const bool negative = number.starts_with('-');
  bool fraction = false, full = false;
  size_t i = 0;
  for (; i < number.size() && number[i] != 'e' && number[i] != 'E'; ++i) {
    if (number[i] == '.') fraction = true;
    if (number[i] < '0' || number[i] > '9') continue;
    const auto digit = static_cast<uint64_t>(number[i] - '0');
    full = full || digits > (UINT64_MAX - digit) / 10;
    if (!full) digits = digits * 10 + digit;
    exponent += fraction ? (full ? 0 : -1) : (full ? 1 : 0);
  }
  if (i < number.size()) {
    number.remove_prefix(i + 1);
    if (number.starts_with('+')) number.remove_prefix(1);
    int written = 0;
    std::from_chars(number.data(), number.data() + number.size(), written);
    exponent += written;
  }
  auto value = static_cast<double>(digits);
  for (; exponent < -308 && value != 0; exponent += 308) value /= 1e308;
  if (value == 0) return 0;
  const double power = powers_of_ten()[static_cast<size_t>(std::min<int64_t>(std::abs(exponent), 308))];
  value = exponent < 0 ? value / power : value * power;
  return negative ? -value : value;
}

}  // namespace

bool JsonCursor::number(double* out) {
  white_space();
  const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), *out);
  if (result.ec != std::errc()) return false;
  const auto end = static_cast<size_t>(result.ptr - text_.data());
  if (std::isfinite(*out)) *out = as_serde_reads(text_.substr(at_, end - at_));
  at_ = end;
  return true;
}

bool JsonCursor::skip_value() {
  white_space();
  int depth = 0;
  do {
    white_space();
    if (at_ >= text_.size()) return false;
    const char c = text_[at_];
    if (c == '"') {
      std::string scratch;
      std::string_view unused;
      if (!string(scratch, &unused)) return false;
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at_;
    } else if (c == '}' || c == ']') {
      if (depth-- == 0) return false;
      ++at_;
    } else if (c == ',' || c == ':') {
      if (depth == 0) return false;
      ++at_;
    } else {
      const size_t begin = at_;
      while (at_ < text_.size() && std::string_view(" \n\r\t,:]}[{\"").find(text_[at_]) == std::string_view::npos)
        ++at_;
      if (at_ == begin) return false;
    }
  } while (depth > 0);
  return true;
}

Error JsonCursor::error(std::string_view expected) const {
  const size_t place = std::min(at_, text_.size());
  const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(place), '\n');
  return corrupt_data(cat("tokenizer.json, line ", line, ", byte ", place, ": expected ", expected));
}

}  // namespace sluice::text
