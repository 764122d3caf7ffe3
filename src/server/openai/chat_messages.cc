#include "server/openai/chat_messages.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/fields.h"

namespace sluice::openai {
namespace {

constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};

Result<std::string> required_string(const Json& object, std::string_view name, const std::string& path) {
  const std::string param = cat(path, ".", name);
  const Json* value = json_find(object, name);
  if (value == nullptr) return missing_parameter(param);
  if (!value->is_string()) return invalid_type(param, "a string", *value);
  return value->get<std::string>();
}

// The text of one content part. A model that sees images gets its own branch here: image_url becomes {"type": "image"},
// the form templates look for, and the picture goes beside the prompt.
Result<std::string> part_text(const Json& part, const std::string& path) {
  if (!part.is_object()) return invalid_type(path, "an object", part);
  SLUICE_TRY(const std::string type, required_string(part, "type", path));
  if (type == "text" || type == "refusal") return required_string(part, type, path);
  const std::string param = cat(path, ".type");
  if (type == "image_url" || type == "image" || type == "input_image") {
    return unsupported_value(
        param, cat("Unsupported content part '", type, "' at '", path, "': this model takes no images, only text."));
  }
  if (type == "input_audio" || type == "audio_url" || type == "video_url" || type == "video" || type == "file") {
    return unsupported_value(param,
                             cat("Unsupported content part '", type, "' at '", path, "': this model takes only text."));
  }
  return invalid_value(param, cat("Invalid value: '", type.substr(0, 60), "'. Supported values are: 'text'."));
}

Result<std::string> content_text(const Json& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return invalid_type(path, "a string or an array of content parts", content);
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    SLUICE_TRY(const std::string part, part_text(content[i], cat(path, "[", i, "]")));
    if (i > 0) text += '\n';
    text += part;
  }
  return text;
}

// {"name", "arguments"}: arguments as an object.
Result<Json> normalise_called_function(const Json& function, const std::string& path) {
  if (!function.is_object()) return invalid_type(path, "an object", function);
  SLUICE_TRY([[maybe_unused]] const std::string name, required_string(function, "name", path));
  Json clean = function;
  const std::string param = cat(path, ".arguments");
  const Json* arguments = json_find(function, "arguments");
  if (arguments == nullptr || arguments->is_null() ||
      (arguments->is_string() && trim(arguments->get_ref<const std::string&>()).empty())) {
    clean["arguments"] = Json::object();
    return clean;
  }
  if (arguments->is_object()) return clean;
  if (!arguments->is_string()) return invalid_type(param, "a string of JSON", *arguments);
  auto parsed = parse_json(arguments->get_ref<const std::string&>(), {.exact_integers_depth = 1});
  if (!parsed.ok() || !parsed->is_object()) {
    return invalid_value(param, cat("Invalid '", param, "': expected a string that holds a JSON object, but ",
                                    parsed.ok() ? std::string("it holds another value") : parsed.error().message, "."));
  }
  clean["arguments"] = std::move(parsed).value();
  return clean;
}

Result<Json> normalise_tool_calls(const Json& calls, const std::string& path) {
  if (!calls.is_array()) return invalid_type(path, "an array", calls);
  Json clean = Json::array();
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string element = cat(path, "[", i, "]");
    if (!calls[i].is_object()) return invalid_type(element, "an object", calls[i]);
    const Json* function = json_find(calls[i], "function");
    if (function == nullptr) return missing_parameter(cat(element, ".function"));
    SLUICE_TRY(Json called, normalise_called_function(*function, cat(element, ".function")));
    Json call = calls[i];
    call["function"] = std::move(called);
    clean.push_back(std::move(call));
  }
  return clean;
}

Result<std::string> message_role(const Json& message, const std::string& path) {
  SLUICE_TRY(std::string role, required_string(message, "role", path));
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    return invalid_value(cat(path, ".role"),
                         cat("Invalid value: '", role.substr(0, 60),
                             "'. Supported values are: 'system', 'developer', 'user', 'assistant', and 'tool'."));
  }
  return role;
}

