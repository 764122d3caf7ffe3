#include "text/jinja/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/characters.h"
#include "text/jinja/lookup.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

constexpr size_t kWidthMax = size_t{1} << 30;

std::string_view digits_at(std::string_view text, size_t position) {
  size_t end = position;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return text.substr(position, end - position);
}

size_t width_of(std::string_view digits) {
  size_t width = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), width);
  return result.ec == std::errc{} ? std::min(width, kWidthMax) : kWidthMax;
}

// str(), repr() or ascii() of a value, escaped when `markup`.
Result<std::string> converted(Budget& budget, const Value& value, char conversion, bool markup) {
  if (conversion == 'r' || conversion == 'a') {
    TextBuilder out(budget);
    repr_to(out, value);
    SLUICE_TRY(const std::string text, out.take());
    return markup ? escape_html(budget, text) : Result<std::string>(text);
  }
  return markup ? as_markup(budget, value) : print(budget, value);
}

std::string first_characters(const std::string& text, int count) {
  return count < 0 ? text : text.substr(0, byte_offset(text, static_cast<size_t>(count)));
}

// ---- "%d" % value ----

class PercentFormatter {
 public:
  PercentFormatter(Budget& budget, const Value& format, const Value& argument)
      : budget_(budget), format_(format.text()), markup_(format.is_markup()), argument_(argument), out_(budget) {}

  Result<Value> run() {
    while (next_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', next_), format_.size());
      out_.append(format_.substr(next_, percent - next_));
      next_ = percent + 1;
      if (percent < format_.size()) SLUICE_RETURN_IF_ERROR(conversion());
    }
    // Whatever can be indexed counts as a mapping for Python, and a mapping need not be used up.
    const bool mapping = argument_.is(Kind::kDict) || argument_.is(Kind::kList) || argument_.is(Kind::kRange) ||
                         argument_.is_undefined();
    const size_t count = argument_.is(Kind::kTuple) ? argument_.items().size() : 1;
    if (!mapping && used_ < count) {
      return type_error("not all arguments were used by the format string");
    }
    SLUICE_TRY(std::string text, out_.take());
    return Value(std::move(text), markup_);
  }

 private:
  Result<Value> next_argument() {
    if (argument_.is(Kind::kTuple)) {
      if (used_ >= argument_.items().size()) return type_error("not enough arguments for the format string");
      return argument_.items()[used_++];
    }
    if (used_ > 0) return type_error("not enough arguments for the format string");
    ++used_;
    return argument_;
  }

  Result<Value> named_argument() {
    const size_t close = format_.find(')', next_);
    if (close == std::string_view::npos) return invalid_argument("'%(' without ')' in the format string");
    if (!argument_.is(Kind::kDict)) return type_error("the format string needs a mapping");
    const std::string_view name = format_.substr(next_ + 1, close - next_ - 1);
    next_ = close + 1;
    const Value* value = argument_.dict().find(name);
    if (!value) return invalid_argument(cat("the format string's mapping has no key '", name, "'"));
    return *value;
  }

  Result<int64_t> star_or_digits() {
    if (next_ < format_.size() && format_[next_] == '*') {
      ++next_;
      SLUICE_TRY(const Value value, next_argument());
      if (!value.is_integer()) return type_error("'*' in a format string needs an integer");
      return std::clamp<int64_t>(value.integer(), -static_cast<int64_t>(kWidthMax), kWidthMax);
    }
    const std::string_view digits = digits_at(format_, next_);
    next_ += digits.size();
    return digits.empty() ? 0 : static_cast<int64_t>(width_of(digits));
  }

  Result<void> conversion() {
    FormatSpec spec;
    bool zero = false;
    std::optional<Value> named;
    if (next_ < format_.size() && format_[next_] == '(') {
      SLUICE_TRY(named, named_argument());
    }
    for (; next_ < format_.size() && std::string_view("-+ #0").find(format_[next_]) != std::string_view::npos;
         ++next_) {
      const char flag = format_[next_];
      if (flag == '-') spec.align = '<';
      if (flag == '+' || (flag == ' ' && spec.sign == '-')) spec.sign = flag;
      if (flag == '#') spec.alternate = true;
      if (flag == '0') zero = true;
    }
    SLUICE_TRY(int64_t width, star_or_digits());
    if (width < 0) spec.align = '<';
    spec.width = static_cast<size_t>(std::abs(width));
    if (next_ < format_.size() && format_[next_] == '.') {
      ++next_;
      SLUICE_TRY(const int64_t precision, star_or_digits());
      spec.precision = static_cast<int>(std::max<int64_t>(precision, 0));
    }
    while (next_ < format_.size() && std::string_view("hlL").find(format_[next_]) != std::string_view::npos) ++next_;
    if (next_ >= format_.size()) return invalid_argument("the format string ends inside a '%' conversion");
    spec.type = format_[next_++];
    if (spec.type == '%') {
      out_.append("%");
      return {};
    }
    Value value;
    if (named) {
      value = std::move(*named);
    } else {
      SLUICE_TRY(value, next_argument());
    }
    return put(spec, value, zero);
  }

