// Models with windowed layers in the engine: what they keep, what they reuse, what they refuse.
#include <gtest/gtest.h>

#include "engine/engine_test_core.h"

namespace sluice::engine {
namespace {

TestShape windowed(int window, bool full_layers, int context = 2000) {
  return {.block_tokens = 4, .context_max = context, .window = {window, full_layers}};
}

// The same request with all slots it could want.
std::shared_ptr<RecordingSink> with_all_slots(const EngineRequest& request, const TestShape& shape) {
  TestCore core({.blocks = 600}, shape);
  auto sink = core.add(request);
  core.run();
  return sink;
}

class EngineWindow : public testing::TestWithParam<bool> {};

TEST_P(EngineWindow, ALongAnswerNeedsItsWindowAlone) {
  const int window = 20;
  const TestShape shape = windowed(window, GetParam());
  // 5 blocks, one more for where a window begins, and a step of 8 rows.
  TestCore t({.blocks = 600, .window_slots = 8, .step_rows_max = 8, .sequences_max = 4}, shape);
  const auto sink = t.add(greedy(iota_tokens(30), 20 * window));
  int most = 0;
  while (t.step()) most = std::max(most, t.core->cache().window().used());
  ASSERT_TRUE(sink->end->ok());
  EXPECT_EQ(sink->ids[0], with_all_slots(greedy(iota_tokens(30), 20 * window), shape)->ids[0]);
  EXPECT_LE(most, 8);
  // Bytes of windowed layers, in units of a token: what was in use at most, of what the text has.
  RecordProperty("window_tokens_in_use", most * 4);
  RecordProperty("text_tokens", 30 + 20 * window);
}

TEST_P(EngineWindow, SlotsLimitHowManyRunAtOnce) {
  const TestShape shape = windowed(20, GetParam());
  TestCore t({.blocks = 600, .window_slots = 14, .step_rows_max = 8, .sequences_max = 8}, shape);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 6; ++i) sinks.push_back(t.add(greedy(iota_tokens(40, 3 + i), 60)));
  int most = 0;
  while (t.step()) most = std::max(most, t.core->running());
  EXPECT_EQ(most, 2);
  EXPECT_EQ(t.metric("vllm:num_preemptions_total"), 0);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(sinks[static_cast<size_t>(i)]->ids[0], with_all_slots(greedy(iota_tokens(40, 3 + i), 60), shape)->ids[0]);
  }
}

TEST_P(EngineWindow, ManyAnswersShareThePromptsWindow) {
  const TestShape shape = windowed(40, GetParam());
  TestCore t({.blocks = 600, .window_slots = 40, .step_rows_max = 64, .sequences_max = 16}, shape);
  EngineRequest request = greedy(iota_tokens(80), 8);
  request.choices = 8;
  request.sampling.temperature = 1;
  request.sampling.seed = 7;
  const auto sink = t.add(request);
  int most = 0;
  while (t.step()) most = std::max(most, t.core->running());
  EXPECT_EQ(most, 8);  // each alone would want 11 slots
  EXPECT_EQ(sink->ids, with_all_slots(request, shape)->ids);
}

TEST_P(EngineWindow, TheNextTurnContinuesWhereTheLastEnded) {
  const TestShape shape = windowed(16, GetParam());
  TestCore t({.blocks = 600, .window_slots = 16, .step_rows_max = 8, .sequences_max = 4}, shape);
  const auto first = t.add(greedy(iota_tokens(70), 30));
  t.run();
  std::vector<TokenId> next = iota_tokens(70);
  next.insert(next.end(), first->ids[0].begin(), first->ids[0].end());
  next.insert(next.end(), {20, 21, 22});
  const auto second = t.add(greedy(next, 5));
  t.run();
  EXPECT_EQ((*second->end)->cached_tokens, 99);  // the last generated token was never computed
  EXPECT_EQ(second->ids[0], with_all_slots(greedy(next, 5), shape)->ids[0]);
  // A fork early in the text finds its blocks, but not its window.
  std::vector<TokenId> fork(next.begin(), next.begin() + 30);
  const auto third = t.add(greedy(fork, 5));
  t.run();
  EXPECT_EQ((*third->end)->cached_tokens, 0);
  EXPECT_EQ(third->ids[0], with_all_slots(greedy(fork, 5), shape)->ids[0]);
}

INSTANTIATE_TEST_SUITE_P(Layers, EngineWindow, testing::Bool(),
                         [](const auto& tested) { return tested.param ? "mixed" : "all_windowed"; });

TEST(EngineWindowOptions, UsageIsThatOfTheScarcerPart) {
  TestCore t({.blocks = 100, .window_slots = 8, .step_rows_max = 8, .sequences_max = 4}, windowed(16, true));
  t.add(greedy(iota_tokens(30), 10));
  while (t.core->running() == 0 || t.core->cache().window().used() < 4) ASSERT_TRUE(t.step());
  EXPECT_DOUBLE_EQ(t.core->kv_usage(), t.core->cache().window().used() / 8.0);
}

TEST(EngineWindowOptions, RefusesFewerSlotsThanOneSequenceNeeds) {
  PieceTokenizer tokenizer;
  MetricsRegistry metrics;
  ManualClock clock;
  const auto create = [&](int slots) {
    auto model = std::make_unique<HashModel>(32, 400, 4, ModelFaults{}, HashModel::Window{20, true});
    return EngineCore::create(std::move(model), tokenizer,
                              {.blocks = 100, .window_slots = slots, .step_rows_max = 8, .sequences_max = 4}, metrics,
                              clock);
  };
  EXPECT_TRUE(create(8).ok());
  EXPECT_TRUE(create(0).ok());  // one for every block
  const auto refused = create(7);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("8 window slots, but there are 7"), std::string::npos);
}

}  // namespace
}  // namespace sluice::engine
