#include "base/thread_pool.h"

#include <gtest/gtest.h>

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

TEST(ThreadPool, CountsAtLeastOneCpu) { EXPECT_GE(available_cpus(), 1); }

}  // namespace
}  // namespace sluice
