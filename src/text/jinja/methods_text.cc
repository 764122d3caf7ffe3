// str's methods.

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/lookup.h"
#include "text/jinja/methods.h"
#include "text/jinja/named.h"
#include "text/jinja/text_search.h"

namespace sluice::text::jinja {
namespace {

using Bound = BoundArguments;

// A result of `self`'s method: markup stays markup.
Result<Value> text_like(Budget& budget, const Value& self, std::string text) {
  SLUICE_RETURN_IF_ERROR(budget.make_text(text.size()));
  return Value(std::move(text), self.is_markup());
}

template <std::string (*kMap)(std::string_view)>
Result<Value> mapped(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const auto none, Bound::bind("method", std::move(arguments), {}));
  return text_like(budget, self, kMap(self.text()));
}

template <Side kSide>
Result<Value> stripped(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("strip", std::move(arguments), {"chars"}));
  SLUICE_RETURN_IF_ERROR(budget.scan(self.text().size()));
  if (!bound.some(0)) return text_like(budget, self, std::string(strip(self.text(), kSide)));
  SLUICE_TRY(const std::string chars, bound.text_or(0, ""));
  SLUICE_RETURN_IF_ERROR(budget.step(static_cast<int64_t>(chars.size() / 16 * (self.text().size() / 16))));
  return text_like(budget, self, std::string(strip(self.text(), kSide, chars)));
}

Result<Value> pieces(Budget& budget, const Value& self, const std::vector<std::string_view>& parts) {
  SLUICE_RETURN_IF_ERROR(budget.make_values(2 * parts.size()));
  SLUICE_RETURN_IF_ERROR(budget.make_text(self.text().size()));
  Items items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.emplace_back(std::string(part), self.is_markup());
  return make_list(std::move(items));
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t splits,
                                       size_t parts_max) {
  std::vector<std::string_view> parts;
  for (size_t found = text.find(separator); found != std::string_view::npos && splits != 0 && parts.size() < parts_max;
       --splits) {
    parts.push_back(text.substr(0, found));
    text = text.substr(found + separator.size());
    found = text.find(separator);
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator, int64_t splits,
                                                  size_t parts_max) {
  std::vector<std::string_view> parts;
  for (size_t found = text.rfind(separator); found != std::string_view::npos && splits != 0 && parts.size() < parts_max;
       --splits) {
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
    found = text.rfind(separator);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool kFromRight>
Result<Value> split_method(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("split", std::move(arguments), {"sep", "maxsplit"}));
  SLUICE_TRY(const int64_t splits, bound.integer_or(1, -1));
  SLUICE_RETURN_IF_ERROR(budget.scan(self.text().size()));
  const size_t parts_max = budget.values_max();
  if (!bound.some(0)) return pieces(budget, self, split_words(self.text(), splits, kFromRight, parts_max));
  SLUICE_TRY(const std::string separator, bound.text_or(0, ""));
  if (separator.empty()) return invalid_argument("empty separator");
  return pieces(budget, self,
                kFromRight ? split_at_from_right(self.text(), separator, splits, parts_max)
                           : split_at(self.text(), separator, splits, parts_max));
}

Result<Value> splitlines(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("splitlines", std::move(arguments), {"keepends"}));
  SLUICE_RETURN_IF_ERROR(budget.scan(self.text().size()));
  return pieces(budget, self, split_lines(self.text(), bound.truth_or(0, false), budget.values_max()));
}

template <bool kLast>
Result<Value> partition(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("partition", std::move(arguments), {"sep"}, 1));
  SLUICE_TRY(const std::string separator, bound.text_or(0, ""));
  if (separator.empty()) return invalid_argument("empty separator");
  SLUICE_RETURN_IF_ERROR(budget.make_text(self.text().size()));
  const std::string& text = self.text();
  const size_t found = kLast ? text.rfind(separator) : text.find(separator);
  const bool markup = self.is_markup();
  if (found == std::string::npos) {
    const Value empty(std::string(), markup);
    return kLast ? make_tuple({empty, empty, self}) : make_tuple({self, empty, empty});
  }
  return make_tuple({Value(text.substr(0, found), markup), Value(separator, markup),
                     Value(text.substr(found + separator.size()), markup)});
}

