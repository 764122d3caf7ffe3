#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

namespace sluice {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceInEveryLoop) {
  ThreadPool pool({.threads = 4, .spin_us = 5});
  for (int loop = 0; loop < 3000; ++loop) {
    const int tasks = loop % 37;
    std::vector<std::atomic<int>> hits(static_cast<size_t>(tasks));
    pool.parallel_for(tasks, [&](int64_t task, int thread) {
      ASSERT_GE(thread, 0);
      ASSERT_LT(thread, 4);
      ++hits[static_cast<size_t>(task)];
    });
    for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1) << "loop " << loop;
  }
}

TEST(ThreadPool, WorkersThatSleptWakeForTheNextLoop) {
  ThreadPool pool({.threads = 3, .spin_us = 0});
  for (int loop = 0; loop < 50; ++loop) {
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    std::atomic<int64_t> sum{0};
    pool.parallel_for(100, [&](int64_t task, int) { sum += task; });
    EXPECT_EQ(sum.load(), 4950);
  }
}

TEST(ThreadPool, OnlyTheThreadsInUseTakePart) {
  ThreadPool pool({.threads = 4, .spin_us = 5});
  for (int loop = 0; loop < 3000; ++loop) {
    const int threads = 1 + loop / 3 % 4;
    pool.use(threads);
    ASSERT_EQ(pool.threads(), threads);
    std::vector<std::atomic<int>> hits(20);
    pool.parallel_for(20, [&](int64_t task, int thread) {
      EXPECT_LT(thread, threads);
      ++hits[static_cast<size_t>(task)];
    });
    for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1) << "loop " << loop;
    if (loop % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));  // to sleep in both ways
  }
  pool.use(99);
  EXPECT_EQ(pool.threads(), 4);
  pool.use(0);
  EXPECT_EQ(pool.threads(), 1);
  pool.use(2);  // and ends with some that sleep
}

// Nodes of this machine's CPUs, as if they had memories of their own.
std::vector<NumaNode> pretended_nodes(int count) {
  std::vector<NumaNode> nodes;
  for (int n = 0; n < count; ++n) nodes.push_back({.number = n, .cpus = {n % available_cpus()}});
  return nodes;
}

TEST(ThreadPool, RunsEveryTaskOnceOnManyNodes) {
  for (const int nodes : {2, 3}) {
    ThreadPool pool({.threads = 4, .nodes = pretended_nodes(nodes), .spin_us = 5});
    EXPECT_EQ(pool.nodes(), nodes);
    for (int loop = 0; loop < 2000; ++loop) {
      pool.use(1 + loop / 100 % 4);
      const int tasks = loop % 37;
      std::vector<std::atomic<int>> hits(static_cast<size_t>(tasks));
      pool.parallel_for(tasks, [&](int64_t task, int) { ++hits[static_cast<size_t>(task)]; });
      for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1) << "loop " << loop;
    }
  }
}

TEST(ThreadPool, AThreadTakesTheTasksOfItsNodeFirst) {
  for (const bool pinned : {false, true}) {
    // Pinned the other way round, thread 0 is near the second node.
    const std::vector<int> cpus = pinned ? std::vector<int>{1, 0} : std::vector<int>{};
    ThreadPool pool({.threads = 2, .cpus = cpus, .nodes = {{.number = 0, .cpus = {0}}, {.number = 4, .cpus = {1}}}});
    EXPECT_EQ(pool.node_number(1), 4);
    for (int loop = 0; loop < 200; ++loop) {
      std::atomic<int> begun{0};
      std::array<int, 6> takers{};
      std::array<int64_t, 2> firsts{-1, -1};
      pool.parallel_for(6, [&](int64_t task, int thread) {
        if (firsts[static_cast<size_t>(thread)] < 0) firsts[static_cast<size_t>(thread)] = task;
        takers[static_cast<size_t>(task)] = thread;
        for (++begun; begun.load() < 2;) std::this_thread::yield();  // both threads have a task
      });
      EXPECT_EQ(firsts[pinned ? 1 : 0], 0);
      EXPECT_EQ(firsts[pinned ? 0 : 1], 3);
    }
  }
}

TEST(ThreadPool, WithOneThreadOrNodeThereIsOnePart) {
  EXPECT_EQ(ThreadPool({.threads = 1, .nodes = pretended_nodes(2)}).nodes(), 1);
  EXPECT_EQ(ThreadPool({.threads = 2, .nodes = pretended_nodes(1)}).nodes(), 1);
}

TEST(ThreadPool, CountsAtLeastOneCpu) { EXPECT_GE(available_cpus(), 1); }

// A worker may be anywhere when the pool ends: spinning, falling asleep, or about to look for a loop.
TEST(ThreadPool, EndsWhereverItsThreadsAre) {
  for (int i = 0; i < 3000; ++i) {
    ThreadPool pool({.threads = 2 + i % 3, .spin_us = i % 2});
    std::atomic<int> done = 0;
    for (int loop = 0; loop < i % 4; ++loop) pool.parallel_for(3, [&](int64_t, int) { ++done; });
    for (volatile int delay = 0; delay < i % 500; delay = delay + 1) continue;
    EXPECT_EQ(done, 3 * (i % 4));
  }
}

}  // namespace
}  // namespace sluice
