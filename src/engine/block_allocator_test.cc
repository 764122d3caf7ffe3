#include "engine/block_allocator.h"

#include <gtest/gtest.h>

namespace sluice::engine {
namespace {

TEST(BlockAllocator, CountsTheThreeStates) {
  BlockAllocator allocator(3);
  const BlockId a = *allocator.allocate(), b = *allocator.allocate(), c = *allocator.allocate();
  EXPECT_FALSE(allocator.allocate());
  EXPECT_EQ(allocator.used(), 3);
  allocator.set_indexed(a, true);
  allocator.retain(a);
  allocator.release(a);
  EXPECT_EQ(allocator.idle(), 0);
  allocator.release(a);  // remembered
  allocator.release(b);  // forgotten
  EXPECT_EQ(allocator.idle(), 1);
  EXPECT_EQ(allocator.free(), 1);
  EXPECT_EQ(allocator.available(), 2);
  EXPECT_TRUE(allocator.is_free(b));
  EXPECT_FALSE(allocator.is_free(a));
  allocator.retain(a);
  EXPECT_EQ(allocator.idle(), 0);
  allocator.release(a);
  allocator.set_indexed(a, false);
  EXPECT_EQ(allocator.free(), 2);
  allocator.set_indexed(c, true);
  allocator.set_indexed(c, false);
  EXPECT_EQ(allocator.users(c), 1);
  EXPECT_EQ(allocator.used(), 1);
}

TEST(BlockAllocator, AuditFindsALeak) {
  BlockAllocator allocator(2);
  const BlockId block = *allocator.allocate();
  std::vector<int> users(2);
  EXPECT_FALSE(allocator.audit(users).ok());
  users[static_cast<size_t>(block)] = 1;
  EXPECT_TRUE(allocator.audit(users).ok());
  users[static_cast<size_t>(block)] = 2;
  EXPECT_FALSE(allocator.audit(users).ok());
}

TEST(BlockAllocatorDeathTest, WrongUseIsABug) {
  BlockAllocator allocator(2);
  EXPECT_DEATH(allocator.release(0), "released more often");
  EXPECT_DEATH(allocator.retain(0), "free block");
  EXPECT_DEATH(allocator.release(2), "capacity");
}

}  // namespace
}  // namespace sluice::engine
