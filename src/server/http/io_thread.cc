#include "server/http/io_thread.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/thread_pool.h"

namespace sluice::http {
namespace asio = boost::asio;
namespace {
thread_local IoThread* current_thread = nullptr;
}  // namespace

struct BlockingPool::State {
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<std::function<void()>> queue;
  bool ending = false;
  std::vector<std::thread> threads;

  void run() {
    name_this_thread("sluice-block");
    while (true) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex);
        ready.wait(lock, [&] { return ending || !queue.empty(); });
        if (queue.empty()) return;
        work = std::move(queue.front());
        queue.pop_front();
      }
      work();
    }
  }
};

BlockingPool::BlockingPool(int threads) : state_(std::make_unique<State>()) {
  for (int i = 0; i < threads; ++i) state_->threads.emplace_back([state = state_.get()] { state->run(); });
}

BlockingPool::~BlockingPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
  }
  state_->ready.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

void BlockingPool::submit(std::function<void()> work) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->queue.push_back(std::move(work));
  }
  state_->ready.notify_one();
}

struct IoThread::State {
  asio::io_context loop{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{loop.get_executor()};
  std::thread thread;
};

IoThread::IoThread(BlockingPool* pool) : pool_(pool), state_(std::make_shared<State>()) {
  state_->thread = std::thread([this] {
    name_this_thread("sluice-io");
    current_thread = this;
    state_->loop.run();
  });
}

IoThread::~IoThread() {
  stop();
  state_->thread.join();
}

IoThread* IoThread::current() { return current_thread; }

// What is posted may run, and end the whole server, before the call that posts it has returned: the loop is kept alive
// until it has.
void IoThread::post(std::function<void()> function) {
  const std::shared_ptr<State> state = state_;
  asio::post(state->loop, std::move(function));
}

void IoThread::resume(std::coroutine_handle<> coroutine) {
  const std::shared_ptr<State> state = state_;
  asio::post(state->loop, [coroutine] { coroutine.resume(); });
}

void IoThread::stop() { state_->loop.stop(); }

void* IoThread::loop() { return &state_->loop; }

struct IoThread::Timer::State {
  State(asio::io_context& loop, Time when) : timer(loop, when) {}
  asio::steady_timer timer;
  std::function<void()> function;  // empty once called or cancelled
};

IoThread::Timer& IoThread::Timer::operator=(Timer&& other) noexcept {
  cancel();
  state_ = std::move(other.state_);
  return *this;
}

void IoThread::Timer::cancel() {
  if (!state_) return;
  state_->function = nullptr;
  state_->timer.cancel();
  state_.reset();
}

IoThread::Timer IoThread::call_at(Time when, std::function<void()> function) {
  SLUICE_CHECK(current() == this, "timers belong to their thread");
  Timer timer;
  timer.state_ = std::make_shared<Timer::State>(state_->loop, when);
  timer.state_->function = std::move(function);
  timer.state_->timer.async_wait([state = timer.state_](const boost::system::error_code&) {
    if (const auto call = std::exchange(state->function, nullptr)) call();
  });
  return timer;
}

Task<void> sleep_until(IoThread::Time when) {
  struct Sleep {
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) {
      IoThread* thread = IoThread::current();
      SLUICE_CHECK(thread != nullptr, "sleep_until is awaited on an I/O thread");
      timer = thread->call_at(when, [coroutine] { coroutine.resume(); });
    }
    void await_resume() {}
    IoThread::Time when;
    IoThread::Timer timer;
  };
  co_await Sleep{when, {}};
}

bool internal::OffThread::await_ready() {
  const IoThread* thread = IoThread::current();
  if (thread != nullptr && thread->pool() != nullptr) return false;
  work();
  return true;
}

void internal::OffThread::await_suspend(std::coroutine_handle<> coroutine) {
  IoThread* thread = IoThread::current();
  thread->pool()->submit([this, thread, coroutine] {
    work();
    thread->resume(coroutine);
  });
}

}  // namespace sluice::http
