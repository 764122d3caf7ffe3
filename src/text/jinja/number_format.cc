// Numbers in printf-like types, shared by both ways of formatting.

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

constexpr int kPrecisionMax = 1000;

std::string float_text(double number, std::chars_format format, int precision) {
  std::string buffer(static_cast<size_t>(precision) + 340, '\0');
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format, precision);
  buffer.resize(static_cast<size_t>(result.ptr - buffer.data()));
  return buffer;
}

// %g: the shorter of fixed and scientific, without trailing zeros.
std::string general_text(double number, int precision, bool keep_zeros) {
  precision = std::max(precision, 1);
  std::string scientific = float_text(number, std::chars_format::scientific, precision - 1);
  int exponent = 0;
  const size_t e = scientific.find('e');
  const size_t digits = scientific[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(scientific.data() + digits, scientific.data() + scientific.size(), exponent);
  const bool fixed = exponent >= -4 && exponent < precision;
  std::string text =
      fixed ? float_text(number, std::chars_format::fixed, precision - 1 - exponent) : scientific.substr(0, e);
  if (!keep_zeros && text.find('.') != std::string::npos) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
  }
  return fixed ? text : text + scientific.substr(e);
}

std::string unsigned_float_text(const FormatSpec& spec, double number) {
  const char lower = static_cast<char>(spec.type | 0x20);
  if (!std::isfinite(number)) return std::isnan(number) ? "nan" : "inf";
  if (lower == 'f') return float_text(number, std::chars_format::fixed, spec.precision < 0 ? 6 : spec.precision);
  if (lower == 'e') return float_text(number, std::chars_format::scientific, spec.precision < 0 ? 6 : spec.precision);
  if (spec.type == '%') {
    return float_text(number * 100, std::chars_format::fixed, spec.precision < 0 ? 6 : spec.precision) + "%";
  }
  if (spec.type == 0) {
    if (spec.precision < 0) return float_repr(number);
    std::string text = general_text(number, spec.precision, spec.alternate);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
  }
  return general_text(number, spec.precision < 0 ? 6 : spec.precision, spec.alternate);
}

std::string unsigned_integer_text(const FormatSpec& spec, uint64_t magnitude) {
  const char lower = static_cast<char>(spec.type | 0x20);
  const int base = lower == 'x' ? 16 : lower == 'o' ? 8 : lower == 'b' ? 2 : 10;
  std::string digits(64, '\0');
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  digits.resize(static_cast<size_t>(result.ptr - digits.data()));
  if (spec.alternate && base != 10) return std::string{'0', lower} + digits;
  return digits;
}

std::string grouped(const std::string& text, char separator, size_t group) {
  const size_t whole = std::min(text.find_first_not_of("0123456789abcdef"), text.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % group == 0) out.push_back(separator);
    out.push_back(text[i]);
  }
  return out + text.substr(whole);
}

std::string upper_ascii(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return text;
}

}  // namespace

Result<std::string> format_number(const FormatSpec& spec, const Value& value) {
  if (spec.precision > kPrecisionMax) {
    return Error{ErrorCode::kTooLarge, cat("a number is formatted with more than ", kPrecisionMax, " digits"), {}, {}};
  }
  constexpr std::string_view kIntegerTypes = "dboxXn";
  constexpr std::string_view kFloatTypes = "eEfFgG%n";
  const bool integer_type = spec.type == 0 || kIntegerTypes.find(spec.type) != std::string_view::npos;
  const bool as_integer = value.is_integer() && integer_type;
  if (!as_integer && spec.type != 0 && kFloatTypes.find(spec.type) == std::string_view::npos) {
    return invalid_argument(cat("the format code '", spec.type, "' does not fit a value of type '", value.type(), "'"));
  }
  bool negative = false;
  std::string text;
  if (as_integer) {
    if (spec.precision >= 0) return invalid_argument("precision is not allowed in an integer format");
    const int64_t integer = value.integer();
    negative = integer < 0;
    const auto magnitude = negative ? uint64_t{0} - static_cast<uint64_t>(integer) : static_cast<uint64_t>(integer);
    text = unsigned_integer_text(spec, magnitude);
  } else {
    const double number = value.number();
    negative = std::signbit(number) && !std::isnan(number);
    text = unsigned_float_text(spec, std::fabs(number));
  }
  if (spec.grouping)
    text = grouped(text, spec.grouping,
                   spec.grouping == '_' && integer_type && spec.type != 'd' && spec.type != 0 ? 4 : 3);
  if (spec.type >= 'A' && spec.type <= 'Z') text = upper_ascii(std::move(text));
  if (negative) return "-" + text;
  if (spec.sign == '+' || spec.sign == ' ') return spec.sign + text;
  return text;
}

Result<std::string> pad(Budget& budget, const FormatSpec& spec, std::string text, char default_align) {
  const size_t size = character_count(text);
  if (spec.width <= size) return text;
  const size_t missing = spec.width - size;
  const char align = spec.align ? spec.align : default_align;
  size_t lead = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  TextBuilder out(budget);
  size_t sign = 0;
  if (align == '=' && !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ')) sign = 1;
  out.append(std::string_view(text).substr(0, sign));
  out.repeat(lead, spec.fill);
  out.append(std::string_view(text).substr(sign));
  out.repeat(missing - lead, spec.fill);
  return out.take();
}

}  // namespace sluice::text::jinja
