#pragma once
// The functions a request offers, as far as reading calls needs to know them. Immutable.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"

namespace sluice::text::answers {

class ToolSet {
 public:
  // OpenAI's tools array, or null. What is not shaped like a function is left out.
  explicit ToolSet(std::shared_ptr<const Json> tools);

  bool has(std::string_view name) const;
  const std::vector<std::string>& names() const { return names_; }
  // Whether `text`, with white space after it, may still become a name.
  bool may_become_name(std::string_view text) const;
  // The JSON schema of one parameter, or null.
  const Json* parameter(std::string_view function, std::string_view name) const;

 private:
  std::shared_ptr<const Json> tools_;
  std::vector<std::string> names_;
};

// A parameter's value written as plain text becomes JSON by its schema: a string where the schema says string; else the
// JSON or Python literal it spells, when that is of a type the schema allows; else a string. `schema` may be null.
std::string argument_json(std::string_view text, const Json* schema);
// The schema allows nothing but strings.
bool is_string_only(const Json* schema);

}  // namespace sluice::text::answers
