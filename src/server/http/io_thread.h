#pragma once
// IoThread: one thread that runs an event loop and the coroutines bound to it. Made and owned by Server; tests may make
// their own. What a coroutine needs of it outside this folder: run_blocking (below) and EventChannel.
//
// BlockingPool: a few threads for work that would hold up an I/O thread: JSON of megabytes, templates, tokenising.

#include <chrono>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>

#include "server/http/task.h"

namespace sluice::http {

class BlockingPool {
 public:
  explicit BlockingPool(int threads);
  ~BlockingPool();  // runs what was submitted, then joins
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Any thread. First in, first out. The queue has no limit of its own: a request has at most one piece of work in it,
  // and ServerOptions::requests_max limits requests.
  void submit(std::function<void()> work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class IoThread {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `pool` serves run_blocking on this thread; it must outlive the thread. Null: run_blocking runs in place.
  explicit IoThread(BlockingPool* pool = nullptr);
  ~IoThread();  // stop() and join
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // The I/O thread the caller runs on; null on any other thread.
  static IoThread* current();

  // Any thread: runs `function` on this thread soon. After stop() it is destroyed without being run.
  void post(std::function<void()> function);
  void resume(std::coroutine_handle<> coroutine);

  // Ends the loop after the function now running; what is suspended stays suspended.
  void stop();

  BlockingPool* pool() const { return pool_; }

  // A function to be called once on this thread at a time, unless cancelled before. Only on this thread.
  class Timer {
   public:
    Timer() = default;
    ~Timer() { cancel(); }
    Timer(Timer&&) noexcept = default;
    Timer& operator=(Timer&&) noexcept;
    void cancel();

   private:
    friend class IoThread;
    struct State;
    std::shared_ptr<State> state_;
  };
  Timer call_at(Time when, std::function<void()> function);

  // For the sockets of this folder: the boost::asio::io_context, untyped to keep its header out of this one.
  void* loop();

 private:
  struct State;
  BlockingPool* pool_;
  std::shared_ptr<State> state_;
};

// co_await sleep_until(time), sleep_for(duration): on an I/O thread.
Task<void> sleep_until(IoThread::Time when);
inline Task<void> sleep_for(std::chrono::steady_clock::duration duration) {
  return sleep_until(std::chrono::steady_clock::now() + duration);
}

namespace internal {
// Suspends the coroutine, runs `work` on the pool, resumes on the I/O thread it came from. `work` must not throw.
struct OffThread {
  std::function<void()> work;
  bool await_ready();  // true when there is no pool: the work is then already done
  void await_suspend(std::coroutine_handle<> coroutine);
  void await_resume() {}
};
}  // namespace internal

// co_await run_blocking([&] { return heavy(…); }): the value of the call, which ran on the server's blocking pool while
// this I/O thread went on serving others. An exception of the call reaches the awaiter. `work` may capture by
// reference.
template <class Work, class Value = std::invoke_result_t<Work&>>
Task<Value> run_blocking(Work work) {
  std::exception_ptr thrown;
  if constexpr (std::is_void_v<Value>) {
    co_await internal::OffThread{[&] {
      try {
        work();
      } catch (...) {
        thrown = std::current_exception();
      }
    }};
    if (thrown) std::rethrow_exception(thrown);
  } else {
    std::optional<Value> value;
    co_await internal::OffThread{[&] {
      try {
        value.emplace(work());
      } catch (...) {
        thrown = std::current_exception();
      }
    }};
    if (thrown) std::rethrow_exception(thrown);
    co_return std::move(*value);
  }
}

}  // namespace sluice::http
