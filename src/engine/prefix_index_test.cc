#include "engine/prefix_index.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice::engine {
namespace {

using Tokens = std::vector<TokenId>;

struct Index {
  Index(int blocks, int block_tokens)
      : allocator(blocks), index(allocator, block_tokens), length(static_cast<size_t>(block_tokens)) {}

  // Stores a text as a sequence that computed all of it and ended; its blocks become idle.
  void store(std::string_view salt, const Tokens& text) {
    RadixPrefixIndex::Cursor cursor = nullptr;
    std::vector<BlockId> used;
    for (size_t at = 0; at < text.size(); at += length) {
      const std::span<const TokenId> run(text.data() + at, std::min(length, text.size() - at));
      ASSERT_TRUE(index.make_room(1));
      BlockId block = *allocator.allocate();
      if (run.size() == length) {
        const auto inserted = index.insert_full(salt, cursor, run, block);
        cursor = inserted.cursor;
        if (inserted.block != block) {
          allocator.retain(inserted.block);
          allocator.release(block);
          block = inserted.block;
        }
      } else {
        index.insert_partial(salt, cursor, run, block);
      }
      used.push_back(block);
    }
    for (const BlockId block : used) allocator.release(block);
  }
  int known(std::string_view salt, const Tokens& text) const {
    const auto match = index.match(salt, nullptr, text);
    return static_cast<int>(match.blocks.size() * length) + match.partial_tokens;
  }
  void expect_sound() const {
    const auto audit = index.audit();
    EXPECT_TRUE(audit.ok()) << audit.error().message;
    EXPECT_TRUE(allocator.audit(std::vector<int>(static_cast<size_t>(allocator.capacity()))).ok());
  }

