#pragma once
// EventChannel<T>: how a thread outside the server (the engine's) hands values to a coroutine. Bounded; the producer is
// never blocked; one consumer, which waits without holding its I/O thread.
//
//   auto channel = std::make_shared<EventChannel<TokenEvent>>(1024);
//   writer.on_disconnect([=, &backend] { backend.cancel(id); channel->close(); });
//   …the engine's sink holds `channel` and calls push, and push_last with its last event…
//   while (std::optional<TokenEvent> event = co_await channel->next()) { … }
//
// Owner: a shared_ptr in both the producer and the coroutine; neither needs to know when the other is done.
// A handler that waits on a channel must see to it that it is closed when the client leaves (as above): a server that
// stops waits for its handlers.

#include <chrono>
#include <coroutine>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "server/http/io_thread.h"

namespace sluice::http {

template <class T>
class EventChannel {
 public:
  explicit EventChannel(size_t capacity) : capacity_(capacity) {}

  // Any thread. False when closed, or when the consumer is `capacity` items behind; the item is then dropped.
  bool push(T item) { return add(std::move(item), false); }
  // Any thread: adds one last item, even when full, and closes. False when already closed.
  bool push_last(T item) { return add(std::move(item), true); }
  // Any thread. What was pushed before is still delivered.
  void close() {
    Waiter* waiter;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      waiter = std::exchange(waiter_, nullptr);
    }
    if (waiter) waiter->wake();
  }
  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  // The item that has waited longest, if there is one now. Consumer only.
  std::optional<T> try_next() {
    const std::lock_guard lock(mutex_);
    return take();
  }

 private:
  struct Waiter {
    void wake() { thread->resume(coroutine); }
    IoThread* thread;
    std::coroutine_handle<> coroutine;
  };

  struct Next {
    bool await_ready() {
      item = channel->try_next();
      return item.has_value();
    }
    bool await_suspend(std::coroutine_handle<> coroutine) {
      waiter = {IoThread::current(), coroutine};
      SLUICE_CHECK(waiter.thread != nullptr, "an EventChannel is awaited on an I/O thread");
      {
        const std::lock_guard lock(channel->mutex_);
        if (!channel->items_.empty() || channel->closed_) return false;
        SLUICE_CHECK(channel->waiter_ == nullptr, "an EventChannel has one consumer");
        // Before the waiter is published: from then on another thread may resume this coroutine… but only by way of
        // this thread's loop, so what follows on this thread still comes first.
        channel->waiter_ = &waiter;
      }
      if (until) timer = waiter.thread->call_at(*until, [this] { expire(); });
      return true;
    }
    std::optional<T> await_resume() {
      timer.cancel();
      if (!item) item = channel->try_next();
      return std::move(item);
    }
    void expire() {
      {
        const std::lock_guard lock(channel->mutex_);
        if (channel->waiter_ != &waiter) return;  // an item came at the same moment and will resume us
        channel->waiter_ = nullptr;
      }
      waiter.coroutine.resume();
    }

    EventChannel* channel;
    std::optional<IoThread::Time> until;
    std::optional<T> item = std::nullopt;
    Waiter waiter{};
    IoThread::Timer timer{};
  };

 public:
  // co_await next(): the next item; nothing when the channel is closed and empty. Consumer only, on an I/O thread.
  auto next() { return Next{this, std::nullopt}; }
  // The same, but nothing also when `when` comes first; closed() and try_next() tell the cases apart.
  auto next_until(IoThread::Time when) { return Next{this, when}; }
  auto next_for(std::chrono::steady_clock::duration duration) {
    return next_until(std::chrono::steady_clock::now() + duration);
  }

 private:
  bool add(T&& item, bool last) {
    Waiter* waiter;
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || (!last && items_.size() >= capacity_)) return false;
      items_.push_back(std::move(item));
      closed_ = last;
      waiter = std::exchange(waiter_, nullptr);
    }
    if (waiter) waiter->wake();
    return true;
  }
  std::optional<T> take() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<T> items_;
  Waiter* waiter_ = nullptr;
  bool closed_ = false;
};

}  // namespace sluice::http
