#include "text/answers/answer_parser.h"

#include <optional>

#include "base/json.h"
#include "text/answers/harmony_reader.h"
#include "text/answers/tool_dialects.h"

namespace sluice::text::answers {

struct AnswerParser::Stages {
  std::optional<ReasoningSplitter> reasoning;
  std::optional<HarmonyReader> messages;
  std::unique_ptr<CallParser> calls;  // or null

  void emit(const std::string& thought, const std::string& answer, std::vector<AnswerEvent>& events) {
    if (!thought.empty()) append(AnswerEvent::Kind::kReasoning, thought, events);
    if (answer.empty()) return;
    if (!messages) return emit_content(answer, events);
    std::vector<AnswerEvent> read;
    messages->push(answer, read);
    emit_all(read, events);
  }
  // What messages have given: their content may hold calls of another form.
  void emit_all(std::vector<AnswerEvent>& read, std::vector<AnswerEvent>& events) {
    for (AnswerEvent& event : read) {
      if (event.kind == AnswerEvent::Kind::kContent) {
        emit_content(event.text, events);
      } else {
        events.push_back(std::move(event));
      }
    }
  }
  void emit_content(const std::string& text, std::vector<AnswerEvent>& events) {
    if (calls != nullptr) {
      calls->push(text, events);
    } else {
      append(AnswerEvent::Kind::kContent, text, events);
    }
  }
  static void append(AnswerEvent::Kind kind, const std::string& text, std::vector<AnswerEvent>& events) {
    if (!events.empty() && events.back().kind == kind) {
      events.back().text += text;
    } else {
      events.push_back({.kind = kind, .text = text, .call = 0, .id = {}});
    }
  }
};

AnswerParser::AnswerParser(const AnswerOptions& options) : stages_(std::make_unique<Stages>()) {
  const bool calls = options.tool_dialect == kHarmony, reasoning = options.reasoning_dialect == kHarmony;
  if (calls || reasoning) stages_->messages.emplace(calls, reasoning, reasoning && options.reasoning_begun);
  if (!reasoning) stages_->reasoning = make_reasoning_splitter(options.reasoning_dialect, options.reasoning_begun);
  if (!calls) stages_->calls = make_call_parser(options.tool_dialect, std::make_shared<const ToolSet>(options.tools));
}
AnswerParser::AnswerParser(AnswerParser&&) noexcept = default;
AnswerParser& AnswerParser::operator=(AnswerParser&&) noexcept = default;
AnswerParser::~AnswerParser() = default;

void AnswerParser::push(std::string_view text, std::vector<AnswerEvent>& events) {
  if (!stages_->reasoning) {
    stages_->emit({}, std::string(text), events);
    return;
  }
  std::string thought, answer;
  stages_->reasoning->push(text, thought, answer);
  stages_->emit(thought, answer, events);
}

void AnswerParser::finish(bool truncated, std::vector<AnswerEvent>& events) {
  if (stages_->reasoning) {
    std::string thought, answer;
    stages_->reasoning->finish(truncated, thought, answer);
    stages_->emit(thought, answer, events);
  }
  if (stages_->messages) {
    std::vector<AnswerEvent> read;
    stages_->messages->finish(truncated, read);
    stages_->emit_all(read, events);
  }
  if (stages_->calls != nullptr) stages_->calls->finish(truncated, events);
}

int AnswerParser::calls() const {
  if (stages_->calls != nullptr) return stages_->calls->calls();
  return stages_->messages ? stages_->messages->calls() : 0;
}

}  // namespace sluice::text::answers
