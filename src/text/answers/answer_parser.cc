#include "text/answers/answer_parser.h"

#include <optional>

#include "base/json.h"
#include "text/answers/tool_dialects.h"

namespace sluice::text::answers {

struct AnswerParser::Stages {
  std::optional<ReasoningSplitter> reasoning;
  std::unique_ptr<CallParser> calls;  // or null

  void emit(const std::string& thought, const std::string& answer, std::vector<AnswerEvent>& events) {
    if (!thought.empty()) append(AnswerEvent::Kind::kReasoning, thought, events);
    if (answer.empty()) return;
    if (calls != nullptr) {
      calls->push(answer, events);
    } else {
      append(AnswerEvent::Kind::kContent, answer, events);
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
  stages_->reasoning = make_reasoning_splitter(options.reasoning_dialect, options.reasoning_begun);
  stages_->calls = make_call_parser(options.tool_dialect, std::make_shared<const ToolSet>(options.tools));
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
  if (stages_->calls != nullptr) stages_->calls->finish(truncated, events);
}

int AnswerParser::calls() const { return stages_->calls == nullptr ? 0 : stages_->calls->calls(); }

}  // namespace sluice::text::answers
