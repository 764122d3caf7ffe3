#include "server/openai/chat_prompt.h"

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/chat_messages.h"
#include "server/openai/request_fields.h"

namespace sluice::openai {
namespace {

// True when the tools are to be shown to the model. "none" hides them, so that it calls none. "required" and a named
// function need decoding that is bound to a grammar: they are refused rather than taken as "auto".
bool read_tool_choice(FieldReader& fields, bool has_tools) {
  const Json* choice = fields.any("tool_choice");
  if (choice == nullptr) return true;
  const std::string param = fields.path("tool_choice");
  if (!choice->is_string() && !choice->is_object()) {
    fields.fail(invalid_type(param, "a string or an object", *choice));
    return false;
  }
  const std::string name = choice->is_string() ? choice->get<std::string>() : std::string("function");
  if (name == "none") return false;
  if (name == "auto") return true;
  if (name != "required" && name != "function") {
    fields.fail(invalid_value(
        param, cat("Invalid value: '", name.substr(0, 60), "'. Supported values are: 'none' and 'auto'.")));
  } else if (!has_tools) {
    fields.fail(invalid_value(
        param, cat("Invalid value for '", param, "': '", param, "' is only allowed when 'tools' are specified.")));
  } else {
    fields.fail(unsupported_value(
        param, cat("Unsupported value: '", param,
                   "' cannot force a call with this model. Supported values are: 'none' and 'auto'.")));
  }
  return false;
}

void read_tools(FieldReader& fields, const RequestLimits& limits, api::ChatPrompt& prompt) {
  const Json* tools = fields.array("tools");
  const bool has_tools = tools != nullptr && !tools->empty();
  const bool shown = read_tool_choice(fields, has_tools);
  if (!has_tools) return;
  auto clean = normalise_tools(*tools, fields.path("tools"), limits.tools_max);
  if (!clean.ok()) return fields.fail(std::move(clean).error());
  if (shown) prompt.tools = std::make_shared<const Json>(std::move(clean).value());
}

void read_template_variables(FieldReader& fields, api::ChatPrompt& prompt) {
  Json variables = Json::object();
  if (const auto effort = fields.string(field::kReasoningEffort)) variables["reasoning_effort"] = *effort;
  if (const Json* documents = fields.array("documents")) variables["documents"] = *documents;
  if (const Json* given = fields.object("chat_template_kwargs")) {
    for (const auto& [name, value] : given->items()) variables[name] = value;
  }
  if (!variables.empty()) prompt.template_variables = std::make_shared<const Json>(std::move(variables));
}

void read_ending(FieldReader& fields, const Json& messages, api::ChatPrompt& prompt) {
  const auto add = fields.boolean(field::kAddGenerationPrompt);
  prompt.continue_final_message = fields.boolean(field::kContinueFinalMessage).value_or(false);
  prompt.add_generation_prompt = add.value_or(!prompt.continue_final_message);
  if (!prompt.continue_final_message) return;
  const std::string param = fields.path("continue_final_message");
  if (prompt.add_generation_prompt) {
    fields.fail(invalid_value(param, "'continue_final_message' and 'add_generation_prompt' cannot both be true."));
  } else if (messages.back()["role"] != "assistant") {
    fields.fail(invalid_value(param, "'continue_final_message' needs a last message of the role 'assistant'."));
  }
}

}  // namespace

void read_chat_prompt(FieldReader& fields, const RequestLimits& limits, api::ChatPrompt& prompt) {
  const Json* messages = fields.any("messages");
  if (messages == nullptr) return fields.fail(missing_parameter(fields.path("messages")));
  auto clean = normalise_messages(*messages, fields.path("messages"), limits.messages_max);
  if (!clean.ok()) return fields.fail(std::move(clean).error());
  read_ending(fields, *clean, prompt);
  prompt.messages = std::make_shared<const Json>(std::move(clean).value());
  read_tools(fields, limits, prompt);
  read_template_variables(fields, prompt);
}

}  // namespace sluice::openai
