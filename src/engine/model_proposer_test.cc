#include "engine/model_proposer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "engine/engine_test_model.h"

namespace sluice::engine {
namespace {

using testing::IsEmpty;
using testing::SizeIs;
using Tokens = std::vector<TokenId>;

constexpr int kTargetVocab = 30;

// A drafting model with a cache of `blocks` blocks of 4 tokens.
struct Drafter {
  explicit Drafter(int blocks, int step_rows_max = 16, int own_vocab = kTargetVocab, ModelFaults faults = {}) {
    auto made = std::make_unique<HashModel>(own_vocab, 64, 4, std::move(faults));
    model = made.get();
    proposer = ModelProposer::create(
                   std::move(made),
                   {.blocks = blocks, .step_rows_max = step_rows_max, .sequences_max = 4, .vocab_size = kTargetVocab})
                   .value();
    settings.temperature = 0;
  }

  struct Text {
    Tokens tokens;
    std::unique_ptr<DraftState> state;
    Tokens drafts;
  };
  Text begin(Tokens tokens) { return {std::move(tokens), proposer->begin(), {}}; }
  bool propose(std::vector<Text*> texts, int wanted) {
    std::vector<DraftTask> tasks;
    for (Text* text : texts) {
      text->drafts.clear();
      const int offered = proposer->offer(*text->state, text->tokens, wanted);
      if (offered == 0) continue;
      tasks.push_back({.state = *text->state,
                       .tokens = text->tokens,
                       .settings = settings,
                       .seen = seen,
                       .draw = {},
                       .wanted = offered,
                       .drafts = text->drafts});
    }
    return proposer->propose(tasks);
  }
  // What the model would say, read from no cache.
  Tokens greedy(Tokens history, int count) const {
    Tokens answer;
    std::vector<float> logits(kTargetVocab);
    for (int i = 0; i < count; ++i) {
      model->fill_logits(history, std::span(logits).first(static_cast<size_t>(model->traits().vocab_size)));
      answer.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      history.push_back(answer.back());
    }
    return answer;
  }

  SamplingSettings settings;
  SeenTokens seen;
  HashModel* model;
  std::shared_ptr<ModelProposer> proposer;
};

TEST(ModelProposer, DraftsForAllSequencesAtOnce) {
  Drafter d(32);
  auto a = d.begin({1, 2, 3}), b = d.begin({4, 5, 6, 7, 8});
  EXPECT_TRUE(d.propose({&a, &b}, 5));
  EXPECT_EQ(a.drafts, d.greedy(a.tokens, 5));
  EXPECT_EQ(b.drafts, d.greedy(b.tokens, 5));
  EXPECT_EQ(d.model->steps, 5);
  EXPECT_EQ(d.model->rows_run, 3 + 5 + 4 * 2);
}

TEST(ModelProposer, KeepsWhatCameTrueAndForgetsTheRest) {
  Drafter d(32);
  auto text = d.begin({1, 2, 3});
  for (int accepted = 0; accepted <= 4; ++accepted) {
    ASSERT_TRUE(d.propose({&text}, 4));
    ASSERT_EQ(text.drafts, d.greedy(text.tokens, 4)) << accepted;
    text.tokens.insert(text.tokens.end(), text.drafts.begin(), text.drafts.begin() + accepted);
    text.tokens.push_back(7);
    const int64_t rows = d.model->rows_run;
    ASSERT_TRUE(d.propose({&text}, 1));
    EXPECT_EQ(text.drafts, d.greedy(text.tokens, 1));
    EXPECT_EQ(d.model->rows_run - rows, accepted == 4 ? 2 : 1);  // the last draft was never computed
    text.tokens.push_back(8);
  }
  // Asked again without a step between.
  ASSERT_TRUE(d.propose({&text}, 2));
  ASSERT_TRUE(d.propose({&text}, 2));
  EXPECT_EQ(text.drafts, d.greedy(text.tokens, 2));
}

TEST(ModelProposer, CatchesUpInChunks) {
  Drafter d(32, 16);
  Tokens prompt(40);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(i % 29);
  auto text = d.begin(prompt), other = d.begin({1, 2});
  EXPECT_FALSE(d.propose({&text, &other}, 3));
  EXPECT_THAT(text.drafts, IsEmpty());
  EXPECT_THAT(other.drafts, IsEmpty()) << "the chunk left no row";
  EXPECT_FALSE(d.propose({&text, &other}, 3));
  EXPECT_FALSE(d.propose({&text, &other}, 3));
  EXPECT_EQ(text.drafts, d.greedy(text.tokens, 3));
  EXPECT_EQ(other.drafts, d.greedy(other.tokens, 3));
  EXPECT_TRUE(d.propose({&text, &other}, 3));
}

TEST(ModelProposer, AFullCacheOffersNothing) {
  Drafter d(3);
  auto text = d.begin({1, 2, 3, 4, 5, 6, 7, 8}), other = d.begin({1, 2});
  d.propose({&text}, 5);
  EXPECT_THAT(text.drafts, SizeIs(5));  // the last one needs no place
  EXPECT_EQ(d.proposer->free_blocks(), 0);
  EXPECT_EQ(d.proposer->offer(*other.state, other.tokens, 5), 0);
  text.tokens.resize(13, 9);
  EXPECT_EQ(d.proposer->offer(*text.state, text.tokens, 5), 0);
  text.state.reset();
  EXPECT_EQ(d.proposer->free_blocks(), 3);
  EXPECT_EQ(d.proposer->offer(*other.state, other.tokens, 5), 5);
  // Two that want the last block.
  auto third = d.begin({1, 2, 3, 4, 5, 6, 7, 8});
  d.propose({&other, &third}, 3);
  EXPECT_THAT(other.drafts, SizeIs(3));
  EXPECT_THAT(third.drafts, SizeIs(1));
}

TEST(ModelProposer, KeepsWithinItsContextAndVocabulary) {
  Drafter d(32, 64, kTargetVocab - 5);
  auto text = d.begin(Tokens(62, 3));
  EXPECT_EQ(d.proposer->offer(*text.state, text.tokens, 8), 3);  // 64 positions, and one behind the last
  ASSERT_FALSE(d.propose({&text}, 8));
  EXPECT_EQ(text.drafts, d.greedy(text.tokens, 3));
  auto unreadable = d.begin({1, kTargetVocab - 5});
  EXPECT_EQ(d.proposer->offer(*unreadable.state, unreadable.tokens, 8), 0);
}

TEST(ModelProposer, AFailureEndsItsDraftsOnly) {
  bool fail = true;
  ModelFaults faults;
  faults.fail_step = [&] { return fail; };
  Drafter d(32, 16, kTargetVocab, faults);
  auto text = d.begin({1, 2, 3}), later = d.begin({1, 2, 3});
  log::configure(log::Level::kOff, log::Format::kText);
  EXPECT_FALSE(d.propose({&text}, 3));
  log::configure(log::Level::kInfo, log::Format::kText);
  fail = false;
  EXPECT_EQ(d.proposer->offer(*text.state, text.tokens, 3), 0);
  EXPECT_TRUE(d.propose({&later}, 3));
  EXPECT_EQ(later.drafts, d.greedy(later.tokens, 3));
}

}  // namespace
}  // namespace sluice::engine
