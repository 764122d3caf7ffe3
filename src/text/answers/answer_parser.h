#pragma once
// AnswerParser: turns the text of one answer, as it arrives, into content, reasoning and tool calls, in the way the
// model's family writes them. The borders of the pieces do not matter: the events of any split, joined, are the same.
// One thread at a time; time is linear in the answer.
//
// What is promised:
// * Nothing of a call is ever content: text that may begin a call is held back until that is decided. An answer cut in
//   the middle of a call gives the call as far as its name is known, with the arguments so far, else nothing.
// * What turns out to be no call becomes content, whole and in order.
// * White space between a call and what stands before or after it is the form's, not content.
// * Arguments are the model's own JSON text, unaltered but for control characters inside strings, which JSON wants
//   escaped; dialects that are not JSON are translated, by the types of the tool's schema. When arguments go wrong
//   after the call has begun, the rest of the call is handed on as it is.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"

namespace sluice::text::answers {

struct AnswerEvent {
  enum class Kind { kContent, kReasoning, kCallBegin, kArguments, kCallEnd };
  Kind kind = Kind::kContent;
  std::string text;  // content, reasoning, the function's name, a piece of the arguments
  int call = 0;      // which call of the answer, from 0
  std::string id;    // of kCallBegin: the call's id when the model wrote one
};

struct AnswerOptions {
  std::string tool_dialect;           // one of tool_dialect_names(); "": calls are content
  std::shared_ptr<const Json> tools;  // OpenAI's tools array, or null
  std::string reasoning_dialect;      // one of reasoning_dialect_names(); "": reasoning is content
  bool reasoning_begun = false;       // the prompt ends inside the reasoning: the answer has only its end
};

class AnswerParser {
 public:
  // Unknown dialects are a bug of the caller (tool_dialects.h).
  explicit AnswerParser(const AnswerOptions& options);
  AnswerParser(AnswerParser&&) noexcept;
  AnswerParser& operator=(AnswerParser&&) noexcept;
  ~AnswerParser();

  // Appends the events that are certain now. No two events in a row are of the same kind and call, but for begins.
  void push(std::string_view text, std::vector<AnswerEvent>& events);
  // The answer is over. `truncated`: by its length, not by the model's own end or a stop string.
  void finish(bool truncated, std::vector<AnswerEvent>& events);

  int calls() const;  // begun so far

 private:
  struct Stages;
  std::unique_ptr<Stages> stages_;
};

}  // namespace sluice::text::answers
