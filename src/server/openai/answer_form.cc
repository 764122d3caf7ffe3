#include "server/openai/answer_form.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/answer_writer.h"
#include "server/openai/fields.h"
#include "text/answers/tool_dialects.h"

namespace sluice::openai {
namespace {

namespace answers = text::answers;
using Choice = ToolUse::Choice;
constexpr size_t kShortIdBytes = 9;

bool is_forced(const ToolUse& tools) { return tools.choice == Choice::kRequired || tools.choice == Choice::kNamed; }

// The function that must be called; "" for any.
std::string forced_function(const ToolUse& tools) {
  if (tools.choice == Choice::kNamed) return tools.function;
  return tools.offered->size() == 1 ? (*tools.offered)[0]["function"]["name"].get<std::string>() : std::string();
}

Result<std::string> forced_call(const api::ModelCard& card, const api::ChatPrompt& prompt, const ToolUse& tools) {
  const auto refuse = [](std::string_view why) {
    return unsupported_value("tool_choice", cat("Unsupported value: 'tool_choice' cannot force a call ", why,
                                                " Supported values are: 'none' and 'auto'."));
  };
  if (card.tool_parser.empty())
    return refuse("with this model, as the server does not know how it writes them (--tool-call-parser).");
  if (prompt.continue_final_message) return refuse("in an answer that 'continue_final_message' has begun.");
  const auto opening = answers::forced_opening(card.tool_parser, forced_function(tools));
  if (!opening) return refuse("with this model without naming its function.");
  return *opening;
}

// Whether the message that the answer continues breaks off inside the reasoning.
bool breaks_off_reasoning(const api::ChatPrompt& prompt, std::string_view dialect) {
  const auto content = prompt.messages->back().value("content", "");
  std::vector<answers::AnswerEvent> events;
  answers::AnswerParser parser({.tool_dialect = {}, .tools = nullptr, .reasoning_dialect = std::string(dialect)});
  parser.push(content + "x", events);
  return !events.empty() && events.back().kind == answers::AnswerEvent::Kind::kReasoning;
}

Result<answers::ReasoningState> prompt_reasoning(const api::Backend& backend, const api::ModelCard& card,
                                                 const api::ChatPrompt& prompt, std::string_view dialect) {
  if (prompt.continue_final_message) {
    return breaks_off_reasoning(prompt, dialect) ? answers::ReasoningState::kBegun : answers::ReasoningState::kEnded;
  }
  SLUICE_TRY(const std::string text, backend.apply_template(card.id, prompt));
  return answers::reasoning_state(dialect, text);
}

char base62(uint64_t digit) { return "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[digit % 62]; }

// FNV-1a, spelled.
std::string hashed_id(std::string_view text) {
  uint64_t hash = 14695981039346656037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  std::string id;
  for (size_t i = 0; i < kShortIdBytes; ++i, hash /= 62) id += base62(hash);
  return id;
}

bool is_short_id(std::string_view id) {
  return id.size() == kShortIdBytes && std::ranges::all_of(id, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
         });
}

void shorten(Json& object, const char* name) {
  const Json* id = json_find(object, name);
  if (id == nullptr || !id->is_string()) return;
  const auto& text = id->get_ref<const std::string&>();
  if (!is_short_id(text)) object[name] = hashed_id(text);
}

}  // namespace

std::string make_call_id(bool short_id) { return short_id ? hashed_id(make_answer_id("")) : make_answer_id("call_"); }

Json with_short_call_ids(const Json& messages) {
  Json out = messages;
  for (Json& message : out) {
    shorten(message, "tool_call_id");
    const auto calls = message.find("tool_calls");
    if (calls == message.end()) continue;
    for (Json& call : *calls) shorten(call, "id");
  }
  return out;
}

Result<AnswerForm> prepare_answer_form(const api::Backend& backend, const api::ModelCard& card, GenerateCall& call) {
  AnswerForm form;
  api::GenerateRequest& request = call.requests.front();
  auto& prompt = std::get<api::ChatPrompt>(request.prompt);
  form.short_ids = answers::has_short_call_ids(card.tool_parser);
  if (form.short_ids) prompt.messages = std::make_shared<const Json>(with_short_call_ids(*prompt.messages));
  form.reasoning = call.answer.reasoning;
  form.parser.reasoning_dialect = card.reasoning_parser;
  if (call.tools.choice != Choice::kNone) {
    form.parser.tool_dialect = card.tool_parser;
    form.parser.tools = call.tools.offered;
    form.one_call = !call.tools.parallel || call.tools.choice == Choice::kNamed;
  }
  const bool forced = is_forced(call.tools);
  if (forced) {
    SLUICE_TRY(form.opening, forced_call(card, prompt, call.tools));
  }
  if (!card.reasoning_parser.empty() || forced) {
    // Templates open the reasoning with or without a parser for it; a call comes after it.
    const std::string dialect = card.reasoning_parser.empty() ? "qwen3" : card.reasoning_parser;
    SLUICE_TRY(const answers::ReasoningState state, prompt_reasoning(backend, card, prompt, dialect));
    const bool begun = state == answers::ReasoningState::kBegun;
    form.parser.reasoning_begun = begun && !forced;
    if (forced) {
      prompt.answer_opening = (begun ? cat("\n", answers::reasoning_closer(dialect), "\n\n") : "") + form.opening;
    }
  }
  request.sampling.shown_tokens =
      answers::shown_special_tokens(form.parser.tool_dialect, form.parser.reasoning_dialect);
  return form;
}

}  // namespace sluice::openai
