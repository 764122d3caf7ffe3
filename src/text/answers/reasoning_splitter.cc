#include "text/answers/reasoning_splitter.h"

#include "text/answers/markers.h"

namespace sluice::text::answers {

void ReasoningSplitter::push(std::string_view text, std::string& reasoning, std::string& answer) {
  pending_ += text;
  while (advance(reasoning, answer)) {
  }
}

void ReasoningSplitter::finish(bool truncated, std::string& reasoning, std::string& answer) {
  // A marker cut off by the answer's length is none of its text.
  const bool marker = truncated && pending_.size() > skip_space(pending_, 0);
  if (state_ == State::kStart || state_ == State::kAnswer) {
    if (!(state_ == State::kStart && marker)) answer += pending_;
  } else if (state_ != State::kGap && !truncated) {
    reasoning += space_ + pending_;
  }
  pending_.clear();
}

bool ReasoningSplitter::advance(std::string& reasoning, std::string& answer) {
  if (state_ == State::kAnswer) {
    answer += pending_;
    pending_.clear();
    return false;
  }
  const size_t first = skip_space(pending_, 0);
  switch (state_) {
    case State::kStart:
    case State::kBegun: {
      const Prefix open = begins_with(std::string_view(pending_).substr(first), opener_);
      if (open == Prefix::kPart) return false;
      if (open == Prefix::kWhole) {
        pending_.erase(0, first + opener_.size());
      } else if (state_ == State::kStart) {
        state_ = State::kAnswer;
        return true;
      }
      state_ = State::kReasoning;
      pending_.erase(0, skip_space(pending_, 0));
      return true;
    }
    case State::kReasoning: {
      if (!reasoning_begun_) pending_.erase(0, first);
      const MarkerMatch close = find_marker(pending_, {closer_});
      size_t end = close.at;
      while (end > 0 && is_space(pending_[end - 1])) --end;
      if (end > 0) {
        reasoning += space_;
        reasoning.append(pending_, 0, end);
        reasoning_begun_ = true;
        space_.clear();
      }
      space_.append(pending_, end, close.at - end);
      pending_.erase(0, close.at);
      if (close.marker < 0) return false;
      pending_.erase(0, closer_.size());
      space_.clear();
      state_ = State::kGap;
      return true;
    }
    case State::kGap:
      pending_.erase(0, first);
      if (pending_.empty()) return false;
      state_ = State::kAnswer;
      return true;
    case State::kAnswer:
      break;
  }
  return false;
}

}  // namespace sluice::text::answers
