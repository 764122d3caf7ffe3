#pragma once
// Splits an answer into the reasoning at its begin and what follows it.

#include <string>
#include <string_view>

namespace sluice::text::answers {

class ReasoningSplitter {
 public:
  // `begun`: the answer begins inside the reasoning; an opener that comes all the same is left out.
  ReasoningSplitter(std::string opener, std::string closer, bool begun)
      : opener_(std::move(opener)), closer_(std::move(closer)), state_(begun ? State::kBegun : State::kStart) {}

  // What is certain now is appended. White space at the markers belongs to neither.
  void push(std::string_view text, std::string& reasoning, std::string& answer);
  // `truncated`: as AnswerParser::finish.
  void finish(bool truncated, std::string& reasoning, std::string& answer);

 private:
  enum class State { kStart, kBegun, kReasoning, kGap, kAnswer };
  bool advance(std::string& reasoning, std::string& answer);

  std::string opener_, closer_;
  State state_;
  std::string pending_;           // not decided
  std::string space_;             // of kReasoning: white space that ends it, perhaps
  bool reasoning_begun_ = false;  // anything but white space has come
};

}  // namespace sluice::text::answers
