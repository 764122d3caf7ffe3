#include "server/openai/fields.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::openai {
namespace {

Error parameter_error(std::string param, std::string reason, std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message), std::move(param), std::move(reason)};
}

bool is_array(const Json& value) { return value.is_array(); }
bool is_object(const Json& value) { return value.is_object(); }
bool is_boolean(const Json& value) { return value.is_boolean(); }
bool is_string(const Json& value) { return value.is_string(); }
bool is_number(const Json& value) { return value.is_number(); }
bool is_whole(const Json& value) { return whole_number(value).has_value(); }

std::string shown_number(double value) {
  if (std::floor(value) == value && std::abs(value) < 1e15) return cat(static_cast<int64_t>(value));
  return cat(value);
}

}  // namespace

std::string_view json_type_name(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "a boolean";
  if (value.is_string()) return "a string";
  if (value.is_array()) return value.empty() ? "an empty array" : "an array";
  if (value.is_object()) return "an object";
  return value.is_number_float() && !whole_number(value) ? "a decimal number" : "an integer";
}

std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (!(std::abs(number) < 9e15) || std::floor(number) != number) return std::nullopt;
  return static_cast<int64_t>(number);
}

Error invalid_type(std::string param, std::string_view expected, const Json& value) {
  std::string message =
      cat("Invalid type for '", param, "': expected ", expected, ", but got ", json_type_name(value), " instead.");
  return parameter_error(std::move(param), "invalid_type", std::move(message));
}
Error missing_parameter(std::string param) {
  std::string message = cat("Missing required parameter: '", param, "'.");
  return parameter_error(std::move(param), "missing_required_parameter", std::move(message));
}
Error invalid_value(std::string param, std::string message) {
  return parameter_error(std::move(param), "invalid_value", std::move(message));
}
Error unsupported_parameter(std::string param, std::string message) {
  return parameter_error(std::move(param), "unsupported_parameter", std::move(message));
}
Error unsupported_value(std::string param, std::string message) {
  return parameter_error(std::move(param), "unsupported_value", std::move(message));
}

FieldReader::FieldReader(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  SLUICE_CHECK(object.is_object());
}

std::string FieldReader::path(std::string_view name) const {
  return path_.empty() ? std::string(name) : cat(path_, ".", name);
}

void FieldReader::fail(Error error) {
  if (ok()) error_ = std::move(error);
}

const Json* FieldReader::any(std::string_view name) const {
  const Json* value = json_find(object_, name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const Json* FieldReader::typed(std::string_view name, bool matches(const Json&), std::string_view expected) {
  if (!ok()) return nullptr;
  const Json* value = any(name);
  if (value == nullptr || matches(*value)) return value;
  fail(invalid_type(path(name), expected, *value));
  return nullptr;
}

const Json* FieldReader::array(std::string_view name) { return typed(name, is_array, "an array"); }
const Json* FieldReader::object(std::string_view name) { return typed(name, is_object, "an object"); }

bool FieldReader::in_bounds(const FieldSpec& spec, double value, std::string_view shown) {
  const std::string_view kind = spec.kind == FieldKind::kInteger ? "integer" : "decimal";
  const auto refuse = [&](std::string_view side, std::string_view relation, double bound) {
    fail(parameter_error(path(spec.name), cat(kind, "_", side == "below minimum" ? "below_min" : "above_max", "_value"),
                         cat("Invalid '", path(spec.name), "': ", kind, " ", side, " value. Expected a value ",
                             relation, " ", shown_number(bound), ", but got ", shown, " instead.")));
    return false;
  };
  if (spec.min && value < *spec.min) return refuse("below minimum", ">=", *spec.min);
  if (spec.max && value > *spec.max) return refuse("above maximum", "<=", *spec.max);
  return true;
}

std::optional<bool> FieldReader::boolean(const FieldSpec& spec) {
  const Json* value = typed(spec.name, is_boolean, "a boolean");
  if (value == nullptr) return std::nullopt;
  return value->get<bool>();
}

std::optional<int64_t> FieldReader::integer(const FieldSpec& spec) {
  const Json* value = typed(spec.name, is_number, "an integer");
  if (value == nullptr) return std::nullopt;
  // A number too large for 64 bits is out of bounds before it is of a wrong type.
  if (!in_bounds(spec, value->get<double>(), dump_json(*value))) return std::nullopt;
  if (typed(spec.name, is_whole, "an integer") == nullptr) return std::nullopt;
  return whole_number(*value);
}

std::optional<double> FieldReader::number(const FieldSpec& spec) {
  const Json* value = typed(spec.name, is_number, "a number");
  if (value == nullptr) return std::nullopt;
  const auto number = value->get<double>();
  if (!in_bounds(spec, number, dump_json(*value))) return std::nullopt;
  return number;
}

std::optional<std::string> FieldReader::string(const FieldSpec& spec) {
  const Json* value = typed(spec.name, is_string, "a string");
  if (value == nullptr) return std::nullopt;
  auto text = value->get<std::string>();
  if (!spec.words.empty() && std::ranges::find(spec.words, text) == spec.words.end()) {
    std::string known;
    for (const std::string_view word : spec.words) known += cat(known.empty() ? "'" : " and '", word, "'");
    fail(invalid_value(path(spec.name),
                       cat("Invalid value: '", text.substr(0, 60), "'. Supported values are: ", known, ".")));
    return std::nullopt;
  }
  return text;
}

}  // namespace sluice::openai
