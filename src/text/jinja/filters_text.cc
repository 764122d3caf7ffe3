// Filters that make text.

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/characters.h"
#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/lookup.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/text_search.h"

namespace sluice::text::jinja {
namespace {

using Bound = BoundArguments;

// soft_str: strings as they are (markup stays), anything else printed.
Result<Value> soft_text(Budget& budget, const Value& input) {
  if (input.is_string()) return input;
  SLUICE_TRY(std::string text, print(budget, input));
  return Value(std::move(text));
}

Result<Value> string_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("string", std::move(arguments), {}));
  return soft_text(budget, input);
}

// A filter that is the string method of the same name on the printed value.
Result<Value> by_method(Budget& budget, std::string_view method, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Value text, soft_text(budget, input));
  return find_text_method(method)(budget, text, std::move(arguments));
}
Result<Value> upper_filter(Budget& b, const Value& input, Arguments a) {
  return by_method(b, "upper", input, std::move(a));
}
Result<Value> lower_filter(Budget& b, const Value& input, Arguments a) {
  return by_method(b, "lower", input, std::move(a));
}
Result<Value> capitalize_filter(Budget& b, const Value& input, Arguments a) {
  return by_method(b, "capitalize", input, std::move(a));
}
Result<Value> trim(Budget& b, const Value& input, Arguments a) { return by_method(b, "strip", input, std::move(a)); }
Result<Value> center(Budget& b, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("center", std::move(arguments), {"width"}));
  return by_method(b, "center", input, {{bound.value_or(0, Value(int64_t{80}))}, {}});
}

Result<Value> format_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Value text, soft_text(budget, input));
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return invalid_argument("format: positional and keyword arguments cannot be given at the same time");
  }
  if (arguments.named.empty()) {
    SLUICE_TRY(const Value tuple, make_tuple(std::move(arguments.positional)));
    return percent_format(budget, text, tuple);
  }
  Dict named;
  for (auto& [name, value] : arguments.named) named.set(Value(std::move(name)), std::move(value));
  SLUICE_TRY(const Value mapping, make_dict(std::move(named)));
  return percent_format(budget, text, mapping);
}

Result<Value> replace_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("replace", std::move(arguments), {"old", "new", "count"}, 2));
  SLUICE_TRY(const std::string text, print(budget, input));
  SLUICE_TRY(const std::string from, print(budget, bound[0]));
  SLUICE_TRY(const std::string to, print(budget, bound[1]));
  SLUICE_TRY(const int64_t count, bound.some(2) ? bound.integer_or(2, -1) : Result<int64_t>(-1));
  SLUICE_TRY(std::string replaced, replace(budget, text, from, to, count));
  return Value(std::move(replaced));
}

// Words begin after white space and any of - ( { [ <.
Result<Value> title(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("title", std::move(arguments), {}));
  SLUICE_TRY(const std::string text, print(budget, input));
  const auto separates = [](const Character& c) {
    return is_space(c.code) ||
           (c.code < 0x80 && std::string_view("-({[<").find(static_cast<char>(c.code)) != std::string_view::npos);
  };
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    const bool gap = separates(character_at(text, i));
    while (end < text.size() && separates(character_at(text, end)) == gap) end += character_at(text, end).length;
    const std::string_view word = std::string_view(text).substr(i, end - i);
    const size_t first = first_character(word).size();
    out += to_upper(word.substr(0, first));
    out += to_lower(word.substr(first));
    i = end;
  }
  SLUICE_RETURN_IF_ERROR(budget.make_text(out.size()));
  return Value(std::move(out));
}

