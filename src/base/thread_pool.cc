#include "base/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cmath>
#include <fstream>
#include <string>

#include "base/check.h"

namespace sluice {
namespace {

void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
void futex_wake_all(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}
void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// One loop at a time, its tasks in as many parts as the machine has memories. `ticket` packs the loop's number (high 32
// bits) and how many tasks of the part are left to take (low 32 bits). A worker that wakes late finds no task left, or
// another number: its compare-exchange can never take a task of a new loop with what it read of the old one.
struct ThreadPool::State {
  alignas(64) std::atomic<uint32_t> generation{0};  // futex word: rises with every loop and at the end
  std::atomic<uint32_t> active{1};  // futex word of those who do not take part: the workers from this number on
  struct alignas(64) Part {
    std::atomic<uint64_t> ticket{0};
    std::atomic<uint32_t> end{0};  // the task behind its last; written before `ticket`, as are those below
  };
  explicit State(int count) : parts(static_cast<size_t>(count)) {}
  std::vector<Part> parts;
  alignas(64) std::atomic<int64_t> unfinished{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  // Written by run() before `ticket`; what a thread read of them is right if its compare-exchange on `ticket` succeeds.
  std::atomic<TaskFunction> function{nullptr};
  std::atomic<const void*> context{nullptr};

  // Takes and runs tasks of loop `number` until none is left, those of part `first` first; returns how many.
  int64_t work(uint32_t number, int thread, int first) {
    int64_t done = 0;
    for (size_t i = 0; i < parts.size(); ++i)
      done += work_on(parts[(static_cast<size_t>(first) + i) % parts.size()], number, thread);
    return done;
  }
  int64_t work_on(Part& part, uint32_t number, int thread) {
    int64_t done = 0;
    uint64_t seen = part.ticket.load();
    while (static_cast<uint32_t>(seen >> 32) == number && static_cast<uint32_t>(seen) != 0) {
      const TaskFunction call = function;
      const void* argument = context;
      const uint32_t task = part.end - static_cast<uint32_t>(seen);
      if (!part.ticket.compare_exchange_weak(seen, seen - 1)) continue;  // `seen` is then fresh
      call(argument, task, thread);
      ++done;
      seen = part.ticket.load();
    }
    return done;
  }
};

ThreadPool::ThreadPool(const ThreadPoolOptions& options)
    : threads_(options.threads > 0 ? options.threads : available_cpus()), active_(threads_), spin_us_(options.spin_us) {
  for (const int cpu : options.cpus) cpus_.push_back({cpu});
  if (threads_ > 1 && options.nodes.size() > 1) {
    nodes_ = static_cast<int>(options.nodes.size());
    for (const NumaNode& node : options.nodes) {
      node_numbers_.push_back(node.number);
      if (options.cpus.empty()) {
        cpus_.push_back(node.cpus);
        parts_.push_back(static_cast<int>(parts_.size()));
      }
    }
    for (const int cpu : options.cpus) {
      const auto near = std::ranges::find_if(
          options.nodes, [&](const NumaNode& node) { return std::ranges::count(node.cpus, cpu) > 0; });
      parts_.push_back(near == options.nodes.end() ? 0 : static_cast<int>(near - options.nodes.begin()));
    }
  } else {
    parts_ = {0};
  }
  state_ = std::make_unique<State>(nodes_);
  state_->active = static_cast<uint32_t>(threads_);
  for (int i = 1; i < threads_; ++i) {
    workers_.emplace_back([this, i] { worker(i); });
    pin(i, workers_.back().native_handle());
  }
}

void ThreadPool::pin_owner() const { pin(0, pthread_self()); }

void ThreadPool::pin(int index, std::thread::native_handle_type thread) const {
  if (cpus_.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus_[static_cast<size_t>(index) % cpus_.size()]) CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread, sizeof set, &set);  // refused: runs unpinned
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  change_active(threads_);
  state_->generation.fetch_add(1);
  futex_wake_all(state_->generation);
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t tasks, TaskFunction function, const void* context) {
  SLUICE_CHECK(tasks < INT32_MAX);
  State& s = *state_;
  const uint32_t generation = s.generation.load() + 1;
  s.function = function;
  s.context = context;
  s.unfinished = tasks;
  for (int n = 0; n < nodes_; ++n) {
    State::Part& part = s.parts[static_cast<size_t>(n)];
    const int64_t begin = tasks * n / nodes_, end = tasks * (n + 1) / nodes_;
    part.end = static_cast<uint32_t>(end);
    part.ticket.store(uint64_t{generation} << 32 | static_cast<uint32_t>(end - begin));
  }
  s.generation.store(generation);
  if (s.sleepers.load() > 0) futex_wake_all(s.generation);

  const int64_t done = s.work(generation, 0, parts_.front());
  // The tail: another thread is in its last task; it is short, so spin, giving the core away now and then.
  int spins = 0;
  int64_t left = s.unfinished.fetch_sub(done) - done;
  while (left > 0) {
    cpu_relax();
    if (++spins % 2000 == 0) sched_yield();
    left = s.unfinished.load(std::memory_order_acquire);
  }
}

void ThreadPool::change_active(int threads) {
  active_ = std::clamp(threads, 1, threads_);
  state_->active = static_cast<uint32_t>(active_);
  futex_wake_all(state_->active);
}

void ThreadPool::worker(int index) {
  name_this_thread("sluice-compute");
  State& s = *state_;
  uint32_t seen = 0;
  while (true) {
    for (uint32_t active; (active = s.active.load()) <= static_cast<uint32_t>(index);) futex_wait(s.active, active);
    const int64_t spin_until = now_us() + spin_us_;
    for (int spins = 0; s.generation.load(std::memory_order_acquire) == seen; ++spins) {
      cpu_relax();
      if (spins % 64 == 63 && now_us() > spin_until) {
        s.sleepers.fetch_add(1);
        while (s.generation.load() == seen) futex_wait(s.generation, seen);
        s.sleepers.fetch_sub(1);
        break;
      }
    }
    seen = s.generation.load(std::memory_order_acquire);
    if (s.stop.load()) return;  // looked at after `seen`: it was set before the last rise of the generation
    if (s.active.load() <= static_cast<uint32_t>(index)) continue;  // no longer takes part in this loop
    const int64_t done = s.work(seen, index, parts_[static_cast<size_t>(index) % parts_.size()]);
    if (done > 0) s.unfinished.fetch_sub(done, std::memory_order_release);
  }
}

int available_cpus() {
  cpu_set_t set;
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : static_cast<int>(std::thread::hardware_concurrency());
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (quota_file >> quota >> period && quota != "max" && period > 0) {
    cpus = std::min(cpus, static_cast<int>(std::ceil(std::atof(quota.c_str()) / period)));
  }
  return std::max(cpus, 1);
}

void name_this_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace sluice
