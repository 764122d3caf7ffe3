#include "text/jinja/filters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/format.h"
#include "text/jinja/json_text.h"
#include "text/jinja/lookup.h"
#include "text/jinja/print.h"
#include "text/jinja/text_search.h"

namespace sluice::text::jinja {
namespace {

using Bound = BoundArguments;

Result<Value> default_value(Budget&, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("default", std::move(arguments), {"default_value", "boolean"}));
  if (input.is_undefined() || (bound.truth_or(1, false) && !input.truth())) return bound.value_or(0, Value(""));
  return input;
}

Result<Value> length_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("length", std::move(arguments), {}));
  if (input.is_string()) SLUICE_RETURN_IF_ERROR(budget.scan(input.text().size()));
  const std::optional<int64_t> size = length(input);
  if (!size) return type_error(cat("object of type '", input.type(), "' has no len()"));
  return Value(*size);
}

Result<Value> absolute(Budget&, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("abs", std::move(arguments), {}));
  if (input.is(Kind::kFloat)) return Value(std::fabs(input.number()));
  if (input.is_integer()) return input.integer() < 0 ? negate(input) : Result<Value>(Value(input.integer()));
  return type_error(cat("bad operand type for abs(): '", input.type(), "'"));
}

// ---- numbers from text, as Python's int() and float() read them ----

std::string without_inner_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = i > 0 && i + 1 < text.size() && std::isalnum(static_cast<unsigned char>(text[i - 1])) &&
                         std::isalnum(static_cast<unsigned char>(text[i + 1]));
    if (text[i] != '_' || !between) out.push_back(text[i]);
  }
  return out;
}

std::optional<double> read_float(std::string_view text) {
  std::string digits = without_inner_underscores(strip(text, Side::kBoth));
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  const std::string lower = to_lower_ascii(digits);
  if (lower == "inf" || lower == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (lower == "nan") return std::nan("");
  if (lower.empty() || lower.find_first_not_of("0123456789.e+-") != std::string::npos || lower[0] == '-')
    return std::nullopt;
  double number = 0;
  const auto result = std::from_chars(lower.data(), lower.data() + lower.size(), number);
  if (result.ptr != lower.data() + lower.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    const size_t e = lower.find('e');
    number = e != std::string::npos && e + 1 < lower.size() && lower[e + 1] == '-' ? 0.0 : HUGE_VAL;
  } else if (result.ec != std::errc{}) {
    return std::nullopt;
  }
  return negative ? -number : number;
}

struct IntegerText {
  enum class Outcome : uint8_t { kRead, kMalformed, kTooBig } outcome = Outcome::kMalformed;
  int64_t value = 0;
};
IntegerText read_integer(std::string_view text, int base) {
  std::string digits = without_inner_underscores(strip(text, Side::kBoth));
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  if (digits.size() > 2 && digits[0] == '0') {
    const char letter = static_cast<char>(digits[1] | 0x20);
    const int prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (prefix != 0 && (base == 0 || base == prefix)) {
      digits.erase(0, 2);
      base = prefix;
    }
  }
  if (base == 0) base = 10;
  if (digits.empty() || digits[0] == '-') return {};
  if (negative) digits.insert(0, "-");
  IntegerText result;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), result.value, base);
  if (read.ptr != digits.data() + digits.size()) return {};
  result.outcome = read.ec == std::errc{} ? IntegerText::Outcome::kRead : IntegerText::Outcome::kTooBig;
  return result;
}

Error too_big() { return invalid_argument("the number does not fit in a 64-bit integer"); }

// int(number); nullopt for NaN and the infinities.
Result<std::optional<Value>> truncate_float(double number) {
  if (!std::isfinite(number)) return std::optional<Value>();
  if (!(std::fabs(number) < 9223372036854775808.0)) return too_big();
  return std::optional<Value>(Value(static_cast<int64_t>(number)));
}

Result<Value> int_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("int", std::move(arguments), {"default", "base"}));
  const Value fallback = bound.value_or(0, Value(int64_t{0}));
  if (input.is_undefined()) return undefined_error(input);
  if (input.is_integer()) return Value(input.integer());
  std::optional<double> number;
  if (input.is(Kind::kFloat)) {
    if (std::isinf(input.number())) return invalid_argument("cannot convert float infinity to integer");
    number = input.number();
  } else if (input.is_string()) {
    SLUICE_RETURN_IF_ERROR(budget.scan(input.text().size()));
    const int64_t base = !bound.given(1) ? 10 : bound[1].is_integer() ? bound[1].integer() : -1;
    const bool valid = base == 0 || (base >= 2 && base <= 36);
    const IntegerText integer = valid ? read_integer(input.text(), static_cast<int>(base)) : IntegerText{};
    if (integer.outcome == IntegerText::Outcome::kTooBig) return too_big();
    if (integer.outcome == IntegerText::Outcome::kRead) return Value(integer.value);
    number = read_float(input.text());
  }
  if (!number) return fallback;
  SLUICE_TRY(const std::optional<Value> whole, truncate_float(*number));
  return whole.value_or(fallback);
}

Result<Value> float_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("float", std::move(arguments), {"default"}));
  if (input.is_undefined()) return undefined_error(input);
  if (input.is_number()) return Value(input.number());
  if (input.is_string()) {
    SLUICE_RETURN_IF_ERROR(budget.scan(input.text().size()));
    if (const auto number = read_float(input.text())) return Value(*number);
  }
  return bound.value_or(0, Value(0.0));
}

