#include "engine/window_slots.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

namespace sluice::engine {
namespace {

TEST(WindowSlots, CountsTheThreeStates) {
  WindowSlots slots(2, 5);
  slots.take(3);
  slots.take(4);
  EXPECT_EQ(slots.used(), 2);
  EXPECT_EQ(slots.available(), 0);
  EXPECT_NE(slots.slot(3), slots.slot(4));
  EXPECT_EQ(slots.slot(0), -1);
  slots.retain(3);
  slots.release(3, true);
  EXPECT_EQ(slots.users(3), 1);
  slots.release(3, true);  // kept
  slots.release(4, false);
  EXPECT_EQ(slots.idle(), 1);
  EXPECT_EQ(slots.free(), 1);
  EXPECT_TRUE(slots.has(3));
  EXPECT_FALSE(slots.has(4));
  slots.retain(3);
  EXPECT_EQ(slots.used(), 1);
  slots.forget(3);  // in use: it stays
  EXPECT_TRUE(slots.has(3));
  slots.release(3, true);
  slots.forget(3);
  slots.forget(3);  // has none any more
  EXPECT_EQ(slots.free(), 2);
}

TEST(WindowSlots, TakesTheOneIdleLongest) {
  WindowSlots slots(3, 8);
  for (const BlockId block : {0, 1, 2}) slots.take(block);
  for (const BlockId block : {1, 0, 2}) slots.release(block, true);
  slots.retain(1);
  slots.release(1, true);  // the youngest now: 0, 2, 1
  const SlotId oldest = slots.slot(0);
  slots.take(5);
  EXPECT_EQ(slots.slot(5), oldest);
  EXPECT_FALSE(slots.has(0));
  slots.take(6);
  EXPECT_FALSE(slots.has(2));
  EXPECT_TRUE(slots.has(1));
}

TEST(WindowSlots, MovesToAnotherBlock) {
  WindowSlots slots(1, 2);
  slots.take(0);
  slots.retain(0);
  const SlotId slot = slots.slot(0);
  slots.move(0, 1);
  EXPECT_EQ(slots.slot(1), slot);
  EXPECT_EQ(slots.users(1), 2);
  EXPECT_FALSE(slots.has(0));
  EXPECT_TRUE(slots.audit(std::vector<int>{0, 2}).ok());
  EXPECT_FALSE(slots.audit(std::vector<int>{2, 0}).ok());
}

// Against a list: which blocks have a slot, how many users, and in which order the idle ones go.
TEST(WindowSlots, AgreesWithAList) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const int capacity = draw(1, 8), blocks = draw(capacity, 20);
    WindowSlots slots(capacity, blocks);
    std::map<BlockId, int> users;
    std::deque<BlockId> idle;
    const auto leave_idle = [&](BlockId block) { idle.erase(std::find(idle.begin(), idle.end(), block)); };
    for (int i = 0; i < 300; ++i) {
      const BlockId block = draw(0, blocks - 1);
      if (!users.contains(block)) {
        if (slots.available() == 0) continue;
        if (static_cast<int>(users.size()) == capacity) {
          users.erase(idle.front());
          idle.pop_front();
        }
        slots.take(block);
        users[block] = 1;
      } else if (const int what = draw(0, 3); what == 0) {
        slots.retain(block);
        if (users[block]++ == 0) leave_idle(block);
      } else if (what == 1 && users[block] == 0) {
        slots.forget(block);
        leave_idle(block);
        users.erase(block);
      } else if (what == 2 && !users.contains(blocks - 1 - block)) {
        slots.move(block, blocks - 1 - block);
        users[blocks - 1 - block] = users[block];
        users.erase(block);
        std::replace(idle.begin(), idle.end(), block, blocks - 1 - block);
      } else if (users[block] > 0) {
        const bool keep = draw(0, 2) > 0;
        slots.release(block, keep);
        if (--users[block] == 0 && keep) idle.push_back(block);
        if (users[block] == 0 && !keep) users.erase(block);
      }
      std::vector<int> counts(static_cast<size_t>(blocks));
      for (const auto& [known, count] : users) counts[static_cast<size_t>(known)] = count;
      ASSERT_TRUE(slots.audit(counts).ok()) << slots.audit(counts).error().message;
      for (BlockId known = 0; known < blocks; ++known) ASSERT_EQ(slots.has(known), users.contains(known));
      ASSERT_EQ(slots.idle(), static_cast<int>(idle.size()));
    }
  }
}

}  // namespace
}  // namespace sluice::engine
