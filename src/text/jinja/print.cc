#include "text/jinja/print.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "text/jinja/characters.h"

namespace sluice::text::jinja {
namespace {

constexpr size_t kMessageBytes = 60;

void append_hex(TextBuilder& out, std::string_view prefix, char32_t code, size_t digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out.append(prefix);
  for (size_t i = digits; i > 0; --i) out.append(kHex.substr((code >> (4 * (i - 1))) & 15, 1));
}

void repr_character(TextBuilder& out, std::string_view bytes, char32_t code, char quote) {
  if (code == '\n') return out.append("\\n");
  if (code == '\r') return out.append("\\r");
  if (code == '\t') return out.append("\\t");
  if (code == '\\' || code == static_cast<char32_t>(quote)) out.append("\\");
  if (is_printable(code)) return out.append(bytes);
  if (code < 0x100) return append_hex(out, "\\x", code, 2);
  if (code < 0x10000) return append_hex(out, "\\u", code, 4);
  append_hex(out, "\\U", code, 8);
}

void repr_text(TextBuilder& out, std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out.append(1, quote);
  for (size_t i = 0; i < text.size() && !out.full();) {
    const Character c = character_at(text, i);
    repr_character(out, text.substr(i, c.length), c.code, quote);
    i += c.length;
  }
  out.append(1, quote);
}

void repr_items(TextBuilder& out, const Items& items, std::string_view open, std::string_view close) {
  out.append(open);
  for (size_t i = 0; i < items.size() && !out.full(); ++i) {
    if (i > 0) out.append(", ");
    repr_to(out, items[i]);
  }
  out.append(close);
}

void repr_dict(TextBuilder& out, const Dict& dict) {
  out.append("{");
  for (size_t i = 0; i < dict.size() && !out.full(); ++i) {
    if (i > 0) out.append(", ");
    repr_to(out, dict.entries()[i].first);
    out.append(": ");
    repr_to(out, dict.entries()[i].second);
  }
  out.append("}");
}

void repr_view(TextBuilder& out, const View& view) {
  constexpr std::array<std::string_view, 3> kOpen = {"dict_items([", "dict_keys([", "dict_values(["};
  out.append(kOpen[static_cast<size_t>(view.part)]);
  bool first = true;
  for (const auto& [key, value] : view.dict->entries()) {
    if (out.full()) return;
    if (!first) out.append(", ");
    first = false;
    if (view.part == View::Part::kItems) out.append("(");
    if (view.part != View::Part::kValues) repr_to(out, key);
    if (view.part == View::Part::kItems) out.append(", ");
    if (view.part != View::Part::kKeys) repr_to(out, value);
    if (view.part == View::Part::kItems) out.append(")");
  }
  out.append("])");
}

}  // namespace

std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  std::array<char, 40> buffer{};
  const auto result =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
  const std::string_view scientific(buffer.data(), static_cast<size_t>(result.ptr - buffer.data()));
  const size_t e = scientific.find('e');
  int exponent = 0;
  const size_t digits_at = scientific[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(scientific.data() + digits_at, scientific.data() + scientific.size(), exponent);
  if (exponent < -4 || exponent >= 16) return std::string(scientific);

  const bool negative = scientific[0] == '-';
  std::string digits;
  for (const char c : scientific.substr(negative ? 1 : 0, e - (negative ? 1 : 0))) {
    if (c != '.') digits.push_back(c);
  }
  std::string out = negative ? "-" : "";
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

void repr_to(TextBuilder& out, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return out.append("Undefined");
    case Kind::kNone:
      return out.append("None");
    case Kind::kBool:
      return out.append(value.boolean() ? "True" : "False");
    case Kind::kInt:
      return out.append(std::to_string(value.integer()));
    case Kind::kFloat:
      return out.append(float_repr(value.number()));
    case Kind::kString:
      if (value.is_markup()) out.append("Markup(");
      repr_text(out, value.text());
      if (value.is_markup()) out.append(")");
      return;
    case Kind::kList:
      return repr_items(out, value.items(), "[", "]");
    case Kind::kTuple:
      return repr_items(out, value.items(), "(", value.items().size() == 1 ? ",)" : ")");
    case Kind::kDict:
      return repr_dict(out, value.dict());
    case Kind::kView:
      return repr_view(out, value.view());
    case Kind::kRange: {
      const Range& range = value.range();
      out.append(cat("range(", range.start, ", ", range.stop));
      if (range.step != 1) out.append(cat(", ", range.step));
      return out.append(")");
    }
    case Kind::kGenerator:
      return out.append(cat("<", value.type(), " object>"));
    case Kind::kObject:
      return value.object()->repr(out);
  }
}

void print_to(TextBuilder& out, const Value& value) {
  if (value.is_string()) {
    out.append(value.text());
  } else if (!value.is_undefined()) {
    repr_to(out, value);
  }
}

Result<std::string> print(Budget& budget, const Value& value) {
  if (value.is_string()) return value.text();
  TextBuilder out(budget);
  print_to(out, value);
  return out.take();
}

std::string short_repr(const Value& value) {
  Budget budget(TemplateLimits{.output_bytes_max = 4 * kMessageBytes});
  TextBuilder out(budget);
  repr_to(out, value);
  if (out.full()) return cat("a long ", value.type());
  std::string text = out.take().value();
  if (text.size() <= kMessageBytes) return text;
  return text.substr(0, utf8_complete_prefix(std::string_view(text).substr(0, kMessageBytes))) + "…";
}

}  // namespace sluice::text::jinja