  Result<void> put(FormatSpec spec, const Value& value, bool zero) {
    std::string text;
    if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
      SLUICE_TRY(text, converted(budget_, value, spec.type, markup_));
      text = first_characters(text, spec.precision);
    } else if (spec.type == 'c') {
      if (value.is_integer() && value.integer() >= 0 && value.integer() <= 0x10FFFF) {
        append_character(text, static_cast<char32_t>(value.integer()));
      } else if (value.is_string() && character_count(value.text()) == 1) {
        text = value.text();
      } else {
        return type_error("%c requires an integer or one character");
      }
    } else {
      SLUICE_TRY(text, number(spec, value));
      if (zero && spec.align == 0) {
        spec.fill = "0";
        spec.align = '=';
      }
    }
    SLUICE_TRY(text, pad(budget_, spec, std::move(text), '>'));
    out_.append(text);
    return {};
  }

  Result<std::string> number(FormatSpec& spec, const Value& value) {
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_number()) return type_error(cat("%", spec.type, " format: a number is required, not ", value.type()));
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    const bool integer_type = std::string_view("doxX").find(spec.type) != std::string_view::npos;
    if (!integer_type && std::string_view("eEfFgG").find(spec.type) == std::string_view::npos) {
      return invalid_argument(cat("unsupported format character '", spec.type, "'"));
    }
    if (!integer_type) return format_number(spec, value.is(Kind::kFloat) ? value : Value(value.number()));
    if (value.is(Kind::kFloat) && spec.type != 'd') {
      return type_error(cat("%", spec.type, " format: an integer is required, not float"));
    }
    if (value.is(Kind::kFloat) && !(std::fabs(value.number()) < 9.2e18)) {
      return invalid_argument("%d format: the float does not fit in a 64-bit integer");
    }
    const int digits_min = std::exchange(spec.precision, -1);
    const Value integer(value.is(Kind::kFloat) ? static_cast<int64_t>(value.number()) : value.integer());
    SLUICE_TRY(std::string text, format_number(spec, integer));
    FormatSpec zeros;
    zeros.fill = "0";
    zeros.align = '=';
    const bool has_sign = text[0] == '-' || text[0] == '+' || text[0] == ' ';
    zeros.width = digits_min > 0 ? static_cast<size_t>(digits_min) + (has_sign ? 1 : 0) : 0;
    return pad(budget_, zeros, std::move(text), '=');
  }

  Budget& budget_;
  std::string_view format_;
  bool markup_;
  const Value& argument_;
  TextBuilder out_;
  size_t next_ = 0;
  size_t used_ = 0;
};

// ---- "{}".format(value) ----

Result<FormatSpec> parse_spec(std::string_view text) {
  FormatSpec spec;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  size_t i = 0;
  const size_t first = first_character(text).size();
  if (first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    i = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    i = 1;
  }
  const auto at = [&](std::string_view set) { return i < text.size() && set.find(text[i]) != std::string_view::npos; };
  if (at("+- ")) spec.sign = text[i++];
  if (at("z")) ++i;
  if (at("#")) {
    spec.alternate = true;
    ++i;
  }
  if (at("0")) {
    if (spec.align == 0) {
      spec.fill = "0";
      spec.align = '=';
    }
    ++i;
  }
  const std::string_view width = digits_at(text, i);
  spec.width = width.empty() ? 0 : width_of(width);
  i += width.size();
  if (at(",_")) spec.grouping = text[i++];
  if (at(".")) {
    const std::string_view precision = digits_at(text, ++i);
    if (precision.empty()) return invalid_argument("a format specification has '.' without a precision");
    spec.precision = static_cast<int>(width_of(precision));
    i += precision.size();
  }
  if (i < text.size()) spec.type = text[i++];
  if (i != text.size()) return invalid_argument(cat("invalid format specification '", text, "'"));
  return spec;
}

class BraceFormatter {
 public:
  BraceFormatter(Budget& budget, bool markup, const Arguments& arguments)
      : budget_(budget), markup_(markup), arguments_(arguments) {}

  // `depth`: a specification may hold fields, those may not hold more.
  Result<std::string> run(std::string_view format, int depth) {
    TextBuilder out(budget_);
    for (size_t i = 0; i < format.size();) {
      const size_t brace = std::min(format.find_first_of("{}", i), format.size());
      out.append(format.substr(i, brace - i));
      if (brace == format.size()) break;
      if (brace + 1 < format.size() && format[brace + 1] == format[brace]) {
        out.append(1, format[brace]);
        i = brace + 2;
        continue;
      }
      if (format[brace] == '}') return invalid_argument("single '}' in a format string");
      SLUICE_TRY(const size_t close, closing_brace(format, brace));
      SLUICE_TRY(const std::string text, field(format.substr(brace + 1, close - brace - 1), depth));
      out.append(text);
      i = close + 1;
    }
    return out.take();
  }

