// Prompts beside running answers, on a model whose steps take time: the answers keep their pace, and no text changes.

#include <gtest/gtest.h>

#include "engine/engine_test_core.h"

namespace sluice::engine {
namespace {

constexpr int kPrompt = 200;

struct Pace {
  std::vector<int64_t> waits_us;  // of the running answer, from token to token, while prompts are computed
  std::string answer, late_answer;
  int steps = 0;
};

Pace run(double slowdown) {
  TestCore core({.blocks = 256, .step_rows_max = 128, .sequences_max = 8, .prefill_slowdown = slowdown}, {}, {},
                [](int rows) { return int64_t{20'000} + 2'000 * rows; });
  EngineRequest first{.prompt = iota_tokens(40)};
  first.sampling.max_tokens = 60;
  first.sampling.ignore_eos = true;
  const auto running = core.add(std::move(first));
  while (running->deltas.size() < 8) core.step();

  Pace result;
  std::vector<std::shared_ptr<RecordingSink>> late;
  for (int i = 0; i < 3; ++i) {
    EngineRequest request{.prompt = iota_tokens(kPrompt, 4 + i)};
    request.sampling.max_tokens = 3;
    request.sampling.ignore_eos = true;
    late.push_back(core.add(std::move(request)));
  }
  int64_t before_us = core.clock.now_us();
  while (late.back()->ends == 0) {
    const size_t tokens = running->deltas.size();
    core.step();
    ++result.steps;
    EXPECT_EQ(running->deltas.size(), tokens + 1) << "a step without the running answer";
    result.waits_us.push_back(core.clock.now_us() - before_us);
    before_us = core.clock.now_us();
  }
  core.run();
  result.answer = running->text[0];
  for (const auto& sink : late) result.late_answer += sink->text[0];
  return result;
}

TEST(EngineBudget, RunningAnswersKeepTheirPaceAndEveryTextStays) {
  const Pace free = run(0), limited = run(4);
  // A step of one decode row takes 22 ms, and the test's own clock a further one.
  EXPECT_GT(*std::ranges::max_element(free.waits_us), 200'000);
  EXPECT_LE(*std::ranges::max_element(limited.waits_us), 4 * 22'000 + 10'000);
  EXPECT_GT(limited.steps, free.steps);
  EXPECT_LT(limited.steps, 4 * free.steps + 40) << "but prompts go on";
  EXPECT_EQ(limited.answer, free.answer);
  EXPECT_EQ(limited.late_answer, free.late_answer);
  EXPECT_FALSE(limited.answer.empty());
}

}  // namespace
}  // namespace sluice::engine