Result<Value> round_integer(int64_t value, int64_t digits) {
  if (digits >= 0) return Value(value);
  if (digits < -18) return Value(int64_t{0});
  int64_t unit = 1;
  for (int64_t i = digits; i < 0; ++i) unit *= 10;
  const int64_t rest = ((value % unit) + unit) % unit;
  int64_t result = 0;
  if (__builtin_sub_overflow(value, rest, &result)) return too_big();
  // Halves go to the even multiple.
  const bool up = rest > unit - rest || (rest == unit - rest && (result / unit) % 2 != 0);
  if (up && __builtin_add_overflow(result, unit, &result)) return too_big();
  return Value(result);
}

// round(number, digits): exact decimal rounding, halves to even.
double round_float(double number, int64_t digits) {
  if (!std::isfinite(number) || digits > 323) return number;
  if (digits < -308) return std::copysign(0.0, number);
  if (digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(number / unit) * unit;
  }
  std::array<char, 720> buffer{};
  const auto text = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed,
                                  static_cast<int>(digits));
  double rounded = number;
  std::from_chars(buffer.data(), text.ptr, rounded);
  return rounded;
}

Result<Value> round_filter(Budget&, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("round", std::move(arguments), {"precision", "method"}));
  SLUICE_TRY(const int64_t digits, bound.integer_or(0, 0));
  SLUICE_TRY(const std::string method, bound.text_or(1, "common"));
  if (method != "common" && method != "ceil" && method != "floor") {
    return invalid_argument("round(): the method must be common, ceil or floor");
  }
  if (input.is_undefined()) return undefined_error(input);
  if (!input.is_number()) return type_error(cat("type ", input.type(), " cannot be rounded"));
  if (method == "common") {
    if (input.is_integer()) return round_integer(input.integer(), digits);
    return Value(round_float(input.number(), digits));
  }
  const double unit = std::pow(10.0, static_cast<double>(digits));
  const double scaled = input.number() * unit;
  if (!std::isfinite(scaled)) return invalid_argument("cannot round this number");
  // Whole numbers are integers in between, so there is no -0.
  return Value(((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) + 0.0) / unit);
}

Result<Value> items_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("items", std::move(arguments), {}));
  if (input.is_undefined()) return make_generator({});
  if (!input.is(Kind::kDict)) return type_error("items: can only get item pairs from a mapping");
  SLUICE_TRY(Items items, iterate(budget, Value(View{View::Part::kItems, input.shared_dict()})));
  return make_generator(std::move(items));
}

Result<Value> attr_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("attr", std::move(arguments), {"name"}, 1));
  SLUICE_TRY(const std::string name, bound.text_or(0, ""));
  SLUICE_RETURN_IF_ERROR(budget.step());
  if (input.is_undefined()) return undefined_error(input);
  if (auto attribute = own_attribute(input, name)) return std::move(*attribute);
  return missing_key(input, Value(name));
}

// Filters of Jinja2 that have no place in a prompt: known by name, so that a template may mention them.
Result<Value> unsupported(Budget&, const Value&, Arguments) {
  return Error{ErrorCode::kUnimplemented, "the filters random, urlize and pprint are not supported", {}, {}};
}

Result<Value> filesize_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("filesizeformat", std::move(arguments), {"binary"}));
  const bool binary = bound.truth_or(0, false);
  SLUICE_TRY(const Value number, float_filter(budget, input, {{Value()}, {}}));
  if (!number.is_number()) return type_error(cat("filesizeformat() takes a number, not ", input.type()));
  const double bytes = number.number();
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value("1 Byte");
  if (bytes < base) return Value(cat(static_cast<int64_t>(std::max(bytes, -9e18)), " Bytes"));
  constexpr std::array<std::string_view, 8> kDecimal = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  constexpr std::array<std::string_view, 8> kBinary = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  size_t i = 0;
  double unit = base * base;
  while (i + 1 < kDecimal.size() && bytes >= unit) {
    ++i;
    unit *= base;
  }
  FormatSpec spec;
  spec.type = 'f';
  spec.precision = 1;
  SLUICE_TRY(const std::string text, format_number(spec, Value(base * bytes / unit)));
  return Value(cat(text, " ", binary ? kBinary[i] : kDecimal[i]));
}

constexpr std::array kOtherFilters = {
    NamedFilter{"default", default_value},
    NamedFilter{"d", default_value},
    NamedFilter{"length", length_filter},
    NamedFilter{"count", length_filter},
    NamedFilter{"tojson", to_json},
    NamedFilter{"items", items_filter},
    NamedFilter{"int", int_filter},
    NamedFilter{"float", float_filter},
    NamedFilter{"abs", absolute},
    NamedFilter{"round", round_filter},
    NamedFilter{"attr", attr_filter},
    NamedFilter{"random", unsupported},
    NamedFilter{"urlize", unsupported},
    NamedFilter{"pprint", unsupported},
    NamedFilter{"filesizeformat", filesize_filter},
};

}  // namespace

FilterFunction find_filter(std::string_view name) {
  if (const auto found = find_named<FilterFunction>(kOtherFilters, name)) return found;
  if (const FilterFunction found = find_text_filter(name)) return found;
  if (const FilterFunction found = find_sequence_filter(name)) return found;
  return find_selection_filter(name);
}

}  // namespace sluice::text::jinja
