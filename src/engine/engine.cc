#include "engine/engine.h"

#include <exception>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/thread_pool.h"

namespace sluice::engine {
namespace {

// How long the engine must have had nothing to do before it spends time on an audit.
constexpr std::chrono::milliseconds kIdleBeforeAudit{100};

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<model::LanguageModel> model,
                                               const text::Tokenizer& tokenizer, EngineOptions options,
                                               MetricsRegistry& metrics, const Clock& clock) {
  SLUICE_TRY(auto core, EngineCore::create(std::move(model), tokenizer, std::move(options), metrics, clock));
  return std::unique_ptr<Engine>(new Engine(std::move(core)));
}

Engine::Engine(std::unique_ptr<EngineCore> core) : core_(std::move(core)), waiting_max_(core_->options().waiting_max) {
  thread_ = std::thread([this] { loop(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = stopping_ = true;
    ready_ = false;
  }
  mail_.notify_all();
  thread_.join();
}

Result<void> Engine::submit(EngineRequest request) {
  SLUICE_TRY(auto accepted, core_->accept(std::move(request)));
  return enqueue(std::move(accepted));
}

Result<void> Engine::submit(EngineEmbedRequest request) {
  SLUICE_TRY(auto accepted, core_->accept(std::move(request)));
  return enqueue(std::move(accepted));
}

Result<void> Engine::enqueue(std::unique_ptr<Request> request) {
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return Error{ErrorCode::kUnavailable, "The server is stopping and takes no new requests.", {}, {}};
    const size_t waiting = inbox_.size() + static_cast<size_t>(unstarted_);
    if (waiting >= static_cast<size_t>(waiting_max_)) {
      return Error{ErrorCode::kResourceExhausted,
                   cat("Too many requests: ", waiting, " are waiting already. Try again later."),
                   {},
                   {}};
    }
    if (!live_.insert(request->id).second)
      return invalid_argument(cat("A request with the id ", request->id, " is already running."), "id");
    inbox_.push_back(std::move(request));
    mailed_ = static_cast<int>(inbox_.size());
  }
  mail_.notify_one();
  return {};
}

void Engine::cancel(api::RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    if (!live_.contains(id) || !cancelling_.insert(id).second) return;
    cancels_.push_back(id);
  }
  mail_.notify_one();
}

api::BackendStatus Engine::status() const {
  return {.ready = ready_, .running = running_, .waiting = waiting_ + mailed_, .kv_usage = kv_usage_};
}

bool Engine::drain(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  draining_ = true;
  ready_ = false;
  return drained_.wait_for(lock, timeout, [&] { return live_.empty(); });
}

void Engine::loop() {
  name_this_thread("engine");
  if (ThreadPool* pool = core_->options().pool; pool != nullptr) pool->pin_owner();
  try {
    while (take_mail()) {
      core_->step();
      settle();
    }
    core_->end_all({ErrorCode::kUnavailable, "The server is stopping.", {}, {}});
  } catch (const std::exception& failure) {
    log::error("the engine thread failed", {{"error", failure.what()}});
    {
      const std::lock_guard lock(mutex_);
      draining_ = stopping_ = true;
      ready_ = false;
    }
    take_mail();
    core_->end_all({ErrorCode::kInternal, "The engine has failed and stopped; see the server's log.", {}, {}});
  }
  settle();
}

// Waits for something to do and hands the mail to the core. False when the engine stops.
bool Engine::take_mail() {
  std::vector<std::unique_ptr<Request>> inbox;
  std::vector<api::RequestId> cancels;
  bool stopping;
  {
    std::unique_lock lock(mutex_);
    const auto awake = [&] { return stopping_ || !inbox_.empty() || !cancels_.empty() || core_->has_work(); };
    if (!awake() && !mail_.wait_for(lock, kIdleBeforeAudit, awake)) {
      lock.unlock();
      const Result<void> audit = core_->audit();
      SLUICE_CHECK(audit.ok(), audit.error().message);
      lock.lock();
      mail_.wait(lock, awake);
    }
    inbox.swap(inbox_);
    cancels.swap(cancels_);
    unstarted_ += static_cast<int>(inbox.size());
    waiting_ += static_cast<int>(inbox.size());
    mailed_ = 0;
    stopping = stopping_;
  }
  for (auto& request : inbox) core_->add(std::move(request));
  for (const api::RequestId id : cancels) core_->cancel(id);
  return !stopping;
}

// Publishes the core's state.
void Engine::settle() {
  running_ = core_->running();
  waiting_ = core_->waiting();
  kv_usage_ = core_->kv_usage();
  const std::vector<api::RequestId> ended = core_->take_ended();
  const std::lock_guard lock(mutex_);
  unstarted_ = core_->unstarted_requests();
  for (const api::RequestId id : ended) {
    live_.erase(id);
    cancelling_.erase(id);
  }
  if (live_.empty()) drained_.notify_all();
}

}  // namespace sluice::engine
