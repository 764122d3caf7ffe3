#pragma once
// HarmonyReader: answers of gpt-oss, which are messages. Each begins with a header that names a channel and perhaps a
// recipient, and ends with a special token:
//
//   <|channel|>analysis<|message|>Thinking.<|end|><|start|>assistant<|channel|>commentary to=functions.f
//   <|constrain|>json<|message|>{"a": 1}<|call|>
//
// The channel "analysis" is reasoning, a message to a function is a call, all others are content; several of one kind
// are joined by an empty line. The prompt ends with "<|start|>assistant", so the first header has neither. What comes
// without a header is content.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/answers/answer_parser.h"
#include "text/answers/json_span.h"

namespace sluice::text::answers {

// The dialect's name, of calls and of reasoning.
inline constexpr std::string_view kHarmony = "harmony";

// Special tokens that the reader needs to see.
const std::vector<std::string>& harmony_tokens();

class HarmonyReader {
 public:
  // Without `calls` messages to functions are content, without `reasoning` the channel "analysis" is. `begun`: the
  // prompt ends inside the reasoning.
  HarmonyReader(bool calls, bool reasoning, bool begun);

  // As AnswerParser's.
  void push(std::string_view text, std::vector<AnswerEvent>& events);
  void finish(bool truncated, std::vector<AnswerEvent>& events);
  int calls() const { return calls_; }

 private:
  enum class State { kStart, kHeader, kBody, kCall, kAfterCall };
  struct Header {
    std::string channel, recipient;
  };

  bool advance();  // false: more text is needed
  bool advance_start();
  bool advance_header();
  bool advance_body();
  bool advance_call();
  static Header read_header(std::string_view text);
  bool is_call(const Header& header) const;
  void begin_message(const Header& header);
  void end_call();
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  void consume(size_t bytes) { begin_ += bytes; }
  // To where the message's text goes.
  void say(std::string_view text);
  void append(AnswerEvent::Kind kind, int call, std::string_view text);

  const bool calls_wanted_, reasoning_wanted_;
  std::vector<AnswerEvent>* events_ = nullptr;  // while in push() or finish()
  State state_ = State::kStart;
  std::string buffer_;  // what came
  size_t begin_ = 0;    // of what is not decided
  AnswerEvent::Kind kind_ = AnswerEvent::Kind::kContent;
  bool began_ = false;      // a message has begun: white space between messages is none of their text
  bool joint_due_ = false;  // the next text of kind_ begins a further message
  bool said_content_ = false, said_reasoning_ = false;
  JsonSpan span_;        // of kCall
  bool argued_ = false;  // the call has arguments
  int calls_ = 0;
};

}  // namespace sluice::text::answers
