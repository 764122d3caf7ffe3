#include "text/answers/call_parser.h"

#include <algorithm>

#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

constexpr size_t kHeadBytes = 1024;

using Kind = AnswerEvent::Kind;

void append_event(std::vector<AnswerEvent>& events, Kind kind, int call, std::string_view text) {
  if (text.empty()) return;
  if (!events.empty() && events.back().kind == kind && events.back().call == call) {
    events.back().text += text;
  } else {
    events.push_back({.kind = kind, .text = std::string(text), .call = call, .id = {}});
  }
}

}  // namespace

void CallParser::push(std::string_view text, std::vector<AnswerEvent>& events) {
  events_ = &events;
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_ += text;
  while (advance(false)) {
  }
  events_ = nullptr;
}

void CallParser::finish(bool truncated, std::vector<AnswerEvent>& events) {
  events_ = &events;
  retry_at_ = 0;
  while (advance(!truncated)) {
  }
  switch (state_) {
    case State::kText:
      // The beginning of a marker: of a call that was cut off, or the answer's own end.
      if (!truncated) content(rest());
      break;
    case State::kHead: {
      const Head head = read_head(rest().substr(head_at_), !truncated);
      const bool call = truncated || head.explicit_marker || tools_->has(head.name);
      if (call) {
        space_.clear();
      } else {
        content(rest());
      }
      break;
    }
    case State::kArguments:
      if (!truncated) complete_arguments();
      end_call();
      break;
    case State::kBroken:
      if (!truncated) argument_text(rest());
      end_call();
      break;
    case State::kTail:
      end_call();
      break;
    case State::kBetween:
      break;
  }
  if (!after_call_ && !space_.empty()) append_event(*events_, Kind::kContent, 0, space_);
  buffer_.clear();
  begin_ = 0;
  space_.clear();
  events_ = nullptr;
}

bool CallParser::advance(bool ended) {
  switch (state_) {
    case State::kText:
      return advance_text();
    case State::kHead:
      return advance_head(ended);
    case State::kArguments:
      return advance_arguments();
    case State::kBroken:
      return advance_broken();
    case State::kTail:
      return advance_tail();
    case State::kBetween:
      return advance_between();
  }
  return false;
}

bool CallParser::advance_text() {
  if (rest().empty()) return false;
  const Opening opening = find_opening(rest(), place_);
  content(rest().substr(0, opening.at));
  consume(opening.at);
  if (opening.kind == Opening::Kind::kNone) return false;
  if (opening.kind == Opening::Kind::kFraming) {
    consume(opening.length);
    place_.line_start = true;
    return true;
  }
  state_ = State::kHead;
  head_at_ = 0;
  retry_at_ = 0;
  return true;
}

bool CallParser::advance_head(bool ended) {
  if (rest().size() < retry_at_) return false;
  const Head head = read_head(rest().substr(head_at_), ended);
  switch (head.outcome) {
    case Head::Outcome::kMore:
      retry_at_ = rest().size() <= kHeadBytes ? 0 : rest().size() + rest().size() / 4;
      return false;
    case Head::Outcome::kBad: {
      const size_t kept = std::min(rest().size(), head_at_ + std::max<size_t>(head.end, 1));
      content(rest().substr(0, kept));
      consume(kept);
      state_ = State::kText;
      array_ = false;
      return true;
    }
    case Head::Outcome::kArguments:
      consume(head_at_ + head.end);
      begin_call(head);
      begin_arguments(begun_);
      state_ = State::kArguments;
      return true;
    case Head::Outcome::kWhole:
      consume(head_at_ + head.end);
      begin_call(head);
      argument_text(head.arguments);
      end_call();
      return true;
  }
  return false;
}

bool CallParser::advance_arguments() {
  size_t taken = 0;
  const bool done = read_arguments(rest(), taken);
  consume(taken);
  if (!done && span_.broken()) {
    state_ = State::kBroken;
    return true;
  }
  if (!done) return false;
  if (begun_.open.empty()) {
    end_call();
  } else {
    span_ = JsonSpan(begun_.open);
    state_ = State::kTail;
  }
  return true;
}

bool CallParser::advance_broken() {
  const MarkerMatch match = find_marker(rest(), markers());
  argument_text(rest().substr(0, match.at));
  consume(match.at);
  if (match.marker < 0) return false;
  end_call();
  return true;
}

// What follows the arguments inside the call's own object.
bool CallParser::advance_tail() {
  std::string dropped;
  consume(span_.read(rest(), dropped));
  if (!span_.done() && !span_.broken()) return false;
  end_call();
  return true;
}

bool CallParser::advance_between() {
  const Between between = read_between(rest(), array_);
  array_ = between.array;
  switch (between.outcome) {
    case Between::Outcome::kMore:
      return false;
    case Between::Outcome::kCall:
      state_ = State::kHead;
      head_at_ = between.end;
      retry_at_ = 0;
      return true;
    case Between::Outcome::kFraming:
      consume(between.end);
      return true;
    case Between::Outcome::kText:
      state_ = State::kText;
      return true;
  }
  return false;
}

CallParser::Opening CallParser::find_call_marker(std::string_view text, const std::vector<std::string>& openers,
                                                 const std::vector<std::string>& closers) const {
  const MarkerMatch open = find_marker(text, openers);
  if (calls_ > 0 && !closers.empty()) {
    const MarkerMatch close = find_marker(text.substr(0, open.marker < 0 ? text.size() : open.at), closers);
    const bool first = close.at < open.at;
    if (first && close.marker >= 0) {
      return {
          .kind = Opening::Kind::kFraming, .at = close.at, .length = closers[static_cast<size_t>(close.marker)].size()};
    }
    if (first && open.marker < 0) return {.at = close.at};
  }
  return {.kind = open.marker >= 0 ? Opening::Kind::kCall : Opening::Kind::kNone, .at = open.at};
}

bool CallParser::read_arguments(std::string_view text, size_t& taken) {
  std::string piece;
  taken = span_.read(text, piece);
  argument_text(piece);
  return span_.done();
}

void CallParser::begin_arguments(const Head&) { span_ = JsonSpan(); }

void CallParser::begin_call(const Head& head) {
  begun_ = head;
  array_ = head.array || array_;
  space_.clear();
  place_ = {.at_start = false, .line_start = true};
  events_->push_back({.kind = Kind::kCallBegin, .text = head.name, .call = calls_, .id = head.id});
  ++calls_;
}

void CallParser::end_call() {
  events_->push_back({.kind = Kind::kCallEnd, .text = {}, .call = calls_ - 1, .id = {}});
  after_call_ = true;
  state_ = State::kBetween;
}

void CallParser::argument_text(std::string_view piece) { append_event(*events_, Kind::kArguments, calls_ - 1, piece); }

void CallParser::content(std::string_view text) {
  if (text.empty()) return;
  place_.line_start = text.back() == '\n';
  size_t end = text.size();
  while (end > 0 && is_space(text[end - 1])) --end;
  if (end > 0) {
    append_event(*events_, Kind::kContent, 0, space_ + std::string(text.substr(0, end)));
    space_.clear();
    place_.at_start = false;
    after_call_ = false;
  } else if (place_.at_start) {
    place_.line_start = true;
  }
  space_ += text.substr(end);
}

}  // namespace sluice::text::answers
