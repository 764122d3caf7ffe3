#pragma once
// For the tests of this folder: an answer's events joined, from any split of its text.

#include <string>
#include <string_view>
#include <vector>

#include <algorithm>
#include "base/check.h"
#include "base/strings.h"
#include "text/answers/answer_parser.h"

namespace sluice::text::answers {

struct JoinedAnswer {
  struct Call {
    std::string name, arguments, id;
    bool ended = false;
    bool operator==(const Call&) const = default;
  };
  std::string content, reasoning;
  std::vector<Call> calls;
  bool operator==(const JoinedAnswer&) const = default;
};

inline void join_events(const std::vector<AnswerEvent>& events, JoinedAnswer& joined) {
  for (const AnswerEvent& event : events) {
    switch (event.kind) {
      case AnswerEvent::Kind::kContent:
        joined.content += event.text;
        break;
      case AnswerEvent::Kind::kReasoning:
        joined.reasoning += event.text;
        break;
      case AnswerEvent::Kind::kCallBegin:
        SLUICE_CHECK(event.call == static_cast<int>(joined.calls.size()), "calls begin in order");
        SLUICE_CHECK(joined.calls.empty() || joined.calls.back().ended, "one call at a time");
        joined.calls.push_back({.name = event.text, .arguments = {}, .id = event.id});
        break;
      case AnswerEvent::Kind::kArguments:
        SLUICE_CHECK(event.call + 1 == static_cast<int>(joined.calls.size()), "arguments are of the open call");
        joined.calls.back().arguments += event.text;
        break;
      case AnswerEvent::Kind::kCallEnd:
        joined.calls.back().ended = true;
        break;
    }
  }
}

// `next_size(left)` says how long the next piece is.
template <class NextSize>
JoinedAnswer parse_pieces(const AnswerOptions& options, std::string_view text, bool truncated, NextSize next_size) {
  AnswerParser parser(options);
  JoinedAnswer joined;
  while (!text.empty()) {
    const size_t size = std::min(text.size(), next_size(text.size()));
    std::vector<AnswerEvent> events;
    parser.push(text.substr(0, size), events);
    join_events(events, joined);
    text.remove_prefix(size);
  }
  std::vector<AnswerEvent> events;
  parser.finish(truncated, events);
  join_events(events, joined);
  SLUICE_CHECK(parser.calls() == static_cast<int>(joined.calls.size()), "calls are counted");
  return joined;
}

inline JoinedAnswer parse_whole(const AnswerOptions& options, std::string_view text, bool truncated = false) {
  return parse_pieces(options, text, truncated, [](size_t left) { return left; });
}

}  // namespace sluice::text::answers
