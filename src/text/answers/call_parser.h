#pragma once
// CallParser: what every dialect of tool calls shares. Text is looked through for the beginning of a call; from there
// on it is held until its head (the function's name) is read or turns out to be no call; then the arguments are handed
// on as they come; after a call another may follow. A dialect says what the beginnings, heads, arguments and the forms
// between calls look like.
//
// The undecided text is looked at again when more comes; heads longer than kHeadBytes only when they have grown by a
// quarter, so that time stays linear.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/answers/answer_parser.h"
#include "text/answers/json_span.h"
#include "text/answers/tool_set.h"

namespace sluice::text::answers {

constexpr size_t kNameBytesMax = 256;  // of a function; what is longer is no call

class CallParser {
 public:
  virtual ~CallParser() = default;
  void push(std::string_view text, std::vector<AnswerEvent>& events);
  void finish(bool truncated, std::vector<AnswerEvent>& events);
  int calls() const { return calls_; }

 protected:
  explicit CallParser(std::shared_ptr<const ToolSet> tools) : tools_(std::move(tools)) {}

  // Where in the answer a text stands that a beginning is looked for in.
  struct Place {
    bool at_start = true;    // nothing but white space before it
    bool line_start = true;  // it begins a line
  };
  struct Opening {
    enum class Kind { kNone, kCall, kFraming };
    Kind kind = Kind::kNone;
    size_t at = 0;      // text before it is content for certain; without one, what follows is undecided
    size_t length = 0;  // of framing, which is left out
  };
  // The first place where a call may begin.
  virtual Opening find_opening(std::string_view text, const Place& place) const = 0;

  struct Head {
    enum class Outcome { kMore, kBad, kArguments, kWhole };
    Outcome outcome = Outcome::kBad;
    size_t end = 0;  // kArguments: where they begin; kWhole: behind the call; kBad: so much is content at least
    std::string name;
    std::string id;
    std::string arguments;  // of kWhole
    std::string open;       // of kArguments: brackets to be closed after them (JsonSpan's)
    bool array = false;     // calls of a list
    bool explicit_marker = false;
  };
  // The head of a call that may begin at the text's begin. kMore while that cannot be said. `ended`: the answer has
  // ended here by itself.
  virtual Head read_head(std::string_view text, bool ended) const = 0;

  struct Between {
    enum class Outcome { kMore, kCall, kText, kFraming };
    Outcome outcome = Outcome::kText;
    size_t end = 0;  // kCall: where its head begins; kFraming: so much is left out
    bool array = false;
  };
  // What follows a call. kText: back to content.
  virtual Between read_between(std::string_view text, bool in_array) const = 0;

  // Reads arguments from the text's begin into argument_text(); true when they have ended. `taken`: bytes read.
  virtual bool read_arguments(std::string_view text, size_t& taken);
  // A new call's arguments begin.
  virtual void begin_arguments(const Head& head);
  // Arguments that went wrong end here: at a marker, else at the end of the answer.
  virtual const std::vector<std::string>& markers() const = 0;

  // The usual beginning: an opener. Closers left over from a call are framing.
  Opening find_call_marker(std::string_view text, const std::vector<std::string>& openers,
                           const std::vector<std::string>& closers) const;
  // The answer has ended by itself among the arguments: what can be completed is.
  virtual void complete_arguments() {}

  void argument_text(std::string_view piece);
  const ToolSet& tools() const { return *tools_; }

 private:
  enum class State { kText, kHead, kArguments, kBroken, kTail, kBetween };

  bool advance(bool ended);  // false: more text is needed
  bool advance_text();
  bool advance_head(bool ended);
  bool advance_arguments();
  bool advance_broken();
  bool advance_tail();
  bool advance_between();
  void begin_call(const Head& head);
  void end_call();
  void content(std::string_view text);
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  void consume(size_t bytes) { begin_ += bytes; }

  const std::shared_ptr<const ToolSet> tools_;
  std::vector<AnswerEvent>* events_ = nullptr;  // while in push() or finish()
  State state_ = State::kText;
  std::string buffer_;   // what came
  size_t begin_ = 0;     // of what is not decided
  std::string space_;    // white space that is content unless a call follows
  size_t head_at_ = 0;   // of kHead: where in the rest; before it stands what joins it to the last call
  size_t retry_at_ = 0;  // of kHead: look again when the rest has so many bytes
  Place place_;
  bool after_call_ = false;  // nothing but white space since a call
  bool array_ = false;
  Head begun_;     // the call whose arguments are being read
  JsonSpan span_;  // of kArguments and kTail
  int calls_ = 0;
};

}  // namespace sluice::text::answers
