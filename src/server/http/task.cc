#include "server/http/task.h"

namespace sluice::http {
namespace {

// A coroutine that owns itself: starts at once and is destroyed when it ends.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

Detached detach(Task<void> task) { co_await std::move(task); }

}  // namespace

void spawn(Task<void> task) { detach(std::move(task)); }

}  // namespace sluice::http
