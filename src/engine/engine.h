#pragma once
// Engine: a thread that owns an EngineCore and steps it, and the bounded way in from all other threads.
//
// Every accepted request gets exactly one on_end() (or done()), as its last event, whatever happens: it finishes, is
// cancelled, passes its deadline, the model fails, or the engine stops. Sinks are called on the engine thread; they
// must return quickly, and may call cancel() but no other function of the engine.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <vector>

#include "api/backend.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "engine/engine_core.h"
#include "engine/request.h"
#include "model/language_model.h"
#include "text/tokenizer.h"

namespace sluice::engine {

class Engine {
 public:
  // Reserves the model and starts the thread. `tokenizer`, `metrics` and `clock` must outlive the engine.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<model::LanguageModel> model,
                                                const text::Tokenizer& tokenizer, EngineOptions options,
                                                MetricsRegistry& metrics, const Clock& clock);
  // Stops at once: what has not ended yet ends with kUnavailable.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Any thread. An error means refused: the sink will not be called. kInvalidArgument for what can never be served,
  // kResourceExhausted when the queue is full, kUnavailable when draining or stopping.
  Result<void> submit(EngineRequest request);
  Result<void> submit(EngineEmbedRequest request);
  // Any thread. Ends the request after the step being run, with kCancelled; unknown ids are ignored.
  void cancel(api::RequestId id);
  // Any thread. The engine's state after its last step.
  api::BackendStatus status() const;

  // Accepts nothing more and waits until all requests have ended; false if that took longer than `timeout`.
  bool drain(std::chrono::milliseconds timeout);

 private:
  explicit Engine(std::unique_ptr<EngineCore> core);
  Result<void> enqueue(std::unique_ptr<Request> request);
  void loop();
  bool take_mail();
  void settle();

  std::unique_ptr<EngineCore> core_;  // used by the engine thread; accept() by all
  const int waiting_max_;

  std::mutex mutex_;
  std::condition_variable mail_;     // to the engine thread
  std::condition_variable drained_;  // live_ has become empty
  // Guarded by mutex_:
  std::vector<std::unique_ptr<Request>> inbox_;
  std::vector<api::RequestId> cancels_;            // each live id at most once
  std::unordered_set<api::RequestId> live_;        // accepted and not ended
  std::unordered_set<api::RequestId> cancelling_;  // of them, in cancels_ or taken from it
  int unstarted_ = 0;                              // in the core
  bool draining_ = false;
  bool stopping_ = false;

  std::atomic<bool> ready_{true};
  std::atomic<int> running_{0};
  std::atomic<int> waiting_{0};  // in the core
  std::atomic<int> mailed_{0};   // in the inbox
  std::atomic<double> kv_usage_{0};
  std::thread thread_;
};

}  // namespace sluice::engine
