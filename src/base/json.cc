#include "base/json.h"

#include <cmath>
#include <unordered_map>

#include "base/strings.h"

namespace sluice {
namespace {

// Builds the value from parse events. A SAX reader, because only it can stop at the depth limit before memory is spent.
class LimitedDomReader {
 public:
  explicit LimitedDomReader(const JsonLimits& limits) : limits_(limits) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) {
    if (value > INT64_MAX && exact_integers()) return refuse_integer(std::to_string(value));
    return add(value);
  }
  bool number_float(double value, const std::string& text) {
    if (exact_integers() && text.find_first_of(".eE") == std::string::npos) return refuse_integer(text);
    return add(value);
  }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<uint8_t>&) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool end_object() { return close(); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    key_ = std::move(name);
    if (stack_.size() == 1) outer_key_ = key_;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    position_ = position;
    // The library's text reads "[json.exception.parse_error.101] parse error at line 1, column 2: …".
    std::string_view what = error.what();
    if (const size_t bracket = what.find("] "); bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
    message_ = utf8_sanitize(what.substr(0, 300));
    return false;
  }

  bool too_deep() const { return too_deep_; }
  const std::string& refused_integer() const { return refused_integer_; }  // "" for none
  const std::string& outer_key() const { return outer_key_; }              // of what was read last
  const std::string& message() const { return message_; }
  Json take() { return std::move(root_); }

 private:
  // A container that is being filled. The index appears when an object has grown past what a linear search should do.
  struct Open {
    Json* container;
    std::unordered_map<std::string, size_t> index;
  };
  static constexpr size_t kLinearKeysMax = 24;

  template <class Value>
  Json* place(Value&& value) {
    if (stack_.empty()) {
      root_ = std::forward<Value>(value);
      return &root_;
    }
    Json& parent = *stack_.back().container;
    if (parent.is_array()) return &parent.emplace_back(std::forward<Value>(value));
    Json& slot = member(stack_.back());
    slot = std::forward<Value>(value);
    return &slot;
  }
  // The member named key_ of an open object: the one that is there already, or a new one. Constant time, however many.
  Json& member(Open& open) {
    auto& members = *open.container->get_ptr<Json::object_t*>();
    if (members.size() < kLinearKeysMax) return members[key_];
    if (open.index.empty()) {
      for (size_t i = 0; i < members.size(); ++i)
        open.index.emplace(members.begin()[static_cast<std::ptrdiff_t>(i)].first, i);
    }
    const auto [found, is_new] = open.index.emplace(key_, members.size());
    if (is_new) static_cast<Json::object_t::Container&>(members).emplace_back(key_, nullptr);
    return members.begin()[static_cast<std::ptrdiff_t>(found->second)].second;
  }
  template <class Value>
  bool add(Value&& value) {
    place(std::forward<Value>(value));
    return true;
  }
  bool open(Json container) {
    if (static_cast<int>(stack_.size()) >= limits_.depth_max) {
      too_deep_ = true;
      return false;
    }
    stack_.push_back({place(std::move(container)), {}});
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }
  bool exact_integers() const { return static_cast<int>(stack_.size()) >= limits_.exact_integers_depth; }
  bool refuse_integer(std::string digits) {
    refused_integer_ = std::move(digits);
    return false;
  }

  const JsonLimits limits_;
  Json root_;
  std::vector<Open> stack_;  // pointers stay good: only the innermost container grows
  std::string key_, outer_key_;
  std::string refused_integer_;
  size_t position_ = 0;
  std::string message_;
  bool too_deep_ = false;
};

template <class T, class Matches, class Get>
Result<T> typed(const Json& object, std::string_view key, T fallback, const char* expected, Matches matches, Get get) {
  const Json* value = json_find(object, key);
  if (value == nullptr || value->is_null()) return fallback;
  if (!matches(*value))
    return invalid_argument(cat("'", key, "' must be ", expected, ", but is ", dump_json(*value).substr(0, 80)),
                            std::string(key));
  return get(*value);
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return Error{
        ErrorCode::kTooLarge, cat("JSON text has ", text.size(), " bytes; the limit is ", limits.bytes_max), {}, {}};
  }
  // No JSON text holds a zero byte; the library takes one for the end of its input.
  if (text.find('\0') != std::string_view::npos) return corrupt_data("not valid JSON: it holds a zero byte");
  LimitedDomReader reader(limits);
  if (Json::sax_parse(text.begin(), text.end(), &reader)) return reader.take();
  if (reader.too_deep()) {
    return Error{
        ErrorCode::kTooLarge, cat("JSON is nested deeper than the limit of ", limits.depth_max, " levels"), {}, {}};
  }
  if (const std::string& digits = reader.refused_integer(); !digits.empty()) {
    return invalid_argument(
        cat("the integer ", digits.size() > 40 ? cat(digits.substr(0, 40), "…") : digits, " does not fit in 64 bits"),
        reader.outer_key());
  }
  return corrupt_data(cat("not valid JSON: ", reader.message()));
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

void append_json_string(std::string& out, std::string_view text) {
  std::string clean;
  if (!utf8_valid(text)) {
    clean = utf8_sanitize(text);
    text = clean;
  }
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          out += kHex[byte >> 4];
          out += kHex[byte & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

const Json* json_find(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(std::string(key));
  return found == object.end() ? nullptr : &*found;
}

Result<int64_t> json_int(const Json& object, std::string_view key, int64_t fallback) {
  const auto is_integer = [](const Json& v) {
    if (v.is_number_unsigned()) return v.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
    if (v.is_number_float()) return std::abs(v.get<double>()) < 9e15 && std::floor(v.get<double>()) == v.get<double>();
    return v.is_number_integer();
  };
  return typed<int64_t>(object, key, fallback, "an integer", is_integer,
                        [](const Json& v) { return v.get<int64_t>(); });
}

Result<double> json_number(const Json& object, std::string_view key, double fallback) {
  return typed<double>(
      object, key, fallback, "a number", [](const Json& v) { return v.is_number(); },
      [](const Json& v) { return v.get<double>(); });
}

Result<bool> json_bool(const Json& object, std::string_view key, bool fallback) {
  return typed<bool>(
      object, key, fallback, "true or false", [](const Json& v) { return v.is_boolean(); },
      [](const Json& v) { return v.get<bool>(); });
}

Result<std::string> json_string(const Json& object, std::string_view key, std::string fallback) {
  return typed<std::string>(
      object, key, std::move(fallback), "a string", [](const Json& v) { return v.is_string(); },
      [](const Json& v) { return v.get<std::string>(); });
}

}  // namespace sluice
