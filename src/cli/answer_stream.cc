#include "cli/answer_stream.h"

#include <chrono>
#include <deque>

namespace sluice::cli {
namespace {

using Seconds = std::chrono::duration<double>;
using Time = std::chrono::steady_clock;

// Hands the engine thread's events to the waiting thread, and notes when they came: that thread may be late.
class EventMailbox final : public api::GenerationSink {
 public:
  void on_prompt(api::PromptReport) override {}
  void on_delta(api::TokenDelta delta) override {
    const std::lock_guard lock(mutex_);
    if (!first_token_) first_token_ = Time::now();
    deltas_.push_back(std::move(delta));
    arrived_.notify_one();
  }
  void on_end(Result<api::Usage> end) override {
    const std::lock_guard lock(mutex_);
    ended_ = Time::now();
    end_.emplace(std::move(end));
    arrived_.notify_one();
  }

  // Waits a little for something new. Deltas first; the end only when none is left.
  bool next(std::deque<api::TokenDelta>& deltas, std::optional<Result<api::Usage>>& end) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::milliseconds(50), [&] { return !deltas_.empty() || end_; });
    deltas.swap(deltas_);
    deltas_.clear();
    if (deltas.empty() && end_) end = *end_;
    return !deltas.empty() || end.has_value();
  }

  // After the end.
  void set_times(Time::time_point start, Answer& answer) {
    const std::lock_guard lock(mutex_);
    if (first_token_) answer.first_token_s = Seconds(*first_token_ - start).count();
    answer.total_s = Seconds(ended_ - start).count();
  }

 private:
  std::mutex mutex_;
  std::optional<Time::time_point> first_token_;
  Time::time_point ended_;
  std::condition_variable arrived_;
  std::deque<api::TokenDelta> deltas_;
  std::optional<Result<api::Usage>> end_;
};

}  // namespace

Result<Answer> wait_for_answer(api::Backend& backend, api::GenerateRequest request,
                               const std::function<void(const std::string&)>& on_text, const std::atomic<bool>* stop) {
  const auto mailbox = std::make_shared<EventMailbox>();
  const api::RequestId id = request.id;
  const Time::time_point start = Time::now();
  SLUICE_RETURN_IF_ERROR(backend.generate(std::move(request), mailbox));
  Answer answer;
  bool cancelled = false;
  while (true) {
    std::deque<api::TokenDelta> deltas;
    std::optional<Result<api::Usage>> end;
    if (stop != nullptr && stop->load() && !cancelled) {
      cancelled = true;
      backend.cancel(id);
    }
    if (!mailbox->next(deltas, end)) continue;
    for (const api::TokenDelta& delta : deltas) {
      if (delta.finish) answer.finish = *delta.finish;
      answer.usage.completion_tokens += static_cast<int64_t>(delta.ids.size());  // what a stopped answer reports
      if (delta.choice != 0 || cancelled) continue;
      answer.text += delta.text;
      if (on_text && !delta.text.empty()) on_text(delta.text);
    }
    if (!end) continue;
    mailbox->set_times(start, answer);
    if (cancelled) {
      answer.finish = api::FinishReason::kCancelled;
      return answer;
    }
    if (!end->ok()) return end->error();
    answer.usage = **end;
    return answer;
  }
}

}  // namespace sluice::cli
