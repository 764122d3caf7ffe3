#include "text/answers/tool_set.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "text/answers/python_literal.h"

namespace sluice::text::answers {
namespace {

constexpr int kSchemaDepthMax = 8;

void add_type(std::string_view type, std::vector<std::string>& types) {
  if (std::ranges::find(types, type) == types.end()) types.emplace_back(type);
}

std::string_view type_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "boolean";
  if (value.is_string()) return "string";
  if (value.is_array()) return "array";
  if (value.is_object()) return "object";
  return value.is_number_float() ? "number" : "integer";
}

// The types a schema names; none: it does not say.
void collect_types(const Json* schema, int depth, std::vector<std::string>& types) {
  if (schema == nullptr || !schema->is_object() || depth > kSchemaDepthMax) return;
  if (const Json* type = json_find(*schema, "type"); type != nullptr) {
    if (type->is_string()) add_type(type->get<std::string>(), types);
    if (type->is_array()) {
      for (const Json& one : *type) {
        if (one.is_string()) add_type(one.get<std::string>(), types);
      }
    }
  }
  if (!types.empty()) return;
  for (const char* key : {"anyOf", "oneOf"}) {
    const Json* choices = json_find(*schema, key);
    if (choices == nullptr || !choices->is_array()) continue;
    for (const Json& choice : *choices) {
      std::vector<std::string> inner;
      collect_types(&choice, depth + 1, inner);
      for (const std::string& type : inner) add_type(type, types);
    }
  }
  if (!types.empty()) return;
  if (const Json* values = json_find(*schema, "enum"); values != nullptr && values->is_array()) {
    for (const Json& value : *values) add_type(type_of(value), types);
  }
}

bool allows(const std::vector<std::string>& types, const Json& value) {
  if (types.empty()) return true;
  const std::string_view type = type_of(value);
  const auto named = [&](std::string_view name) { return std::ranges::find(types, name) != types.end(); };
  if (named(type)) return true;
  if (type == "integer") return named("number") || named("float");
  // 3.0 is an integer to JSON Schema.
  return type == "number" &&
         (named("float") ||
          (named("integer") && value.get<double>() == static_cast<double>(static_cast<int64_t>(value.get<double>()))));
}

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

}  // namespace

ToolSet::ToolSet(std::shared_ptr<const Json> tools) : tools_(std::move(tools)) {
  if (tools_ == nullptr || !tools_->is_array()) return;
  for (const Json& tool : *tools_) {
    const Json* function = json_find(tool, "function");
    const Json* name = json_find(function != nullptr ? *function : tool, "name");
    if (name != nullptr && name->is_string() && !name->get_ref<const std::string&>().empty())
      names_.push_back(name->get<std::string>());
  }
}

bool ToolSet::has(std::string_view name) const { return std::ranges::find(names_, name) != names_.end(); }

bool ToolSet::may_become_name(std::string_view text) const {
  return std::ranges::any_of(names_, [&](const std::string& name) {
    const size_t shared = std::min(name.size(), text.size());
    return text.substr(0, shared) == std::string_view(name).substr(0, shared) && trim(text.substr(shared)).empty();
  });
}

const Json* ToolSet::parameter(std::string_view function, std::string_view name) const {
  if (tools_ == nullptr || !tools_->is_array()) return nullptr;
  for (const Json& tool : *tools_) {
    const Json* inner = json_find(tool, "function");
    const Json& described = inner != nullptr ? *inner : tool;
    const Json* own = json_find(described, "name");
    if (own == nullptr || !own->is_string() || own->get_ref<const std::string&>() != function) continue;
    const Json* parameters = json_find(described, "parameters");
    const Json* properties = parameters == nullptr ? nullptr : json_find(*parameters, "properties");
    return properties == nullptr ? nullptr : json_find(*properties, name);
  }
  return nullptr;
}

bool is_string_only(const Json* schema) {
  std::vector<std::string> types;
  collect_types(schema, 0, types);
  return types.size() == 1 && types.front() == "string";
}

std::string argument_json(std::string_view text, const Json* schema) {
  std::vector<std::string> types;
  collect_types(schema, 0, types);
  if (types.size() == 1 && types.front() == "string") return quoted(text);
  const std::string_view literal = trim(text);
  if (const auto value = parse_json(literal); value.ok() && !value->is_string() && allows(types, *value))
    return std::string(literal);
  std::string python;
  if (const auto read = read_python_literal(literal, 0, python);
      read.outcome == PythonRead::Outcome::kValue && read.end == literal.size()) {
    const auto value = parse_json(python);
    if (value.ok() && !value->is_string() && allows(types, *value)) return python;
  }
  // Quoted text where strings are not the only type is the string it spells.
  if (const auto value = parse_json(literal); value.ok() && value->is_string() && types.empty())
    return std::string(literal);
  return quoted(text);
}

}  // namespace sluice::text::answers
