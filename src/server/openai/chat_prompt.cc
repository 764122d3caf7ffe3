#include "server/openai/chat_prompt.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/chat_messages.h"
#include "server/openai/request_fields.h"

namespace sluice::openai {
namespace {

using Choice = ToolUse::Choice;

Result<ToolUse> named_function(const Json& choice, const std::string& param) {
  const Json* type = json_find(choice, "type");
  if (type != nullptr && *type == "allowed_tools") {
    return unsupported_value(param, cat("Unsupported value: '", param,
                                        "' of the type 'allowed_tools'. Send only the tools that are allowed."));
  }
  const Json* function = json_find(choice, "function");
  if (function == nullptr) return missing_parameter(cat(param, ".function"));
  if (!function->is_object()) return invalid_type(cat(param, ".function"), "an object", *function);
  const Json* name = json_find(*function, "name");
  if (name == nullptr) return missing_parameter(cat(param, ".function.name"));
  if (!name->is_string()) return invalid_type(cat(param, ".function.name"), "a string", *name);
  ToolUse use;
  use.choice = Choice::kNamed;
  use.function = name->get<std::string>();
  return use;
}

Result<ToolUse> tool_choice(const Json* choice, const std::string& param) {
  ToolUse use;
  use.choice = Choice::kAuto;
  if (choice == nullptr || *choice == "auto") return use;
  if (choice->is_object()) return named_function(*choice, param);
  if (!choice->is_string()) return invalid_type(param, "a string or an object", *choice);
  if (*choice == "none") {
    use.choice = Choice::kNone;
  } else if (*choice == "required") {
    use.choice = Choice::kRequired;
  } else {
    return invalid_value(param, cat("Invalid value: '", choice->get<std::string>().substr(0, 60),
                                    "'. Supported values are: 'none', 'auto', and 'required'."));
  }
  return use;
}

bool offers(const Json& tools, const std::string& function) {
  return std::ranges::any_of(tools, [&](const Json& tool) { return tool["function"]["name"] == function; });
}

// "none" hides the tools, so that the model calls none.
Result<ToolUse> parse_tools(FieldReader& fields, const RequestLimits& limits) {
  const std::string param = fields.path("tool_choice");
  const Json* tools = fields.array("tools");
  if (!fields.ok()) return fields.error();
  SLUICE_TRY(ToolUse use, tool_choice(fields.any("tool_choice"), param));
  if (tools == nullptr || tools->empty()) {
    if (use.choice == Choice::kAuto || use.choice == Choice::kNone) return ToolUse();
    return invalid_value(
        param, cat("Invalid value for '", param, "': '", param, "' is only allowed when 'tools' are specified."));
  }
  SLUICE_TRY(Json clean, normalise_tools(*tools, fields.path("tools"), limits.tools_max));
  if (use.choice == Choice::kNamed && !offers(clean, use.function)) {
    return invalid_value(cat(param, ".function.name"),
                         cat("Invalid value: '", use.function.substr(0, 60), "' is not among the 'tools'."));
  }
  if (use.choice != Choice::kNone) use.offered = std::make_shared<const Json>(std::move(clean));
  return use;
}

ToolUse read_tools(FieldReader& fields, const RequestLimits& limits, api::ChatPrompt& prompt) {
  auto use = parse_tools(fields, limits);
  if (!use.ok()) {
    fields.fail(std::move(use).error());
    return {};
  }
  use->parallel = fields.boolean(field::kParallelToolCalls).value_or(true);
  prompt.tools = use->offered;
  return std::move(use).value();
}

void read_template_variables(FieldReader& fields, api::ChatPrompt& prompt) {
  Json variables = Json::object();
  if (const auto effort = fields.string(field::kReasoningEffort)) variables["reasoning_effort"] = *effort;
  if (const Json* documents = fields.array("documents")) variables["documents"] = *documents;
  const auto refuse_template = [&](const std::string& param) {
    fields.fail(unsupported_parameter(
        param, cat("Unsupported parameter: '", param,
                   "': a request cannot bring its own template. Start the server with --chat-template FILE.")));
  };
  if (fields.any("chat_template") != nullptr) refuse_template(fields.path("chat_template"));
  if (const Json* given = fields.object("chat_template_kwargs")) {
    if (json_find(*given, "chat_template") != nullptr)
      refuse_template(cat(fields.path("chat_template_kwargs"), ".chat_template"));
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

ToolUse read_chat_prompt(FieldReader& fields, const RequestLimits& limits, api::ChatPrompt& prompt) {
  const Json* messages = fields.any("messages");
  if (messages == nullptr) {
    fields.fail(missing_parameter(fields.path("messages")));
    return {};
  }
  auto clean = normalise_messages(*messages, fields.path("messages"), limits.messages_max);
  if (!clean.ok()) {
    fields.fail(std::move(clean).error());
    return {};
  }
  read_ending(fields, *clean, prompt);
  prompt.messages = std::make_shared<const Json>(std::move(clean).value());
  ToolUse use = read_tools(fields, limits, prompt);
  read_template_variables(fields, prompt);
  return use;
}

}  // namespace sluice::openai