Result<Value> join(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("join", std::move(arguments), {"iterable"}, 1));
  SLUICE_TRY(const Items items, iterate(budget, bound[0]));
  TextBuilder out(budget);
  for (size_t i = 0; i < items.size() && !out.full(); ++i) {
    if (i > 0) out.append(self.text());
    if (self.is_markup()) {
      SLUICE_TRY(const std::string text, as_markup(budget, items[i]));
      out.append(text);
    } else if (items[i].is_string()) {
      out.append(items[i].text());
    } else {
      return type_error(cat("sequence item ", i, ": expected str instance, ", items[i].type(), " found"));
    }
  }
  SLUICE_TRY(std::string text, out.take());
  return Value(std::move(text), self.is_markup());
}

Result<Value> replace_method(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("replace", std::move(arguments), {"old", "new", "count"}, 2));
  SLUICE_TRY(const std::string from, bound.text_or(0, ""));
  SLUICE_TRY(std::string to, bound.text_or(1, ""));
  SLUICE_TRY(const int64_t count, bound.integer_or(2, -1));
  if (self.is_markup()) {
    SLUICE_TRY(to, as_markup(budget, bound[1]));
  }
  SLUICE_TRY(std::string text, replace(budget, self.text(), from, to, count));
  return Value(std::move(text), self.is_markup());
}

// self[start:end] for the methods that take such bounds, and where it begins.
struct Window {
  std::string_view text;
  size_t first_character = 0;
  bool valid = true;  // start lies inside the string
};
Result<Window> window_of(Budget& budget, const Value& self, const Bound& bound) {
  SLUICE_RETURN_IF_ERROR(budget.scan(self.text().size()));
  Window window{self.text()};
  if (!bound.some(1) && !bound.some(2)) return window;
  const auto size = static_cast<int64_t>(character_count(self.text()));
  SLUICE_TRY(int64_t start, bound.some(1) ? bound.integer_or(1, 0) : Result<int64_t>(0));
  SLUICE_TRY(int64_t end, bound.some(2) ? bound.integer_or(2, size) : Result<int64_t>(size));
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (end < 0) end = std::max<int64_t>(end + size, 0);
  end = std::min(end, size);
  window.valid = start <= end;
  if (!window.valid) {
    window.text = {};
    return window;
  }
  window.first_character = static_cast<size_t>(start);
  window.text = window.text.substr(byte_offset(window.text, window.first_character));
  window.text = window.text.substr(0, byte_offset(window.text, static_cast<size_t>(end - start)));
  return window;
}

template <bool kPrefix>
Result<Value> starts_or_ends(Budget& budget, const Value& self, Arguments arguments) {
  constexpr std::string_view kName = kPrefix ? "startswith" : "endswith";
  SLUICE_TRY(const Bound bound, Bound::bind(kName, std::move(arguments), {"prefix", "start", "end"}, 1));
  SLUICE_TRY(const Window window, window_of(budget, self, bound));
  const Items candidates = bound[0].is(Kind::kTuple) ? bound[0].items() : Items{bound[0]};
  for (const Value& candidate : candidates) {
    if (!candidate.is_string()) {
      return type_error(cat(kName, " first arg must be str or a tuple of str, not ", candidate.type()));
    }
    if (!window.valid) continue;
    if (kPrefix ? window.text.starts_with(candidate.text()) : window.text.ends_with(candidate.text()))
      return Value(true);
  }
  return Value(false);
}

template <bool kLast, bool kMustFind>
Result<Value> find_method_of_text(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("find", std::move(arguments), {"sub", "start", "end"}, 1));
  SLUICE_TRY(const std::string wanted, bound.text_or(0, ""));
  SLUICE_TRY(const Window window, window_of(budget, self, bound));
  const size_t found = !window.valid ? std::string_view::npos
                       : kLast       ? window.text.rfind(wanted)
                                     : window.text.find(wanted);
  if (found == std::string_view::npos) {
    if (kMustFind) return invalid_argument("substring not found");
    return Value(int64_t{-1});
  }
  return Value(static_cast<int64_t>(window.first_character + character_count(window.text.substr(0, found))));
}

