#include "context/prompt_builder.h"

#include "base/json.h"
#include "base/strings.h"

namespace sluice::context {
namespace {

// The text of the last message: a string, or the last text part of a list.
Result<std::string> final_text(const Json& messages) {
  if (messages.empty()) return invalid_argument("continue_final_message needs at least one message", "messages");
  const Json* content = json_find(messages.back(), "content");
  if (content != nullptr && content->is_string()) return content->get<std::string>();
  if (content != nullptr && content->is_array() && !content->empty()) {
    if (const Json* text = json_find(content->back(), "text"); text != nullptr && text->is_string())
      return text->get<std::string>();
  }
  return invalid_argument("continue_final_message: the last message has no text to continue", "messages");
}

}  // namespace

PromptBuilder::PromptBuilder(const text::Tokenizer& tokenizer, text::ChatTemplates templates,
                             std::map<std::string, std::string> special_tokens)
    : tokenizer_(tokenizer), templates_(std::move(templates)), special_tokens_(std::move(special_tokens)) {}

Result<std::string> PromptBuilder::render(const api::ChatPrompt& prompt) const {
  SLUICE_TRY(std::string text, render_messages(prompt));
  return text + prompt.answer_opening;
}

Result<std::string> PromptBuilder::render_messages(const api::ChatPrompt& prompt) const {
  const text::ChatTemplate* chat_template = templates_.choose(prompt.tools != nullptr);
  if (chat_template == nullptr && templates_.any()) {
    return invalid_argument(
        "this model has a chat template for conversations with tools only: send tools, or start with "
        "--chat-template FILE",
        "messages");
  }
  if (chat_template == nullptr) {
    return invalid_argument(
        "this model has no chat template: use /v1/completions with a text prompt, or start with --chat-template FILE",
        "messages");
  }
  if (prompt.messages == nullptr || !prompt.messages->is_array())
    return invalid_argument("messages must be an array", "messages");
  if (prompt.continue_final_message && prompt.add_generation_prompt) {
    return invalid_argument("continue_final_message and add_generation_prompt exclude each other",
                            "continue_final_message");
  }
  Json variables = Json::object();
  for (const auto& [name, token] : special_tokens_) variables[name] = token;
  variables["documents"] = nullptr;
  if (prompt.template_variables != nullptr && prompt.template_variables->is_object()) {
    for (const auto& [name, value] : prompt.template_variables->items()) variables[name] = value;
  }
  variables["messages"] = *prompt.messages;
  variables["tools"] = prompt.tools != nullptr ? *prompt.tools : Json(nullptr);
  variables["add_generation_prompt"] = prompt.add_generation_prompt;
  SLUICE_TRY(std::string text, chat_template->render(variables));
  if (!prompt.continue_final_message) return text;

  SLUICE_TRY(const std::string last, final_text(*prompt.messages));
  const std::string_view kept = trim(last);
  const size_t found = text.rfind(kept);
  if (kept.empty() || found == std::string::npos) {
    return invalid_argument(
        "continue_final_message: the chat template does not print the last message as it is, so it cannot be continued",
        "continue_final_message");
  }
  // Cut what the template wrote after it (end-of-turn tokens); the message's own trailing white space counts as its
  // text.
  const std::string_view tail = std::string_view(last).substr(last.find(kept) + kept.size());
  const bool tail_printed = std::string_view(text).substr(found + kept.size()).starts_with(tail);
  text.resize(found + kept.size() + (tail_printed ? tail.size() : 0));
  return text;
}

Result<std::vector<text::TokenId>> PromptBuilder::tokens(const api::Prompt& prompt) const {
  if (const auto* chat = std::get_if<api::ChatPrompt>(&prompt)) {
    SLUICE_TRY(const std::string text, render(*chat));
    return tokenizer_.encode(text, {.add_special = false, .parse_special = true});
  }
  if (const auto* text = std::get_if<api::TextPrompt>(&prompt)) {
    return tokenizer_.encode(text->text, {.add_special = text->add_special, .parse_special = true});
  }
  const auto& ids = std::get<api::TokenPrompt>(prompt).ids;
  for (const text::TokenId id : ids) {
    if (id < 0 || id >= tokenizer_.vocab_size()) {
      return invalid_argument(cat("token id ", id, " is outside the vocabulary of ", tokenizer_.vocab_size()),
                              "prompt");
    }
  }
  return ids;
}

}  // namespace sluice::context
