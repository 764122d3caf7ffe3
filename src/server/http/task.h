#pragma once
// Task<T>: a coroutine that starts when it is awaited and gives its awaiter one T. The whole server is written in
// these; no third-party header is needed to write or await one.
//
//   Task<Result<void>> answer(const Request& request, ResponseWriter& writer) {
//     const Result<Plan> plan = co_await run_blocking([&] { return make_plan(request.body); });
//     …
//     co_return co_await writer.send(200, {{"content-type", "text/plain"}}, text);
//   }
//
// Thread: a task stays on the I/O thread on which it was started; what it awaits brings it back there.
// References given as parameters must outlive the task, as everywhere with coroutines: a lambda that is a coroutine may
// not have captures, unless the lambda object itself outlives the task.
// Failure: an exception thrown inside reaches the awaiter.
// g++ 12 miscompiles temporaries with destructors in a co_await expression; the server is built with clang.

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>
#include <variant>

#include "base/check.h"

namespace sluice::http {

template <class T = void>
class Task;

namespace internal {

struct TaskPromiseShared {
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) noexcept {
      return done.promise().awaiter;
    }
    void await_resume() noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }

  std::coroutine_handle<> awaiter = std::noop_coroutine();
};

template <class T>
struct TaskPromise : TaskPromiseShared {
  Task<T> get_return_object();
  template <class Value>
  void return_value(Value&& value) {
    state.template emplace<1>(std::forward<Value>(value));
  }
  void unhandled_exception() { state.template emplace<2>(std::current_exception()); }
  T take() {
    if (state.index() == 2) std::rethrow_exception(std::get<2>(state));
    SLUICE_CHECK(state.index() == 1, "a task was awaited before it ended");
    return std::move(std::get<1>(state));
  }

  std::variant<std::monostate, T, std::exception_ptr> state;
};

template <>
struct TaskPromise<void> : TaskPromiseShared {
  Task<void> get_return_object();
  void return_void() {}
  void unhandled_exception() { exception = std::current_exception(); }
  void take() {
    if (exception) std::rethrow_exception(exception);
  }

  std::exception_ptr exception;
};

}  // namespace internal

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;

  Task(Task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (coroutine_) coroutine_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
        task.promise().awaiter = awaiter;
        return task;
      }
      T await_resume() { return task.promise().take(); }
      std::coroutine_handle<promise_type> task;
    };
    return Awaiter{coroutine_};
  }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}

  std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
Task<T> internal::TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> internal::TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

// Starts `task` now, on the calling thread, and lets it run to its end by itself. It must not throw: an exception that
// leaves it ends the process.
void spawn(Task<void> task);

}  // namespace sluice::http