 private:
  static Result<size_t> closing_brace(std::string_view format, size_t open) {
    int depth = 0;
    for (size_t i = open; i < format.size(); ++i) {
      if (format[i] == '{') ++depth;
      if (format[i] == '}' && --depth == 0) return i;
    }
    return invalid_argument("single '{' in a format string");
  }

  Result<std::string> field(std::string_view text, int depth) {
    if (depth > 1) return invalid_argument("format specifications are nested too deep");
    const size_t name_end = std::min(text.find_first_of("!:"), text.size());
    SLUICE_TRY(Value value, find(text.substr(0, name_end)));
    std::string_view rest = text.substr(name_end);
    char conversion = 0;
    if (rest.starts_with('!')) {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':') ||
          std::string_view("rsa").find(rest[1]) == std::string_view::npos) {
        return invalid_argument("a format string's conversion must be !r, !s or !a");
      }
      conversion = rest[1];
      rest = rest.substr(2);
    }
    if (rest.starts_with(':')) rest = rest.substr(1);
    SLUICE_TRY(const std::string spec_text, run(rest, depth + 1));
    SLUICE_TRY(const FormatSpec spec, parse_spec(spec_text));
    if (conversion) {
      SLUICE_TRY(std::string converted_text, converted(budget_, value, conversion, false));
      value = Value(std::move(converted_text));
    }
    return put(spec, spec_text, value);
  }

  Result<std::string> put(const FormatSpec& spec, const std::string& spec_text, const Value& value) {
    const bool text_type = value.is_string() || spec.type == 's' || (value.is(Kind::kBool) && spec.type == 0);
    if (value.is_number() && !text_type) {
      if (spec.type == 'c') {
        std::string character;
        if (value.is_integer())
          append_character(character, static_cast<char32_t>(std::clamp<int64_t>(value.integer(), 0, 0x10FFFF)));
        return pad(budget_, spec, std::move(character), '<');
      }
      SLUICE_TRY(std::string number, format_number(spec, value));
      return pad(budget_, spec, std::move(number), '>');
    }
    if (spec_text.empty()) return converted(budget_, value, 's', markup_);
    if (!value.is_string() && !value.is(Kind::kBool)) {
      return type_error(cat("a format specification does not fit a value of type '", value.type(), "'"));
    }
    if (spec.type != 0 && spec.type != 's') {
      return invalid_argument(cat("unknown format code '", spec.type, "' for a string"));
    }
    if (spec.align == '=') return invalid_argument("'=' alignment is not allowed for a string");
    SLUICE_TRY(std::string text, converted(budget_, value, 's', markup_));
    return pad(budget_, spec, first_characters(text, spec.precision), '<');
  }

  Result<Value> first_of(std::string_view name) {
    const bool digits = !name.empty() && digits_at(name, 0).size() == name.size();
    if (name.empty() || digits) {
      const size_t index = name.empty() ? automatic_++ : width_of(name);
      if (index >= arguments_.positional.size()) return invalid_argument("a format string names a missing argument");
      return arguments_.positional[index];
    }
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    return invalid_argument(cat("a format string names a missing argument '", name, "'"));
  }

  // "name.attribute[item]"
  Result<Value> find(std::string_view path) {
    const size_t first_end = std::min(path.find_first_of(".["), path.size());
    SLUICE_TRY(Value value, first_of(path.substr(0, first_end)));
    for (size_t i = first_end; i < path.size();) {
      if (path[i] == '.') {
        const size_t end = std::min(path.find_first_of(".[", i + 1), path.size());
        SLUICE_TRY(value, get_attribute(budget_, value, path.substr(i + 1, end - i - 1)));
        i = end;
        continue;
      }
      const size_t close = path.find(']', i);
      if (path[i] != '[' || close == std::string_view::npos) return invalid_argument("missing ']' in a format string");
      const std::string_view key = path.substr(i + 1, close - i - 1);
      const bool digits = !key.empty() && digits_at(key, 0).size() == key.size();
      SLUICE_TRY(value, get_item(budget_, value, digits ? Value(static_cast<int64_t>(width_of(key))) : Value(key)));
      i = close + 1;
    }
    return value;
  }

  Budget& budget_;
  bool markup_;
  const Arguments& arguments_;
  size_t automatic_ = 0;
};

}  // namespace

Result<Value> percent_format(Budget& budget, const Value& format, const Value& argument) {
  SLUICE_RETURN_IF_ERROR(budget.scan(format.text().size()));
  return PercentFormatter(budget, format, argument).run();
}

Result<Value> brace_format(Budget& budget, const Value& format, const Arguments& arguments) {
  SLUICE_RETURN_IF_ERROR(budget.scan(format.text().size()));
  SLUICE_TRY(std::string text, BraceFormatter(budget, format.is_markup(), arguments).run(format.text(), 0));
  return Value(std::move(text), format.is_markup());
}

}  // namespace sluice::text::jinja
