// Tables, index and window slots together, by hand: what may be continued from where, and what it costs.
#include "engine/cache_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "engine/engine_test_model.h"

namespace sluice::engine {
namespace {

using Tokens = std::vector<TokenId>;

Tokens text(int length, TokenId first = 3) {
  Tokens tokens(static_cast<size_t>(length));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Blocks of 4 tokens; every layer but one has the window.
struct Cache {
  Cache(int window, model::CacheSize size, int step_rows_max = 8)
      : model(64, 1000, 4, {}, {.tokens = window, .full_layers = true}), cache(model, size, step_rows_max, true) {
    EXPECT_TRUE(model.reserve(size, 64, 64).ok());
  }
  ~Cache() {
    std::erase_if(live, [](const BlockTable* table) { return table->blocks.empty(); });
    const Result<void> audit = cache.audit(live);
    EXPECT_TRUE(audit.ok()) << audit.error().message;
  }

  // A table that has computed all of `tokens`, `rows` at a time.
  BlockTable& compute(const Tokens& tokens, int rows = 8, std::string_view salt = "") {
    BlockTable& table = *tables.emplace_back(std::make_unique<BlockTable>());
    live.push_back(&table);
    EXPECT_TRUE(cache.acquire(table, {salt, tokens}, static_cast<int>(tokens.size()) - 1, true));
    compute_rest(table, tokens, rows, salt);
    return table;
  }
  void compute_rest(BlockTable& table, const Tokens& tokens, int rows, std::string_view salt = "") {
    while (table.computed < static_cast<int>(tokens.size())) {
      const int next = std::min(rows, static_cast<int>(tokens.size()) - table.computed);
      cache.prepare(table, next);
      cache.commit(table, {salt, tokens}, table.computed + next, false);
      const Result<void> audit = cache.audit(live);
      ASSERT_TRUE(audit.ok()) << audit.error().message;
    }
  }
  void store(const Tokens& tokens, int rows = 8) { cache.release(compute(tokens, rows), {"", tokens}); }
  int reusable(const Tokens& tokens) {
    const Reuse reuse = cache.lookup({"", tokens}, static_cast<int>(tokens.size()), true);
    return reuse.full_blocks * 4 + reuse.partial_tokens;
  }

  HashModel model;
  CacheBlocks cache;
  std::vector<std::unique_ptr<BlockTable>> tables;
  std::vector<const BlockTable*> live;
};

TEST(CacheLayout, SaysWhichBlocksAWindowTouches) {
  const model::CacheLayout layout = {.block_tokens = 4, .window_tokens = 6};
  EXPECT_EQ(layout.window_begin(0), 0);
  EXPECT_EQ(layout.window_begin(8), 0);  // token 8 reads tokens 3 to 8
  EXPECT_EQ(layout.window_begin(9), 1);
  for (int window = 1; window <= 20; ++window) {
    for (int rows = 1; rows <= 12; ++rows) {
      const model::CacheLayout one = {.block_tokens = 4, .window_tokens = window};
      int most = 0;
      for (int position = 100; position < 104; ++position) {
        most = std::max(most, (position + rows - 1) / 4 - one.window_begin(position) + 1);
      }
      EXPECT_EQ(one.window_blocks(rows), most) << window << " " << rows;
    }
  }
}

TEST(CacheBlocks, ATableHoldsItsWindowAlone) {
  Cache t(6, {50, 50});
  const BlockTable& table = t.compute(text(41));
  EXPECT_EQ(table.blocks.size(), 11u);
  EXPECT_EQ(t.cache.window().used(), 2);  // tokens 36 to 40, of the 36 to 41 that the next row reads
  EXPECT_EQ(table.window_slots[8], -1);
  EXPECT_GE(table.window_slots[9], 0);
  EXPECT_EQ(t.cache.window().idle(), 9);  // remembered with their blocks
  EXPECT_EQ(t.cache.window_room(), 50 - 2);
}

TEST(CacheBlocks, PromisesTheWidestWindowOfTheKnownTokens) {
  Cache t(6, {50, 50}, 8);
  BlockTable table;
  ASSERT_TRUE(t.cache.acquire(table, {"", text(9)}, 8, true));
  EXPECT_EQ(t.cache.window_room(), 50 - 3);
  BlockTable longer;
  const Tokens many = text(60, 100);
  ASSERT_TRUE(t.cache.acquire(longer, {"", many}, 59, true));
  EXPECT_EQ(t.cache.window_room(), 50 - 3 - 4);  // 5 tokens before and 8 rows touch at most 4 blocks
  EXPECT_EQ(t.cache.window().used(), 0);
  t.live = {&table, &longer};
  t.compute_rest(longer, many, 8);
  EXPECT_EQ(t.cache.window_room(), 50 - 3 - 2);
  t.cache.discard(table);
  t.cache.discard(longer);
  t.live.clear();  // they end before the cache
  EXPECT_EQ(t.cache.window_room(), 50);
}

TEST(CacheBlocks, APrefixIsOfUseWhereItsWindowIsThere) {
  Cache t(6, {50, 50});
  t.store(text(41));
  EXPECT_EQ(t.reusable(text(41)), 41);
  // Others take slots until those that fell behind the window first are gone: blocks 0 to 6 of the text.
  Cache small(6, {50, 11});
  small.store(text(41));
  EXPECT_EQ(small.reusable(text(20)), 20);
  small.store(text(25, 100));
  const WindowSlots& window = small.cache.window();
  EXPECT_EQ(window.free(), 0);
  EXPECT_EQ(small.reusable(text(41)), 41);  // its last window is still there
  EXPECT_EQ(small.reusable(text(20)), 0);   // but not that of a beginning
  EXPECT_EQ(small.reusable(text(39)), 39);
}

TEST(CacheBlocks, AMatchIsShortenedToTheToken) {
  Cache t(6, {50, 6});
  const Tokens known = text(22);
  t.store(known);
  Tokens other = known;
  other[21] = 999;
  EXPECT_EQ(t.reusable(other), 21);
  t.store(text(3, 100));  // takes the slot of the text's first block
  EXPECT_EQ(t.reusable(known), 22);
  EXPECT_EQ(t.reusable(text(12)), 12);
  EXPECT_EQ(t.reusable(text(9)), 9);  // the next token, number 9, reads tokens 4 to 9
  EXPECT_EQ(t.reusable(text(8)), 0);  // and number 8 would read number 3
  const Reuse whole_blocks = t.cache.lookup({"", text(11)}, 11, false);
  EXPECT_EQ(whole_blocks.full_blocks, 0);  // without the copy nothing is left
}

TEST(CacheBlocks, AKnownBlockGetsTheWindowPartItHasLost) {
  Cache t(6, {50, 8});
  t.store(text(24));
  t.store(text(20, 100));  // five slots: the text's first blocks lose theirs
  EXPECT_EQ(t.reusable(text(8)), 0);
  const int blocks = t.cache.allocator().idle();
  t.store(text(12));  // computed anew, in blocks of its own that give way to the known ones
  EXPECT_EQ(t.cache.allocator().idle(), blocks);
  EXPECT_EQ(t.reusable(text(12)), 12);
}

TEST(CacheBlocks, SharedSlotsCountOnce) {
  Cache t(100, {50, 12});
  const Tokens prompt = text(32);
  BlockTable& first = t.compute(prompt);
  EXPECT_EQ(t.cache.window_room(), 12 - 8);
  const Reuse reuse = t.cache.lookup({"", prompt}, 31, true);
  EXPECT_EQ(reuse.full_blocks, 7);
  EXPECT_EQ(reuse.window_slots, 1);
  BlockTable& second = t.compute(prompt);
  // Its last block was a copy, and gave way to the known one when it was full.
  EXPECT_EQ(t.cache.window().used(), 8);
  EXPECT_EQ(t.cache.window_room(), 12 - 8);
  EXPECT_EQ(t.cache.releasable(second).window_slots, 0);
  EXPECT_TRUE(t.cache.window_grows(second));
  t.cache.release(first, {"", prompt});
  EXPECT_EQ(t.cache.releasable(second).window_slots, 8);
}

// Sequences that shared slots and go apart need more than they were promised: the room falls below 0 before any
// slot is missing.
TEST(CacheBlocks, TheRoomTellsWhenSharersGoApart) {
  Cache t(16, {50, 7}, 4);
  const Tokens prompt = text(17);
  BlockTable& first = t.compute(prompt, 4);
  BlockTable& second = t.compute(prompt, 4);
  EXPECT_GE(t.cache.window_room(), 0);
  Tokens ours = prompt, theirs = prompt;
  for (int i = 0; i < 7; ++i) {
    ours.push_back(200 + i);
    theirs.push_back(300 + i);
  }
  t.compute_rest(first, ours, 1);
  EXPECT_GE(t.cache.window_room(), -1);
  t.cache.discard(first);
  t.compute_rest(second, theirs, 1);
}

TEST(CacheBlocks, RefusesWhatHasNoRoom) {
  Cache t(16, {50, 8}, 8);
  const Tokens prompt = text(30);
  t.compute(prompt);
  BlockTable other;
  const int free = t.cache.window().free();
  EXPECT_FALSE(t.cache.acquire(other, {"", text(30, 100)}, 29, true));
  EXPECT_TRUE(other.blocks.empty());
  EXPECT_EQ(t.cache.window().free(), free);
}

// Rows beyond the committed ones: their blocks and slots go back as if they had never been taken.
TEST(CacheBlocks, TrimGivesBackWhatWasNotCommitted) {
  for (const int window : {0, 6}) {
    Cache t(window, {20, 12});
    BlockTable& table = t.compute(text(10));
    const auto room = [&] { return std::pair{t.cache.allocator().available(), t.cache.window_room()}; };
    const auto before = room();
    t.cache.prepare(table, 1);
    EXPECT_EQ(room(), before);
    t.cache.prepare(table, 8);
    EXPECT_EQ(table.blocks.size(), 5u);
    EXPECT_EQ(t.cache.allocator().available(), before.first - 2);
    ASSERT_TRUE(t.cache.audit(t.live).ok());
    t.cache.commit(table, {"", text(11)}, 11, false);
    t.cache.trim(table);
    EXPECT_EQ(room(), before);
    EXPECT_EQ(table.blocks.size(), 3u);
    t.cache.trim(table);
    t.compute_rest(table, text(30), 8);
    EXPECT_EQ(t.reusable(text(30)), 28);
  }
}

}  // namespace
}  // namespace sluice::engine