Result<Value> count(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("count", std::move(arguments), {"sub", "start", "end"}, 1));
  SLUICE_TRY(const std::string wanted, bound.text_or(0, ""));
  SLUICE_TRY(const Window window, window_of(budget, self, bound));
  if (!window.valid) return Value(int64_t{0});
  if (wanted.empty()) return Value(static_cast<int64_t>(character_count(window.text)) + 1);
  int64_t total = 0;
  for (size_t i = window.text.find(wanted); i != std::string_view::npos;
       i = window.text.find(wanted, i + wanted.size())) {
    ++total;
  }
  return Value(total);
}

template <bool kPrefix>
Result<Value> remove_affix(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("removeprefix", std::move(arguments), {"affix"}, 1));
  SLUICE_TRY(const std::string affix, bound.text_or(0, ""));
  std::string_view text = self.text();
  if (kPrefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!kPrefix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return text_like(budget, self, std::string(text));
}

template <char kAlign>
Result<Value> justify(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("justify", std::move(arguments), {"width", "fillchar"}, 1));
  SLUICE_TRY(const int64_t width, bound.integer_or(0, 0));
  FormatSpec spec;
  SLUICE_TRY(spec.fill, bound.text_or(1, " "));
  if (character_count(spec.fill) != 1) return type_error("the fill character must be exactly one character long");
  spec.align = kAlign;
  spec.width = static_cast<size_t>(std::clamp<int64_t>(width, 0, int64_t{1} << 40));
  const size_t size = character_count(self.text());
  // str.center puts the odd space left when the width is odd, unlike format().
  if (kAlign == '^' && spec.width > size) {
    const size_t missing = spec.width - size;
    const size_t left = missing / 2 + (missing & spec.width & 1);
    TextBuilder out(budget);
    out.repeat(left, spec.fill);
    out.append(self.text());
    out.repeat(missing - left, spec.fill);
    SLUICE_TRY(std::string text, out.take());
    return Value(std::move(text), self.is_markup());
  }
  SLUICE_TRY(std::string text, pad(budget, spec, self.text(), kAlign));
  return Value(std::move(text), self.is_markup());
}

Result<Value> zfill(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("zfill", std::move(arguments), {"width"}, 1));
  SLUICE_TRY(const int64_t width, bound.integer_or(0, 0));
  const std::string& text = self.text();
  FormatSpec spec;
  spec.fill = "0";
  spec.align = !text.empty() && (text[0] == '-' || text[0] == '+') ? '=' : '>';
  spec.width = static_cast<size_t>(std::clamp<int64_t>(width, 0, int64_t{1} << 40));
  SLUICE_TRY(std::string padded, pad(budget, spec, text, '>'));
  return Value(std::move(padded), self.is_markup());
}

Result<Value> expandtabs(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("expandtabs", std::move(arguments), {"tabsize"}));
  SLUICE_TRY(const int64_t size, bound.integer_or(0, 8));
  TextBuilder out(budget);
  int64_t column = 0;
  for (size_t i = 0; i < self.text().size();) {
    const Character c = character_at(self.text(), i);
    if (c.code == '\t') {
      const int64_t spaces = size > 0 ? size - column % size : 0;
      out.append(static_cast<size_t>(spaces), ' ');
      column = size > 0 ? 0 : column;
    } else {
      out.append(std::string_view(self.text()).substr(i, c.length));
      column = c.code == '\n' || c.code == '\r' ? 0 : column + 1;
    }
    i += c.length;
  }
  SLUICE_TRY(std::string text, out.take());
  return Value(std::move(text), self.is_markup());
}

Result<Value> format(Budget& budget, const Value& self, Arguments arguments) {
  return brace_format(budget, self, arguments);
}

Result<Value> format_map(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("format_map", std::move(arguments), {"mapping"}, 1));
  if (!bound[0].is(Kind::kDict)) return type_error("format_map() takes a mapping");
  Arguments named;
  for (const auto& [key, value] : bound[0].dict().entries()) {
    if (key.is_string()) named.named.emplace_back(key.text(), value);
  }
  return brace_format(budget, self, named);
}

bool is_alnum(char32_t c) { return is_letter(c) || is_digit(c) || is_numeric(c); }
bool is_ascii_code(char32_t c) { return c < 0x80; }

// True when all characters satisfy kTest and, unless kEmpty, there is one.
template <bool (*kTest)(char32_t), bool kEmpty = false>
Result<Value> all_are(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const auto none, Bound::bind("method", std::move(arguments), {}));
  const std::string& text = self.text();
  SLUICE_RETURN_IF_ERROR(budget.scan(text.size()));
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    if (!kTest(c.code)) return Value(false);
    i += c.length;
  }
  return Value(kEmpty || !text.empty());
}

