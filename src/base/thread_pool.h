#pragma once
// The compute pool: one owner thread (the engine thread) runs short parallel loops on itself and pinned workers.
// Workers spin for a bounded time between loops, then sleep on a futex, so an idle server costs nothing and a decode
// step does not pay a wake-up per kernel.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/numa.h"

namespace sluice {

struct ThreadPoolOptions {
  int threads = 0;             // in all, the caller included; 0: the CPUs this process may use
  std::vector<int> cpus = {};  // pin thread i to cpus[i % size]; empty: no pinning
  // The memories of the machine, when there are several (base/numa.h). Without `cpus` thread i stays on the CPUs of
  // nodes[i % size].
  std::vector<NumaNode> nodes = {};
  int spin_us = 50;  // how long an idle worker spins before it sleeps
};

class ThreadPool {
 public:
  explicit ThreadPool(const ThreadPoolOptions& options = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The calling thread is the owner from now on, and is pinned as thread 0. Threads that it starts later would be, too.
  void pin_owner() const;

  // Into how many parts the tasks of a loop fall, by the memory nodes of the threads: part n are those from
  // tasks·n/nodes() on, and a thread takes those of its own part before it helps with others. At least 1.
  int nodes() const { return nodes_; }
  // The number of part n's node; of no meaning with one.
  int node_number(int n) const { return node_numbers_[static_cast<size_t>(n)]; }

  // Threads that take part, the caller included.
  int threads() const { return active_; }
  int threads_max() const { return threads_; }
  // How many take part from the next loop on: clamped to [1, threads_max()]. The others sleep. Costs nothing when it
  // changes nothing. Called by the owner thread.
  void use(int threads) {
    if (threads != active_) change_active(threads);
  }

  // Calls work(task, thread) for every task in [0, tasks), each once, and returns when all are done. `thread` is in
  // [0, threads()). Tasks of a part are handed out in order, one at a time. Only one thread may call it at a time; not
  // re-entrant; `work` must not throw.
  template <class Work>
  void parallel_for(int64_t tasks, const Work& work) {
    if (tasks <= 1 || active_ == 1) {
      for (int64_t task = 0; task < tasks; ++task) work(task, 0);
      return;
    }
    run(
        tasks,
        [](const void* context, int64_t task, int thread) { (*static_cast<const Work*>(context))(task, thread); },
        &work);
  }

 private:
  using TaskFunction = void (*)(const void* context, int64_t task, int thread);
  struct State;

  void run(int64_t tasks, TaskFunction function, const void* context);
  void worker(int index);
  void change_active(int threads);

  void pin(int index, std::thread::native_handle_type thread) const;

  const int threads_;
  std::vector<std::vector<int>> cpus_;  // thread i runs on those of cpus_[i % size]; empty: on any
  std::vector<int> parts_;              // whose tasks thread i takes first: parts_[i % size]
  std::vector<int> node_numbers_;
  int nodes_ = 1;
  int active_;  // the owner's; State holds the workers' copy
  int spin_us_;
  std::unique_ptr<State> state_;
  std::vector<std::thread> workers_;
};

// CPUs this process may run on: the affinity mask, cut by a cgroup CPU quota when there is one. At least 1.
int available_cpus();
// Names the calling thread (at most 15 bytes), as seen in top -H and debuggers.
void name_this_thread(const char* name);

}  // namespace sluice
