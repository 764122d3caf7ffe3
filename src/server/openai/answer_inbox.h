#pragma once
// AnswerInbox: where a backend's thread leaves the events of one answer (one or several requests) and a coroutine takes
// them. What comes while the coroutine waits for a slow client is merged per choice, so that memory is bounded by the
// answer's own length and a slow reader gets fewer, longer chunks.
//
// Owner: shared by the coroutine and the sinks; either may go first.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "api/generate.h"
#include "server/http/event_channel.h"
#include "server/openai/answer_writer.h"
#include "server/openai/request.h"

namespace sluice::openai {

class AnswerInbox : public std::enable_shared_from_this<AnswerInbox> {
 public:
  // An inbox for `prompts` requests with options.choices choices each. When the answer is not streamed, the bell rings
  // only at the end and all parts come at once.
  AnswerInbox(int prompts, const AnswerOptions& options);

  // The sink of the request of prompt `prompt`. Events may come on any thread.
  std::shared_ptr<api::GenerationSink> sink(int prompt);

  struct Ring {};
  // Rings when there is something to take; one consumer.
  http::EventChannel<Ring>& bell() { return bell_; }

  struct Taken {
    std::vector<std::pair<int, api::PromptReport>> prompts;  // reports that came, by prompt
    std::vector<ChoicePart> parts;                           // by choice; those with new text or an end
    api::Usage usage;                                        // so far; exact when ended
    bool ended = false;                                      // every request has ended, or one has failed
    std::optional<Error> error;                              // the first failure
  };
  // Consumer only.
  Taken take();

 private:
  class Sink;

  void add_report(int prompt, api::PromptReport report);
  void add_delta(int prompt, api::TokenDelta delta);
  void add_end(Result<api::Usage> end);
  bool due(const ChoicePart& part) const { return !part.text.empty() || part.finish.has_value(); }

  const AnswerOptions options_;
  http::EventChannel<Ring> bell_{1};  // further rings while one waits are dropped
  std::mutex mutex_;
  std::vector<std::pair<int, api::PromptReport>> reports_;
  std::map<int, ChoicePart> pending_;  // by choice
  api::Usage usage_;                   // running counts
  api::Usage final_usage_;             // sums of the requests' own
  int open_;                           // requests without an end
  std::optional<Error> error_;
};

}  // namespace sluice::openai