// islower and isupper: at least one cased letter, and none of the other case.
template <bool (*kWanted)(char32_t), bool (*kOther)(char32_t)>
Result<Value> cased(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const auto none, Bound::bind("method", std::move(arguments), {}));
  const std::string& text = self.text();
  SLUICE_RETURN_IF_ERROR(budget.scan(text.size()));
  bool seen = false;
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    if (kOther(c.code)) return Value(false);
    seen |= kWanted(c.code);
    i += c.length;
  }
  return Value(seen);
}

Result<Value> is_title(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const auto none, Bound::bind("istitle", std::move(arguments), {}));
  const std::string& text = self.text();
  SLUICE_RETURN_IF_ERROR(budget.scan(text.size()));
  bool inside = false;
  bool seen = false;
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    if (is_upper(c.code) && inside) return Value(false);
    if (is_lower(c.code) && !inside) return Value(false);
    inside = is_upper(c.code) || is_lower(c.code);
    seen |= inside;
    i += c.length;
  }
  return Value(seen);
}

Result<Value> is_identifier(Budget&, const Value& self, Arguments) {
  return Value(!self.text().empty() && identifier_length(self.text()) == self.text().size());
}

using NamedMethod = Named<Method>;
constexpr std::array kMethods = {
    NamedMethod{"capitalize", mapped<capitalize>},
    NamedMethod{"casefold", mapped<fold_case>},
    NamedMethod{"center", justify<'^'>},
    NamedMethod{"count", count},
    NamedMethod{"endswith", starts_or_ends<false>},
    NamedMethod{"expandtabs", expandtabs},
    NamedMethod{"find", find_method_of_text<false, false>},
    NamedMethod{"format", format},
    NamedMethod{"format_map", format_map},
    NamedMethod{"index", find_method_of_text<false, true>},
    NamedMethod{"isalnum", all_are<is_alnum>},
    NamedMethod{"isalpha", all_are<is_letter>},
    NamedMethod{"isascii", all_are<is_ascii_code, true>},
    NamedMethod{"isdecimal", all_are<is_decimal>},
    NamedMethod{"isdigit", all_are<is_digit>},
    NamedMethod{"isidentifier", is_identifier},
    NamedMethod{"islower", cased<is_lower, is_upper>},
    NamedMethod{"isnumeric", all_are<is_numeric>},
    NamedMethod{"isprintable", all_are<is_printable, true>},
    NamedMethod{"isspace", all_are<is_space>},
    NamedMethod{"istitle", is_title},
    NamedMethod{"isupper", cased<is_upper, is_lower>},
    NamedMethod{"join", join},
    NamedMethod{"ljust", justify<'<'>},
    NamedMethod{"lower", mapped<to_lower>},
    NamedMethod{"lstrip", stripped<Side::kLeft>},
    NamedMethod{"partition", partition<false>},
    NamedMethod{"removeprefix", remove_affix<true>},
    NamedMethod{"removesuffix", remove_affix<false>},
    NamedMethod{"replace", replace_method},
    NamedMethod{"rfind", find_method_of_text<true, false>},
    NamedMethod{"rindex", find_method_of_text<true, true>},
    NamedMethod{"rjust", justify<'>'>},
    NamedMethod{"rpartition", partition<true>},
    NamedMethod{"rsplit", split_method<true>},
    NamedMethod{"rstrip", stripped<Side::kRight>},
    NamedMethod{"split", split_method<false>},
    NamedMethod{"splitlines", splitlines},
    NamedMethod{"startswith", starts_or_ends<true>},
    NamedMethod{"strip", stripped<Side::kBoth>},
    NamedMethod{"swapcase", mapped<swap_case>},
    NamedMethod{"title", mapped<title_case>},
    NamedMethod{"upper", mapped<to_upper>},
    NamedMethod{"zfill", zfill},
};

}  // namespace

Method find_text_method(std::string_view name) {
  const auto found =
      std::lower_bound(kMethods.begin(), kMethods.end(), name,
                       [](const NamedMethod& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != kMethods.end() && found->name == name ? found->function : nullptr;
}

}  // namespace sluice::text::jinja