Result<Value> indent(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("indent", std::move(arguments), {"width", "first", "blank"}));
  if (input.is_undefined()) return undefined_error(input);
  if (!input.is_string()) return type_error(cat("indent() takes a string, not ", input.type()));
  std::string indention;
  if (bound.given(0) && bound[0].is_string()) {
    indention = bound[0].text();
  } else {
    SLUICE_TRY(const int64_t width, bound.integer_or(0, 4));
    if (width > 0) SLUICE_RETURN_IF_ERROR(budget.make_text(static_cast<size_t>(width)));
    indention = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const bool blank = bound.truth_or(2, false);
  SLUICE_RETURN_IF_ERROR(budget.make_text(input.text().size()));
  const std::string text = input.text() + "\n";
  const auto lines = split_lines(text, false, budget.values_max());
  SLUICE_RETURN_IF_ERROR(budget.make_values(lines.size()));
  TextBuilder out(budget);
  if (bound.truth_or(1, false)) out.append(indention);
  for (size_t i = 0; i < lines.size() && !out.full(); ++i) {
    if (i > 0) out.append("\n");
    if (i > 0 && (blank || !lines[i].empty())) out.append(indention);
    out.append(lines[i]);
  }
  SLUICE_TRY(std::string result, out.take());
  return Value(std::move(result), input.is_markup());
}

Result<Value> truncate(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound,
             Bound::bind("truncate", std::move(arguments), {"length", "killwords", "end", "leeway"}));
  SLUICE_TRY(const int64_t limit, bound.integer_or(0, 255));
  SLUICE_TRY(const std::string end, bound.text_or(2, "..."));
  SLUICE_TRY(const int64_t leeway, bound.some(3) ? bound.integer_or(3, 5) : Result<int64_t>(5));
  const auto end_size = static_cast<int64_t>(character_count(end));
  if (limit < end_size) return invalid_argument(cat("truncate: expected length >= ", end_size, ", got ", limit));
  if (leeway < 0) return invalid_argument(cat("truncate: expected leeway >= 0, got ", leeway));
  if (input.is_string()) SLUICE_RETURN_IF_ERROR(budget.scan(input.text().size()));
  const int64_t size = length(input).value_or(INT64_MAX);
  if (size != INT64_MAX && (size <= limit || size - limit <= leeway)) return input;
  if (!input.is_string()) return type_error(cat("truncate() takes a string, not ", input.type()));
  std::string cut = input.text().substr(0, byte_offset(input.text(), static_cast<size_t>(limit - end_size)));
  if (!bound.truth_or(1, false)) {
    if (const size_t space = cut.rfind(' '); space != std::string::npos) cut.resize(space);
  }
  SLUICE_RETURN_IF_ERROR(budget.make_text(cut.size() + end.size()));
  return Value(cut + end, input.is_markup());
}

Result<Value> word_count(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("wordcount", std::move(arguments), {}));
  SLUICE_TRY(const std::string text, print(budget, input));
  SLUICE_RETURN_IF_ERROR(budget.scan(text.size()));
  int64_t words = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    const bool word = c.code == '_' || is_letter(c.code) || is_numeric(c.code);
    if (word && !inside) ++words;
    inside = word;
    i += c.length;
  }
  return Value(words);
}

// One line broken at white space so that no line is longer than `width`, as textwrap.wrap does.
class LineWrapper {
 public:
  LineWrapper(size_t width, bool break_long_words, bool break_on_hyphens)
      : width_(width), break_long_words_(break_long_words), break_on_hyphens_(break_on_hyphens) {}

  std::vector<std::string> wrap(std::string_view line) {
    std::vector<std::string_view> chunks = split_chunks(line);
    std::reverse(chunks.begin(), chunks.end());
    std::vector<std::string> lines;
    while (!chunks.empty()) {
      if (!lines.empty() && is_blank(chunks.back())) chunks.pop_back();
      std::vector<std::string_view> current;
      size_t used = 0;
      while (!chunks.empty() && used + character_count(chunks.back()) <= width_) {
        used += character_count(chunks.back());
        current.push_back(chunks.back());
        chunks.pop_back();
      }
      if (!chunks.empty() && character_count(chunks.back()) > width_) break_chunk(chunks, current, used);
      if (!current.empty() && is_blank(current.back())) current.pop_back();
      if (current.empty()) continue;
      std::string text;
      for (const std::string_view part : current) text += part;
      lines.push_back(std::move(text));
    }
    return lines;
  }

 private:
  static bool is_blank(std::string_view chunk) { return leading_space_length(chunk) == chunk.size(); }

