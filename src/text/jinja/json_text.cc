#include "text/jinja/json_text.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "text/jinja/characters.h"
#include "text/jinja/lookup.h"
#include "text/jinja/print.h"
#include "text/jinja/stable_order.h"

namespace sluice::text::jinja {
namespace {

Result<Value> convert(const Json& json, int depth) {
  if (depth > kNestingMax) {
    return Error{
        ErrorCode::kTooLarge, cat("the template's variables are nested more than ", kNestingMax, " deep"), {}, {}};
  }
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number <= INT64_MAX) return Value(static_cast<int64_t>(number));
      return unimplemented(
          cat("the template's variables hold the integer ", number, ", which does not fit in 64 bits"));
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return Value(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      Items items;
      items.reserve(json.size());
      for (const Json& item : json) {
        SLUICE_TRY(Value value, convert(item, depth + 1));
        items.push_back(std::move(value));
      }
      return make_list(std::move(items));
    }
    case Json::value_t::object: {
      Dict dict;
      for (const auto& [key, item] : json.items()) {
        SLUICE_TRY(Value value, convert(item, depth + 1));
        dict.set(Value(key), std::move(value));
      }
      return make_dict(std::move(dict));
    }
    default:
      return Value();
  }
}

class JsonWriter {
 public:
  JsonWriter(Budget& budget) : out_(budget) {}

  Result<void> configure(Budget& budget, Arguments arguments) {
    SLUICE_TRY(const BoundArguments bound, BoundArguments::bind("tojson", std::move(arguments),
                                                                {"ensure_ascii", "indent", "separators", "sort_keys"}));
    ascii_ = bound.truth_or(0, false);
    sort_ = bound.truth_or(3, false);
    if (bound.some(1)) {
      indented_ = true;
      item_separator_ = ",";
      if (bound[1].is_string()) {
        indent_ = bound[1].text();
      } else {
        SLUICE_TRY(const int64_t width, bound.integer_or(1, 0));
        if (width > 0) SLUICE_RETURN_IF_ERROR(budget.make_text(static_cast<size_t>(width)));
        indent_ = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
      }
    }
    if (!bound.some(2)) return {};
    SLUICE_TRY(const Items separators, iterate(budget, bound[2]));
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      return type_error("tojson() takes two strings as separators");
    }
    item_separator_ = separators[0].text();
    key_separator_ = separators[1].text();
    return {};
  }

  Result<void> write(const Value& value) {
    if (out_.full()) return {};
    switch (value.kind()) {
      case Kind::kNone:
        out_.append("null");
        return {};
      case Kind::kBool:
        out_.append(value.boolean() ? "true" : "false");
        return {};
      case Kind::kInt:
        out_.append(std::to_string(value.integer()));
        return {};
      case Kind::kFloat:
        out_.append(number(value.number()));
        return {};
      case Kind::kString:
        quote(value.text());
        return {};
      case Kind::kList:
      case Kind::kTuple:
        return write_items(value.items());
      case Kind::kDict:
        return write_dict(value.dict());
      default:
        return type_error(cat("a value of type ", value.type(), " is not JSON serializable"));
    }
  }

  Result<Value> take() {
    SLUICE_TRY(std::string text, out_.take());
    return Value(std::move(text));
  }

 private:
  static std::string number(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return float_repr(number);
  }

  void escape(char32_t code) {
    constexpr std::string_view kHex = "0123456789abcdef";
    if (code >= 0x10000) {
      escape(0xD800 + ((code - 0x10000) >> 10));
      return escape(0xDC00 + ((code - 0x10000) & 0x3FF));
    }
    out_.append("\\u");
    for (int shift = 12; shift >= 0; shift -= 4) out_.append(kHex.substr((code >> shift) & 15, 1));
  }

  void quote(std::string_view text) {
    constexpr std::string_view kSpecial = "\"\\\n\r\t\f\b";
    constexpr std::string_view kLetters = "\"\\nrtfb";
    out_.append("\"");
    size_t plain = 0;  // start of what is copied as it is
    for (size_t i = 0; i < text.size() && !out_.full();) {
      const Character c = character_at(text, i);
      const bool special = c.code < 0x20 || c.code == '"' || c.code == '\\' || (ascii_ && c.code >= 0x7F);
      if (special && !(ascii_ && c.code == 0x7F)) {
        out_.append(text.substr(plain, i - plain));
        const size_t letter = c.code < 0x80 ? kSpecial.find(text[i]) : std::string_view::npos;
        if (letter != std::string_view::npos) {
          out_.append("\\");
          out_.append(kLetters.substr(letter, 1));
        } else {
          escape(c.code);
        }
        plain = i + c.length;
      }
      i += c.length;
    }
    out_.append(text.substr(plain));
    out_.append("\"");
  }

  void new_line() {
    if (!indented_) return;
    out_.append("\n");
    out_.repeat(depth_, indent_);
  }

  Result<void> write_items(const Items& items) {
    if (items.empty()) {
      out_.append("[]");
      return {};
    }
    out_.append("[");
    ++depth_;
    for (size_t i = 0; i < items.size() && !out_.full(); ++i) {
      if (i > 0) out_.append(item_separator_);
      new_line();
      SLUICE_RETURN_IF_ERROR(write(items[i]));
    }
    --depth_;
    new_line();
    out_.append("]");
    return {};
  }

  static Result<std::string> key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return key.text();
      case Kind::kNone:
        return std::string("null");
      case Kind::kBool:
        return std::string(key.boolean() ? "true" : "false");
      case Kind::kInt:
        return std::to_string(key.integer());
      case Kind::kFloat:
        return number(key.number());
      default:
        return type_error(cat("keys must be str, int, float, bool or None, not ", key.type()));
    }
  }

  Result<std::vector<Dict::Entry>> sorted(const Dict& dict) {
    std::vector<Dict::Entry> entries = dict.entries();
    SLUICE_RETURN_IF_ERROR(
        stable_order(entries, [](const Dict::Entry& a, const Dict::Entry& b) { return less(a.first, b.first); }));
    return entries;
  }

  Result<void> write_dict(const Dict& dict) {
    if (dict.size() == 0) {
      out_.append("{}");
      return {};
    }
    std::vector<Dict::Entry> ordered;
    if (sort_) {
      SLUICE_TRY(ordered, sorted(dict));
    }
    out_.append("{");
    ++depth_;
    bool first = true;
    for (const auto& [key, value] : sort_ ? ordered : dict.entries()) {
      if (out_.full()) break;
      if (!first) out_.append(item_separator_);
      first = false;
      new_line();
      SLUICE_TRY(const std::string text, key_text(key));
      quote(text);
      out_.append(key_separator_);
      SLUICE_RETURN_IF_ERROR(write(value));
    }
    --depth_;
    new_line();
    out_.append("}");
    return {};
  }

  TextBuilder out_;
  bool ascii_ = false;
  bool sort_ = false;
  bool indented_ = false;
  std::string indent_;
  std::string item_separator_ = ", ";
  std::string key_separator_ = ": ";
  size_t depth_ = 0;
};

}  // namespace

Result<Value> from_json(const Json& json) { return convert(json, 1); }

Result<Value> to_json(Budget& budget, const Value& input, Arguments arguments) {
  JsonWriter writer(budget);
  SLUICE_RETURN_IF_ERROR(writer.configure(budget, std::move(arguments)));
  SLUICE_RETURN_IF_ERROR(writer.write(input));
  return writer.take();
}

}  // namespace sluice::text::jinja
