// Models whose keys depend on the length of the pass that computed them (longrope, dynamic rope): whatever is batched,
// chunked, shared or pre-empted, every token's cache must be as if its sequence had been computed alone.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine_test_core.h"

namespace sluice::engine {
namespace {

constexpr int kOriginal = 21;  // no multiple of a block
constexpr int kMark = 1000;    // above every token id

// Two sets of frequencies; tokens after the first pass use the set of their own position.
RopeRule long_rule() {
  return {.mark = [](int length) { return length > kOriginal ? kMark : 0; },
          .regime =
              [](int pass) {
                return pass > kOriginal ? model::CacheRegime{.id = -1} : model::CacheRegime{.shared_tokens = kOriginal};
              }};
}
// The same, but a sequence that grows beyond the first set is computed anew (Phi-3).
RopeRule restarting_rule() {
  RopeRule rule = long_rule();
  rule.regime = [](int pass) {
    return pass > kOriginal ? model::CacheRegime{.id = -1}
                            : model::CacheRegime{.shared_tokens = kOriginal, .tokens_max = kOriginal};
  };
  return rule;
}
// Every length has frequencies of its own (dynamic).
RopeRule dynamic_rule() {
  return {.mark = [](int length) { return length > kOriginal ? length * kMark : 0; },
          .regime =
              [](int pass) {
                return pass > kOriginal ? model::CacheRegime{.id = pass, .shared_tokens = pass}
                                        : model::CacheRegime{.shared_tokens = kOriginal};
              }};
}

// Greedy decoding straight from the rule, with no engine and no cache.
std::vector<TokenId> alone(const HashModel& model, bool restarts, const std::vector<TokenId>& prompt, int tokens) {
  std::vector<TokenId> text = prompt, answer;
  std::vector<float> logits(static_cast<size_t>(model.traits().vocab_size));
  for (int i = 0; i < tokens; ++i) {
    std::vector<TokenId> history;
    for (size_t p = 0; p < text.size(); ++p) {
      const int own = std::max(static_cast<int>(prompt.size()), static_cast<int>(p) + 1);
      history.push_back(text[p] + model.rope.mark(restarts ? static_cast<int>(text.size()) : own));
    }
    model.fill_logits(history, logits);
    answer.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    text.push_back(answer.back());
  }
  return answer;
}

struct Rule {
  const char* name;
  RopeRule (*make)();
  bool restarts;
  int window = 0;
};

class CacheRegimes : public testing::TestWithParam<Rule> {
 protected:
  static TestShape shape() { return {.window = {GetParam().window, true}}; }
  void expect_alone(TestCore& t, const RecordingSink& sink, const std::vector<TokenId>& prompt, int tokens) const {
    ASSERT_TRUE(sink.end->ok());
    EXPECT_EQ(sink.ids.at(0), alone(*t.model, GetParam().restarts, prompt, tokens)) << prompt.size() << " tokens";
  }
};

TEST_P(CacheRegimes, PromptsOfAnyLengthAndTextsThatCross) {
  TestCore t({.step_rows_max = 8, .sequences_max = 4}, shape());
  t.model->rope = GetParam().make();
  for (const int length : {1, 12, 20, 21, 22, 30, 19, 40, 21, 22, 30, 12}) {
    const auto sink = t.add(greedy(iota_tokens(length), 15));
    t.run();
    expect_alone(t, *sink, iota_tokens(length), 15);
  }
}

TEST_P(CacheRegimes, MixedBatches) {
  TestCore t({.step_rows_max = 16, .sequences_max = 6}, shape());
  t.model->rope = GetParam().make();
  std::vector<std::pair<int, std::shared_ptr<RecordingSink>>> sinks;
  for (const int length : {20, 17, 33, 21, 22, 5}) {
    sinks.emplace_back(length, t.add(greedy(iota_tokens(length, 4), 18)));
    t.step();
  }
  t.run();
  for (const auto& [length, sink] : sinks) expect_alone(t, *sink, iota_tokens(length, 4), 18);
}

TEST_P(CacheRegimes, ContinuationsOfWhatIsCached) {
  TestCore t({}, shape());
  t.model->rope = GetParam().make();
  std::vector<TokenId> text = iota_tokens(9);
  for (int turn = 0; turn < 6; ++turn) {
    const auto sink = t.add(greedy(text, 7));
    t.run();
    expect_alone(t, *sink, text, 7);
    text.insert(text.end(), sink->ids[0].begin(), sink->ids[0].end());
    text.push_back(3);
  }
}

TEST_P(CacheRegimes, PreemptedSequences) {
  // Blocks for about two of the four texts at their full length.
  TestCore t({.blocks = 24, .step_rows_max = 16, .sequences_max = 4, .context_max = 60}, shape());
  t.model->rope = GetParam().make();
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(t.add(greedy(iota_tokens(15 + i, 3 + i), 24)));
  t.run();
  for (int i = 0; i < 4; ++i) expect_alone(t, *sinks[static_cast<size_t>(i)], iota_tokens(15 + i, 3 + i), 24);
  EXPECT_GT(t.metric("vllm:num_preemptions_total"), 0);
}

TEST_P(CacheRegimes, ChoicesAndPromptScores) {
  TestCore t({}, shape());
  t.model->rope = GetParam().make();
  for (const int length : {20, 25}) {
    EngineRequest request = greedy(iota_tokens(length), 10);
    request.choices = 3;
    request.sampling.prompt_logprobs = 0;
    const auto sink = t.add(request);
    t.run();
    ASSERT_TRUE(sink->end->ok());
    const auto expected = alone(*t.model, GetParam().restarts, iota_tokens(length), 10);
    for (int choice = 0; choice < 3; ++choice) EXPECT_EQ(sink->ids[choice], expected);
    EXPECT_EQ(sink->prompt->logprobs.size(), static_cast<size_t>(length));
  }
}

TEST_P(CacheRegimes, SharesWhatIsAlike) {
  TestCore t({}, shape());
  t.model->rope = GetParam().make();
  const auto cached = [&](int length) {
    const auto sink = t.add(greedy(iota_tokens(length), 1));
    t.run();
    return (*sink->end)->cached_tokens;
  };
  EXPECT_EQ(cached(20), 0);
  EXPECT_EQ(cached(20), 19);
  EXPECT_EQ(cached(21), 20);
  EXPECT_EQ(cached(30), 0);
  EXPECT_EQ(cached(30), 29);
  EXPECT_EQ(cached(16), 15);
  const bool by_length = std::string_view(GetParam().name).starts_with("dynamic");
  EXPECT_EQ(cached(34), by_length ? 0 : 30);
}

INSTANTIATE_TEST_SUITE_P(Rules, CacheRegimes,
                         testing::Values(Rule{"long", long_rule, false}, Rule{"restarting", restarting_rule, true},
                                         Rule{"dynamic", dynamic_rule, false}, Rule{"long_window", long_rule, false, 9},
                                         Rule{"restarting_window", restarting_rule, true, 9},
                                         Rule{"dynamic_window", dynamic_rule, false, 14}),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace sluice::engine