  BlockAllocator allocator;
  RadixPrefixIndex index;
  size_t length;
};

TEST(PrefixIndex, MatchesToTheToken) {
  Index t(16, 4);
  t.store("", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_EQ(t.known("", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), 10);
  EXPECT_EQ(t.known("", {1, 2, 3, 4, 5, 6, 7, 8, 9, 99}), 9);
  EXPECT_EQ(t.known("", {1, 2, 3, 4, 5, 6, 7, 99}), 7);
  EXPECT_EQ(t.known("", {1, 2, 3, 4, 5, 6, 7}), 7);
  EXPECT_EQ(t.known("", {1}), 1);
  EXPECT_EQ(t.known("", {2, 2, 3, 4}), 0);
  EXPECT_EQ(t.known("", {}), 0);
  EXPECT_EQ(t.known("salt", {1, 2, 3, 4}), 0);
  t.expect_sound();
}

TEST(PrefixIndex, KeepsTenantsApart) {
  Index t(16, 4);
  t.store("a", {1, 2, 3, 4, 5});
  t.store("b", {1, 2, 9, 9, 9});
  EXPECT_EQ(t.known("a", {1, 2, 3, 4, 5}), 5);
  EXPECT_EQ(t.known("b", {1, 2, 3, 4, 5}), 2);
  EXPECT_EQ(t.known("", {1, 2, 3, 4, 5}), 0);
  EXPECT_EQ(t.index.size(), 4);
  EXPECT_TRUE(t.index.make_room(16));
  EXPECT_EQ(t.index.size(), 0);
  EXPECT_EQ(t.known("a", {1, 2, 3, 4, 5}), 0);
  t.expect_sound();
}

TEST(PrefixIndex, ALongerTextTakesAPartialBlocksPlace) {
  Index t(16, 4);
  t.store("", {1, 2});
  t.store("", {1, 2, 3});
  EXPECT_EQ(t.index.size(), 1);
  EXPECT_EQ(t.known("", {1, 2, 3, 4}), 3);
  t.store("", {1});  // known already
  EXPECT_EQ(t.index.size(), 1);
  t.store("", {1, 2, 3, 4});
  EXPECT_EQ(t.index.size(), 1);
  t.store("", {1, 2, 7});  // another continuation
  EXPECT_EQ(t.index.size(), 2);
  EXPECT_EQ(t.known("", {1, 2, 7}), 3);
  EXPECT_EQ(t.known("", {1, 2, 3, 4}), 4);
  t.expect_sound();
}

TEST(PrefixIndex, TheWriterExtendsItsOwnPartialBlock) {
  Index t(4, 4);
  const BlockId block = *t.allocator.allocate();
  t.index.insert_partial("", nullptr, Tokens{1, 2}, block);
  EXPECT_EQ(t.known("", {1, 2, 3, 4}), 2);
  EXPECT_FALSE(t.index.make_room(4));  // it is in use
  EXPECT_EQ(t.index.insert_full("", nullptr, Tokens{1, 2, 3, 4}, block).block, block);
  EXPECT_EQ(t.known("", {1, 2, 3, 4}), 4);
  EXPECT_EQ(t.index.size(), 1);
  t.allocator.release(block);
  t.expect_sound();
}

TEST(PrefixIndex, GivesTheKnownBlockForADuplicate) {
  Index t(4, 2);
  const BlockId first = *t.allocator.allocate(), second = *t.allocator.allocate();
  EXPECT_EQ(t.index.insert_full("", nullptr, Tokens{1, 2}, first).block, first);
  EXPECT_EQ(t.index.insert_full("", nullptr, Tokens{1, 2}, second).block, first);
  EXPECT_FALSE(t.allocator.indexed(second));
  t.allocator.release(first);
  t.allocator.release(second);
  t.expect_sound();
}

TEST(PrefixIndex, EvictsTheLeastRecentlyUsedLeafFirst) {
  Index t(6, 2);
  t.store("", {1, 1, 2, 2});
  t.store("", {1, 1, 3, 3});
  t.store("", {4, 4});
  const auto used = t.index.match("", nullptr, Tokens{1, 1, 2, 2});
  t.index.touch(used);
  EXPECT_TRUE(t.index.make_room(3));
  EXPECT_EQ(t.known("", {1, 1, 3, 3}), 2);  // the oldest leaf
  EXPECT_EQ(t.known("", {4, 4}), 2);
  EXPECT_TRUE(t.index.make_room(4));
  EXPECT_EQ(t.known("", {4, 4}), 0);
  EXPECT_EQ(t.known("", {1, 1, 2, 2}), 4);  // a parent outlives its children
  EXPECT_TRUE(t.index.make_room(5));
  EXPECT_EQ(t.known("", {1, 1, 2, 2}), 2);
  t.expect_sound();
}

TEST(PrefixIndex, NeverEvictsWhatIsInUse) {
  Index t(3, 2);
  t.store("", {1, 1, 2, 2, 3, 3});
  const auto match = t.index.match("", nullptr, Tokens{1, 1, 2, 2});
  for (const BlockId block : match.blocks) t.allocator.retain(block);
  EXPECT_FALSE(t.index.make_room(2));
  EXPECT_EQ(t.allocator.free(), 1);
  EXPECT_EQ(t.known("", {1, 1, 2, 2, 3, 3}), 4);
  for (const BlockId block : match.blocks) t.allocator.release(block);
  t.expect_sound();
}

TEST(PrefixIndex, MatchesFromTheMiddle) {
  Index t(8, 2);
  t.store("", {1, 1, 2, 2, 3});
  const auto first = t.index.match("", nullptr, Tokens{1, 1});
  const auto rest = t.index.match("", first.cursor, Tokens{2, 2, 3, 9});
  EXPECT_EQ(rest.blocks.size(), 1u);
  EXPECT_EQ(rest.partial_tokens, 1);
}

TEST(PrefixIndex, DeepTreesNeedNoStack) {
  const int depth = 300000;
  Index t(depth, 1);
  Tokens text(static_cast<size_t>(depth));
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<TokenId>(i % 7);
  t.store("", text);
  EXPECT_EQ(t.known("", text), depth);
  t.expect_sound();
}

// Against a plain list of texts, with room for all of them: exact. With too little room: never more than was stored.
class PrefixIndexProperty : public testing::TestWithParam<int> {};

TEST_P(PrefixIndexProperty, AgreesWithAListOfTexts) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const int block_tokens = draw(1, 5);
    Index t(GetParam(), block_tokens);
    std::vector<std::pair<std::string, Tokens>> stored;
    const auto text = [&] {
      Tokens tokens(static_cast<size_t>(draw(1, 14)));
      for (TokenId& id : tokens) id = draw(0, 2);
      return tokens;
    };
    for (int i = 0; i < 60; ++i) {
      const std::string salt = draw(0, 3) == 0 ? "x" : "";
      const Tokens wanted = text();
      size_t best = 0;
      for (const auto& [other_salt, other] : stored) {
        if (other_salt != salt) continue;
        const size_t length = std::min(other.size(), wanted.size());
        best = std::max<size_t>(
            best,
            static_cast<size_t>(
                std::mismatch(other.begin(), other.begin() + static_cast<ptrdiff_t>(length), wanted.begin()).first -
                other.begin()));
      }
      const auto match = t.index.match(salt, nullptr, wanted);
      const int known = t.known(salt, wanted);
      if (GetParam() >= 1000) {
        EXPECT_EQ(known, static_cast<int>(best));
      } else {
        EXPECT_LE(known, static_cast<int>(best));
      }
      t.index.touch(match);
      const Tokens added = text();
      t.store(salt, added);
      stored.emplace_back(salt, added);
      EXPECT_EQ(t.known(salt, added), static_cast<int>(added.size()));
      t.expect_sound();
      if (HasFailure()) FAIL() << "seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rooms, PrefixIndexProperty, testing::Values(14, 20, 40, 2000));

}  // namespace
}  // namespace sluice::engine