  void break_chunk(std::vector<std::string_view>& chunks, std::vector<std::string_view>& current, size_t used) const {
    const size_t room = width_ - used;
    if (break_long_words_) {
      size_t cut = byte_offset(chunks.back(), room);
      if (break_on_hyphens_) {
        const size_t hyphen = chunks.back().substr(0, cut).rfind('-');
        const bool splits = hyphen != std::string_view::npos &&
                            chunks.back().substr(0, hyphen).find_first_not_of('-') != std::string_view::npos;
        if (splits) cut = hyphen + 1;
      }
      current.push_back(chunks.back().substr(0, cut));
      chunks.back() = chunks.back().substr(cut);
      if (chunks.back().empty()) chunks.pop_back();
    } else if (current.empty()) {
      current.push_back(chunks.back());
      chunks.pop_back();
    }
  }

  // Runs of white space, and words; a word ends after a hyphen between letters.
  std::vector<std::string_view> split_chunks(std::string_view line) const {
    std::vector<std::string_view> chunks;
    while (!line.empty()) {
      size_t end = leading_space_length(line);
      if (end == 0) {
        while (end < line.size() && leading_space_length(line.substr(end, 1)) == 0) {
          const bool hyphen = line[end] == '-' && end > 1 && end + 1 < line.size();
          end += character_at(line, end).length;
          if (hyphen && break_on_hyphens_ && is_letter(static_cast<unsigned char>(line[end - 2])) &&
              is_letter(character_at(line, end).code)) {
            break;
          }
        }
      }
      chunks.push_back(line.substr(0, end));
      line.remove_prefix(end);
    }
    return chunks;
  }

  size_t width_;
  bool break_long_words_;
  bool break_on_hyphens_;
};

Result<Value> word_wrap(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("wordwrap", std::move(arguments),
                                            {"width", "break_long_words", "wrapstring", "break_on_hyphens"}));
  SLUICE_TRY(const int64_t width, bound.integer_or(0, 79));
  if (width <= 0) return invalid_argument(cat("wordwrap: invalid width ", width));
  SLUICE_TRY(const std::string separator, bound.some(2) ? bound.text_or(2, "\n") : Result<std::string>("\n"));
  if (!input.is_string()) return type_error(cat("wordwrap() takes a string, not ", input.type()));
  SLUICE_RETURN_IF_ERROR(budget.make_values(2 * input.text().size()));
  LineWrapper wrapper(static_cast<size_t>(width), bound.truth_or(1, true), bound.truth_or(3, true));
  TextBuilder out(budget);
  bool first = true;
  for (const std::string_view line : split_lines(input.text(), false, budget.values_max())) {
    if (!first) out.append(separator);
    first = false;
    const auto wrapped = wrapper.wrap(line);
    for (size_t i = 0; i < wrapped.size(); ++i) {
      if (i > 0) out.append(separator);
      out.append(wrapped[i]);
    }
  }
  SLUICE_TRY(std::string text, out.take());
  return Value(std::move(text));
}

Result<Value> safe(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("safe", std::move(arguments), {}));
  SLUICE_TRY(std::string text, print(budget, input));
  return Value(std::move(text), true);
}

Result<Value> escape(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("escape", std::move(arguments), {}));
  SLUICE_TRY(std::string text, as_markup(budget, input));
  return Value(std::move(text), true);
}

Result<Value> force_escape(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("forceescape", std::move(arguments), {}));
  SLUICE_TRY(const std::string text, print(budget, input));
  SLUICE_TRY(std::string escaped, escape_html(budget, text));
  return Value(std::move(escaped), true);
}

std::string unescape_html(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kEntities = {{{"&lt;", "<"},
                                                                                       {"&gt;", ">"},
                                                                                       {"&amp;", "&"},
                                                                                       {"&quot;", "\""},
                                                                                       {"&#34;", "\""},
                                                                                       {"&#39;", "'"},
                                                                                       {"&apos;", "'"},
                                                                                       {"&nbsp;", "\u00a0"}}};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto* entity = std::find_if(kEntities.begin(), kEntities.end(),
                                      [&](const auto& e) { return text.substr(i).starts_with(e.first); });
    if (entity != kEntities.end()) {
      out += entity->second;
      i += entity->first.size();
    } else {
      out.push_back(text[i++]);
    }
  }
  return out;
}

