#pragma once
// Reads the members of a request's JSON object with their types and bounds, and names what is wrong the way OpenAI's
// API does: message, param ("tools[0].function.name") and code ("invalid_type", "integer_above_max_value", …).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::openai {

enum class FieldKind { kBoolean, kInteger, kNumber, kString };

// One scalar member: read by FieldReader, described in /openapi.json by schema.h.
struct FieldSpec {
  std::string_view name;
  FieldKind kind = FieldKind::kString;
  std::optional<double> min = std::nullopt;  // inclusive
  std::optional<double> max = std::nullopt;  // inclusive
  std::string_view help = {};
  std::span<const std::string_view> words = {};  // all that a string may be; empty: any
};

// Reads one object. Absent and null members are unset. The first mistake is kept and every later read gives nothing, so
// that a parser reads all its fields in a row and looks at ok() once.
class FieldReader {
 public:
  // `object` outlives the reader and is a JSON object. `path` is put before member names in errors: "messages[2]" or
  // "".
  explicit FieldReader(const Json& object, std::string path = {});

  std::optional<bool> boolean(const FieldSpec& spec);
  std::optional<int64_t> integer(const FieldSpec& spec);  // 3 and 3.0, not 3.5
  std::optional<double> number(const FieldSpec& spec);
  std::optional<std::string> string(const FieldSpec& spec);

  // The member, or null when unset or of another type (then an error is kept).
  const Json* array(std::string_view name);
  const Json* object(std::string_view name);
  const Json* any(std::string_view name) const;

  // The path of a member: "messages[2].content".
  std::string path(std::string_view name) const;

  bool ok() const { return !error_.has_value(); }
  void fail(Error error);  // kept unless an earlier one is
  const Error& error() const { return *error_; }

 private:
  const Json* typed(std::string_view name, bool matches(const Json&), std::string_view expected);
  bool in_bounds(const FieldSpec& spec, double value, std::string_view shown);

  const Json& object_;
  std::string path_;
  std::optional<Error> error_;
};

// "a string", "an integer", "null": what a value is, for messages.
std::string_view json_type_name(const Json& value);
// The whole number a value holds, if it is one and fits: 3, 3.0.
std::optional<int64_t> whole_number(const Json& value);

Error invalid_type(std::string param, std::string_view expected, const Json& value);
Error missing_parameter(std::string param);
Error invalid_value(std::string param, std::string message);
// The parameter is known, and not supported here: refused, as ignoring it would change what the answer means.
Error unsupported_parameter(std::string param, std::string message);
Error unsupported_value(std::string param, std::string message);

}  // namespace sluice::openai
