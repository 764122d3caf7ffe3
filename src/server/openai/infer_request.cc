#include "base/json.h"
#include "base/strings.h"
#include "server/openai/chat_prompt.h"
#include "server/openai/request.h"
#include "server/openai/request_fields.h"
#include "server/openai/sampling_request.h"

namespace sluice::openai {
namespace {

constexpr std::string_view kAccepted =
    "a text, an array of texts, an array of chat messages, {\"messages\": […]}, {\"prompt\": \"…\"} or {\"text\": "
    "\"…\"}";

Error unsupported_input(const std::string& param, const Json& value) {
  return unsupported_value(param, cat("Unsupported input: '", param, "' is ", json_type_name(value),
                                      ", which is unsupported by this model. It accepts ", kAccepted, "."));
}

// Reads "input" in all its forms. Sampling fields stand beside it, or under "parameters".
class InferParser {
 public:
  InferParser(const Json& body, bool chat, const ParseOptions& options) : body_(body), chat_(chat), options_(options) {}

  Result<InferCall> parse() {
    const Json* input = json_find(body_, "input");
    if (input == nullptr || input->is_null()) return missing_parameter("input");
    SLUICE_RETURN_IF_ERROR(read_settings());
    SLUICE_RETURN_IF_ERROR(read_input(*input));
    for (const api::Prompt& prompt : prompts_) {
      call_.call.requests.push_back(request_);
      call_.call.requests.back().prompt = prompt;
    }
    return std::move(call_);
  }

 private:
  Result<void> read_settings() {
    Json settings = body_;
    if (const Json* parameters = json_find(body_, "parameters"); parameters != nullptr && !parameters->is_null()) {
      if (!parameters->is_object()) return invalid_type("parameters", "an object", *parameters);
      for (const auto& [name, value] : parameters->items()) settings[name] = value;
    }
    FieldReader fields(settings);
    request_.model = fields.string(field::kModel).value_or("");
    read_sampling(fields, options_, request_, call_.call.answer);
    request_.choices = call_.call.answer.choices = 1;
    const auto older = fields.integer(field::kMaxTokens);
    const auto newer = fields.integer(field::kMaxCompletionTokens);
    request_.sampling.max_tokens = static_cast<int>(newer.value_or(older.value_or(0)));
    check_min_tokens(fields, request_.sampling);
    if (fields.boolean(field::kStream).value_or(false)) {
      fields.fail(unsupported_value(
          "stream", "Unsupported value: /infer answers as a whole; use /v1/chat/completions to stream."));
    }
    if (!fields.ok()) return fields.error();
    return {};
  }

  Result<void> read_input(const Json& input) {
    if (input.is_string()) return add_text(input.get<std::string>());
    if (input.is_object()) return read_object(input);
    if (!input.is_array() || input.empty()) return unsupported_input("input", input);
    if (input.front().is_object()) return add_chat(Json{{"messages", input}}, "");
    if (static_cast<int64_t>(input.size()) > options_.limits.prompts_max) {
      return invalid_value("input", cat("Invalid 'input': at most ", options_.limits.prompts_max, " texts, but got ",
                                        input.size(), "."));
    }
    call_.batch = true;
    for (size_t i = 0; i < input.size(); ++i) {
      if (!input[i].is_string()) return unsupported_input(cat("input[", i, "]"), input[i]);
      SLUICE_RETURN_IF_ERROR(add_text(input[i].get<std::string>()));
    }
    return {};
  }

  Result<void> read_object(const Json& input) {
    if (json_find(input, "messages") != nullptr) return add_chat(input, "input");
    for (const char* name : {"prompt", "text", "content"}) {
      const Json* text = json_find(input, name);
      if (text == nullptr) continue;
      if (!text->is_string()) return invalid_type(cat("input.", name), "a string", *text);
      if (std::string_view(name) != "prompt") return add_text(text->get<std::string>());
      prompts_.push_back(api::TextPrompt{text->get<std::string>(), true});
      return {};
    }
    return unsupported_input("input", input);
  }

  Result<void> add_text(std::string text) {
    if (!chat_) {
      prompts_.push_back(api::TextPrompt{std::move(text), true});
      return {};
    }
    api::ChatPrompt prompt;
    Json messages = Json::array();
    messages.push_back(Json{{"role", "user"}, {"content", std::move(text)}});
    prompt.messages = std::make_shared<const Json>(std::move(messages));
    prompts_.push_back(std::move(prompt));
    return {};
  }

  // `path` is where `holder` stands in the body; "" for an input that is itself the messages.
  Result<void> add_chat(const Json& holder, const std::string& path) {
    FieldReader fields(holder, path);
    api::ChatPrompt prompt;
    const ToolUse tools = read_chat_prompt(fields, options_.limits, prompt);
    if (tools.choice == ToolUse::Choice::kRequired || tools.choice == ToolUse::Choice::kNamed) {
      fields.fail(
          unsupported_value(fields.path("tool_choice"),
                            "Unsupported value: /infer answers with text; use /v1/chat/completions for calls."));
    }
    if (!fields.ok()) {
      Error error = fields.error();
      if (path.empty() && error.param.starts_with("messages")) error.param.replace(0, 8, "input");
      return error;
    }
    prompts_.push_back(std::move(prompt));
    return {};
  }

  const Json& body_;
  const bool chat_;
  const ParseOptions& options_;
  api::GenerateRequest request_;
  std::vector<api::Prompt> prompts_;
  InferCall call_;
};

}  // namespace

Result<InferCall> parse_infer_request(const Json& body, bool chat, const ParseOptions& options) {
  return InferParser(body, chat, options).parse();
}

}  // namespace sluice::openai
