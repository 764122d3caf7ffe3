#include "server/openai/answer_inbox.h"

#include <iterator>

namespace sluice::openai {
namespace {

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

class AnswerInbox::Sink final : public api::GenerationSink {
 public:
  Sink(std::shared_ptr<AnswerInbox> inbox, int prompt) : inbox_(std::move(inbox)), prompt_(prompt) {}
  void on_prompt(api::PromptReport report) override { inbox_->add_report(prompt_, std::move(report)); }
  void on_delta(api::TokenDelta delta) override { inbox_->add_delta(prompt_, std::move(delta)); }
  void on_end(Result<api::Usage> end) override { inbox_->add_end(std::move(end)); }

 private:
  const std::shared_ptr<AnswerInbox> inbox_;
  const int prompt_;
};

AnswerInbox::AnswerInbox(int prompts, const AnswerOptions& options) : options_(options), open_(prompts) {}

std::shared_ptr<api::GenerationSink> AnswerInbox::sink(int prompt) {
  return std::make_shared<Sink>(shared_from_this(), prompt);
}

void AnswerInbox::add_report(int prompt, api::PromptReport report) {
  const std::lock_guard lock(mutex_);
  usage_.prompt_tokens += report.prompt_tokens;
  usage_.cached_tokens += report.cached_tokens;
  reports_.emplace_back(prompt, std::move(report));
}

void AnswerInbox::add_delta(int prompt, api::TokenDelta delta) {
  // The end token has no place in the text, so its log-probability has none among those of the text's tokens.
  const bool by_token = delta.finish == api::FinishReason::kStop && delta.stop_match.empty();
  if (by_token && !options_.include_stop && !delta.logprobs.empty() && delta.logprobs.size() == delta.ids.size())
    delta.logprobs.pop_back();
  if (options_.prompt_only) {
    delta.text.clear();
    delta.ids.clear();
    delta.logprobs.clear();
    if (delta.finish) delta.finish = api::FinishReason::kLength;
  }
  bool ring = false;
  {
    const std::lock_guard lock(mutex_);
    const int choice = prompt * options_.choices + delta.choice;
    ChoicePart& part = pending_[choice];
    part.choice = choice;
    usage_.completion_tokens += static_cast<int64_t>(delta.ids.size());
    part.text += delta.text;
    append(part.ids, std::move(delta.ids));
    append(part.logprobs, std::move(delta.logprobs));
    if (delta.finish) part.finish = delta.finish;
    ring = options_.stream && due(part);
  }
  if (ring) bell_.push({});
}

void AnswerInbox::add_end(Result<api::Usage> end) {
  bool ring = false;
  {
    const std::lock_guard lock(mutex_);
    --open_;
    if (end.ok()) {
      final_usage_.prompt_tokens += end->prompt_tokens;
      final_usage_.cached_tokens += end->cached_tokens;
      if (!options_.prompt_only) final_usage_.completion_tokens += end->completion_tokens;
    } else if (!error_) {
      error_ = end.error();
    }
    ring = open_ == 0 || error_.has_value();
  }
  if (ring) bell_.push({});
}

AnswerInbox::Taken AnswerInbox::take() {
  const std::lock_guard lock(mutex_);
  Taken taken;
  taken.error = error_;
  taken.ended = open_ == 0 || error_.has_value();
  if (!taken.ended && !options_.stream) return taken;
  taken.usage = open_ == 0 && !error_ ? final_usage_ : usage_;
  taken.prompts = std::move(reports_);
  reports_.clear();
  for (auto place = pending_.begin(); place != pending_.end();) {
    if (!taken.ended && !due(place->second)) {
      ++place;
      continue;
    }
    taken.parts.push_back(std::move(place->second));
    place = pending_.erase(place);
  }
  return taken;
}

}  // namespace sluice::openai
