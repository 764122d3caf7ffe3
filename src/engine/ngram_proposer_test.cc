#include "engine/ngram_proposer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace sluice::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Tokens = std::vector<TokenId>;

struct Text {
  explicit Text(int shortest = 2) : proposer(shortest) {}
  Tokens drafts(const Tokens& tokens, int wanted) {
    Tokens found;
    if (proposer.offer(*state, tokens, wanted) == 0) return found;
    DraftTask task{.state = *state,
                   .tokens = tokens,
                   .settings = settings,
                   .seen = seen,
                   .draw = {},
                   .wanted = wanted,
                   .drafts = found};
    EXPECT_TRUE(proposer.propose(std::span(&task, 1)));
    return found;
  }

  SamplingSettings settings;
  SeenTokens seen;
  NgramProposer proposer;
  std::unique_ptr<DraftState> state = proposer.begin();
};

TEST(NgramProposer, ContinuesAsBefore) {
  Text text;
  EXPECT_THAT(text.drafts({}, 3), IsEmpty());
  EXPECT_THAT(text.drafts({1}, 3), IsEmpty());
  EXPECT_THAT(text.drafts({1, 2, 3, 4, 5}, 3), IsEmpty());
  EXPECT_THAT(text.drafts({1, 2, 3, 4, 5, 2}, 3), IsEmpty()) << "one token alone tells nothing";
  EXPECT_THAT(text.drafts({1, 2, 3, 4, 5, 2, 3}, 3), ElementsAre(4, 5, 2));
  EXPECT_THAT(text.drafts({1, 2, 3, 4, 5, 2, 3, 4}, 1), ElementsAre(5));
}

TEST(NgramProposer, TheLongestMatchWinsAndOfEqualsTheLatest) {
  EXPECT_THAT(Text().drafts({1, 2, 3, 7, 9, 2, 3, 8, 0, 1, 2, 3}, 1), ElementsAre(7));
  EXPECT_THAT(Text().drafts({4, 2, 3, 7, 5, 2, 3, 8, 0, 1, 2, 3}, 1), ElementsAre(8));
}

TEST(NgramProposer, ACopyThatReachesTheEndGoesOn) {
  EXPECT_THAT(Text().drafts({7, 1, 2, 1, 2}, 5), ElementsAre(1, 2, 1, 2, 1));
  EXPECT_THAT(Text().drafts({6, 6, 6}, 4), ElementsAre(6, 6, 6, 6));
}

// Against looking everywhere. Few tokens and many places: the bounded search may miss the longest match, but what it
// finds must be one, and it must find one where there is any.
TEST(NgramProposer, FindsWhatASearchEverywhereFinds) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const int alphabet = 2 + round % 30, shortest = 1 + round % 4;
    Text text(shortest);
    Tokens tokens;
    for (int length = 0; length < 600; ++length) {
      tokens.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(alphabet)));
      if (random() % 3 == 0) continue;  // several new tokens at once
      int longest = 0;
      std::vector<TokenId> continuations;
      const int end = static_cast<int>(tokens.size());
      for (int place = 1; place < end; ++place) {
        int same = 0;
        while (same < place &&
               tokens[static_cast<size_t>(place - 1 - same)] == tokens[static_cast<size_t>(end - 1 - same)])
          ++same;
        if (same < shortest) continue;
        if (same >= longest) longest = same;
        continuations.push_back(tokens[static_cast<size_t>(place)]);
      }
      const Tokens found = text.drafts(tokens, 1);
      ASSERT_EQ(found.empty(), continuations.empty()) << "round " << round << ", " << end << " tokens";
      if (!found.empty()) {
        ASSERT_THAT(continuations, testing::Contains(found[0]));
      }
    }
  }
}

TEST(NgramProposer, LongTextsToo) {
  Tokens tokens(200000);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<TokenId>(i);
  Text text;
  EXPECT_THAT(text.drafts(tokens, 1), IsEmpty());
  tokens.push_back(100);
  tokens.push_back(101);
  EXPECT_THAT(text.drafts(tokens, 2), ElementsAre(102, 103));
}

}  // namespace
}  // namespace sluice::engine