Result<Value> strip_tags(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("striptags", std::move(arguments), {}));
  SLUICE_TRY(const std::string text, print(budget, input));
  SLUICE_RETURN_IF_ERROR(budget.make_text(text.size()));
  std::string kept;
  size_t position = 0;
  for (size_t tag = text.find('<'); tag != std::string::npos; tag = text.find('<', position)) {
    const bool comment = text.compare(tag, 4, "<!--") == 0;
    const size_t close = comment ? text.find("-->", tag + 4) : text.find('>', tag);
    if (close == std::string::npos) break;
    kept += text.substr(position, tag - position);
    position = close + (comment ? 3 : 1);
  }
  kept += text.substr(position);
  std::string joined;
  for (const std::string_view word : split_words(kept, -1, false, kept.size() + 1)) {
    if (!joined.empty()) joined.push_back(' ');
    joined += word;
  }
  return Value(unescape_html(joined));
}

// urllib's quote and quote_plus.
void quote_url(TextBuilder& out, std::string_view text, bool query) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        (byte < 0x80 && std::isalnum(byte)) || std::string_view("_.-~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && !query)) {
      out.append(1, c);
    } else if (c == ' ' && query) {
      out.append("+");
    } else {
      out.append("%");
      out.append(kHex.substr(byte >> 4, 1));
      out.append(kHex.substr(byte & 15, 1));
    }
  }
}

Result<Value> url_encode(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("urlencode", std::move(arguments), {}));
  TextBuilder out(budget);
  if (input.is_string() || !iterable(input)) {
    SLUICE_TRY(const std::string text, print(budget, input));
    quote_url(out, text, false);
  } else {
    const Value pairs = input.is(Kind::kDict) ? Value(View{View::Part::kItems, input.shared_dict()}) : input;
    SLUICE_TRY(const Items items, iterate(budget, pairs));
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out.append("&");
      SLUICE_TRY(const Items pair, iterate(budget, items[i]));
      if (pair.size() != 2) return type_error("urlencode() takes pairs of key and value");
      SLUICE_TRY(const std::string key, print(budget, pair[0]));
      SLUICE_TRY(const std::string value, print(budget, pair[1]));
      quote_url(out, key, true);
      out.append("=");
      quote_url(out, value, true);
    }
  }
  SLUICE_TRY(std::string text, out.take());
  return Value(std::move(text));
}

Result<Value> xml_attributes(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("xmlattr", std::move(arguments), {"autospace"}));
  if (!input.is(Kind::kDict)) return type_error("xmlattr() takes a mapping");
  TextBuilder out(budget);
  for (const auto& [key, value] : input.dict().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string()) return type_error("xmlattr() takes strings as keys");
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      return invalid_argument("xmlattr: invalid character in an attribute name");
    }
    SLUICE_TRY(const std::string name, as_markup(budget, key));
    SLUICE_TRY(const std::string text, as_markup(budget, value));
    if (out.size() > 0 || bound.truth_or(0, true)) out.append(" ");
    out.append(name);
    out.append("=\"");
    out.append(text);
    out.append("\"");
  }
  SLUICE_TRY(std::string text, out.take());
  return Value(std::move(text));
}

constexpr std::array kTextFilters = {
    NamedFilter{"trim", trim},
    NamedFilter{"string", string_filter},
    NamedFilter{"upper", upper_filter},
    NamedFilter{"lower", lower_filter},
    NamedFilter{"capitalize", capitalize_filter},
    NamedFilter{"title", title},
    NamedFilter{"center", center},
    NamedFilter{"format", format_filter},
    NamedFilter{"replace", replace_filter},
    NamedFilter{"indent", indent},
    NamedFilter{"truncate", truncate},
    NamedFilter{"wordcount", word_count},
    NamedFilter{"wordwrap", word_wrap},
    NamedFilter{"safe", safe},
    NamedFilter{"escape", escape},
    NamedFilter{"e", escape},
    NamedFilter{"forceescape", force_escape},
    NamedFilter{"striptags", strip_tags},
    NamedFilter{"urlencode", url_encode},
    NamedFilter{"xmlattr", xml_attributes},
};

}  // namespace

FilterFunction find_text_filter(std::string_view name) { return find_named<FilterFunction>(kTextFilters, name); }

}  // namespace sluice::text::jinja
