#include "server/http/event_channel.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace sluice::http {
namespace {

using std::chrono::milliseconds;

// Runs a task on an I/O thread of its own and waits for its end.
template <class Body>
void on_io_thread(Body body) {
  BlockingPool pool(1);
  IoThread thread(&pool);
  std::promise<void> done;
  const auto whole = [&]() -> Task<void> {
    co_await body();
    done.set_value();
  };
  thread.post([&] { spawn(whole()); });
  done.get_future().wait();
}

TEST(EventChannel, DeliversInOrderThenEnds) {
  EventChannel<int> channel(4);
  EXPECT_TRUE(channel.push(1));
  EXPECT_TRUE(channel.push(2));
  EXPECT_TRUE(channel.push_last(3));
  EXPECT_FALSE(channel.push(4));
  EXPECT_FALSE(channel.push_last(5));
  on_io_thread([&]() -> Task<void> {
    EXPECT_EQ(co_await channel.next(), 1);
    EXPECT_EQ(channel.try_next(), 2);
    EXPECT_EQ(co_await channel.next(), 3);
    EXPECT_EQ(co_await channel.next(), std::nullopt);
  });
}

TEST(EventChannel, FullRefusesButTheLastFits) {
  EventChannel<int> channel(2);
  EXPECT_TRUE(channel.push(1));
  EXPECT_TRUE(channel.push(2));
  EXPECT_FALSE(channel.push(3));
  EXPECT_TRUE(channel.push_last(4));
  EXPECT_EQ(channel.try_next(), 1);
  EXPECT_EQ(channel.try_next(), 2);
  EXPECT_EQ(channel.try_next(), 4);
}

TEST(EventChannel, WakesFromAnotherThread) {
  EventChannel<int> channel(100000);
  constexpr int kItems = 20000;
  std::thread producer([&] {
    for (int i = 0; i < kItems; ++i) {
      EXPECT_TRUE(channel.push(i));
      if (i % 1000 == 0) std::this_thread::sleep_for(milliseconds(1));
    }
    channel.close();
  });
  int got = 0;
  on_io_thread([&]() -> Task<void> {
    while (std::optional<int> item = co_await channel.next()) EXPECT_EQ(*item, got++);
  });
  producer.join();
  EXPECT_EQ(got, kItems);
}

TEST(EventChannel, DeadlinesAndItemsRace) {
  EventChannel<int> channel(100000);
  std::atomic<bool> stop{false};
  std::thread producer([&] {
    for (int i = 0; !stop; ++i) {
      channel.push(i);
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
    channel.close();
  });
  int got = 0, timeouts = 0;
  on_io_thread([&]() -> Task<void> {
    while (got < 300) {
      const std::optional<int> item = co_await channel.next_for(std::chrono::microseconds(500));
      if (item) {
        EXPECT_EQ(*item, got++);
      } else {
        ++timeouts;
      }
    }
    stop = true;
  });
  producer.join();
  EXPECT_EQ(got, 300);
}

TEST(EventChannel, DeadlineAlonePassesAndCloseWakes) {
  EventChannel<int> channel(1);
  on_io_thread([&]() -> Task<void> {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(co_await channel.next_for(milliseconds(30)), std::nullopt);
    EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(30));
    EXPECT_FALSE(channel.closed());
    std::thread closer([&] {
      std::this_thread::sleep_for(milliseconds(20));
      channel.close();
    });
    EXPECT_EQ(co_await channel.next(), std::nullopt);
    EXPECT_TRUE(channel.closed());
    closer.join();
  });
}

TEST(Tasks, ExceptionsReachTheAwaiter) {
  on_io_thread([&]() -> Task<void> {
    const auto throws = []() -> Task<int> {
      throw std::runtime_error("x");
      co_return 1;
    };
    bool caught = false;
    try {
      (void)co_await throws();
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
    EXPECT_EQ(co_await run_blocking([] { return 7; }), 7);
    co_await sleep_for(milliseconds(1));
  });
}

// Tasks that end at once, a million deep in turn, do not use up the stack.
TEST(Tasks, LoopsOfFinishedTasksDoNotGrowTheStack) {
  int64_t sum = 0;
  const auto one = []() -> Task<int> { co_return 1; };
  const auto loop = [&]() -> Task<void> {
    for (int i = 0; i < 1'000'000; ++i) sum += co_await one();
  };
  spawn(loop());
  EXPECT_EQ(sum, 1'000'000);
}

}  // namespace
}  // namespace sluice::http