Result<Json> normalise_message(const Json& message, const std::string& path) {
  if (!message.is_object()) return invalid_type(path, "an object", message);
  SLUICE_TRY(const std::string role, message_role(message, path));
  for (const char* name : {"name", "tool_call_id", "reasoning_content"}) {
    const Json* value = json_find(message, name);
    if (value != nullptr && !value->is_null() && !value->is_string())
      return invalid_type(cat(path, ".", name), "a string", *value);
  }
  Json clean = Json::object();
  clean["role"] = role == "developer" ? "system" : role;
  const Json* content = json_find(message, "content");
  if (content != nullptr && !content->is_null()) {
    SLUICE_TRY(std::string text, content_text(*content, cat(path, ".content")));
    clean["content"] = std::move(text);
  } else if (role == "assistant") {
    clean["content"] = "";
  } else if (content == nullptr) {
    return missing_parameter(cat(path, ".content"));
  } else {
    return invalid_type(cat(path, ".content"), "a string or an array of content parts", *content);
  }
  // As transformers' apply_chat_template: reasoning under any of its names is given to templates under the names they
  // read.
  const Json* reasoning = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Json* value = json_find(message, name);
    if (reasoning == nullptr && value != nullptr && !value->is_null()) reasoning = value;
  }
  if (reasoning != nullptr) clean["thinking"] = *reasoning;
  for (const auto& [name, value] : message.items()) {
    if (name == "role" || name == "content" || value.is_null()) continue;
    if (name != "tool_calls") {
      clean[name] = value;
      continue;
    }
    SLUICE_TRY(Json calls, normalise_tool_calls(value, cat(path, ".tool_calls")));
    if (!calls.empty()) clean["tool_calls"] = std::move(calls);
  }
  if (reasoning != nullptr) clean["reasoning_content"] = *reasoning;
  return clean;
}

Result<void> check_tool(const Json& tool, const std::string& path) {
  if (!tool.is_object()) return invalid_type(path, "an object", tool);
  SLUICE_TRY(const std::string type, required_string(tool, "type", path));
  if (type != "function") {
    return invalid_value(cat(path, ".type"),
                         cat("Invalid value: '", type.substr(0, 60), "'. Supported values are: 'function'."));
  }
  const std::string function_path = cat(path, ".function");
  const Json* function = json_find(tool, "function");
  if (function == nullptr) return missing_parameter(function_path);
  if (!function->is_object()) return invalid_type(function_path, "an object", *function);
  SLUICE_TRY(const std::string name, required_string(*function, "name", function_path));
  if (name.empty() || name.size() > 128) {
    return invalid_value(
        cat(function_path, ".name"),
        cat("Invalid '", function_path, ".name': expected 1 to 128 bytes, but got ", name.size(), "."));
  }
  const Json* description = json_find(*function, "description");
  if (description != nullptr && !description->is_null() && !description->is_string()) {
    return invalid_type(cat(function_path, ".description"), "a string", *description);
  }
  const Json* parameters = json_find(*function, "parameters");
  if (parameters != nullptr && !parameters->is_null() && !parameters->is_object()) {
    return invalid_type(cat(function_path, ".parameters"), "an object", *parameters);
  }
  return {};
}

Error length_error(const std::string& param, int64_t limit, size_t got) {
  return Error{ErrorCode::kInvalidArgument,
               cat("Invalid '", param, "': array too long. Expected an array with maximum length ", limit,
                   ", but got length ", got, " instead."),
               param, "array_above_max_length"};
}

}  // namespace

Result<Json> normalise_messages(const Json& messages, const std::string& param, int64_t messages_max) {
  if (!messages.is_array()) return invalid_type(param, "an array of messages", messages);
  if (messages.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("Invalid '", param, "': empty array. Expected an array with minimum length 1."), param,
                 "empty_array"};
  }
  if (static_cast<int64_t>(messages.size()) > messages_max) return length_error(param, messages_max, messages.size());
  Json clean = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    SLUICE_TRY(Json message, normalise_message(messages[i], cat(param, "[", i, "]")));
    clean.push_back(std::move(message));
  }
  return clean;
}

Result<Json> normalise_tools(const Json& tools, const std::string& param, int64_t tools_max) {
  if (static_cast<int64_t>(tools.size()) > tools_max) return length_error(param, tools_max, tools.size());
  for (size_t i = 0; i < tools.size(); ++i) SLUICE_RETURN_IF_ERROR(check_tool(tools[i], cat(param, "[", i, "]")));
  return tools;
}

}  // namespace sluice::openai
