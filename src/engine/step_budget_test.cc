#include "engine/step_budget.h"

#include <gtest/gtest.h>

namespace sluice::engine {
namespace {

// A machine on which a step costs reading the weights, and something for every row.
double step_s(int decoding, int prefill_rows, double row_s = 0.002) {
  return 0.020 + 0.001 * decoding + row_s * prefill_rows;
}

void decode(StepBudget& budget, int decoding, int steps = 1) {
  for (int i = 0; i < steps; ++i) budget.observe(decoding, 0, step_s(decoding, 0));
}

TEST(StepBudget, WithoutALimitOrRunningAnswersAllRowsAreThere) {
  StepBudget unlimited({.rows_max = 512});
  unlimited.observe(4, 0, 0.01);
  unlimited.observe(4, 508, 1);
  EXPECT_EQ(unlimited.rows(4), 512);
  StepBudget limited({.rows_max = 512, .slowdown = 2});
  limited.observe(0, 512, 1);
  EXPECT_EQ(limited.rows(0), 512);
}

TEST(StepBudget, AStepWithPromptsTakesAtMostSoManyTimesOneWithout) {
  for (const double slowdown : {2.0, 4.0, 8.0, 20.0}) {
    StepBudget budget({.rows_max = 2048, .slowdown = slowdown});
    decode(budget, 16, 4);
    budget.observe(0, 512, step_s(0, 512));
    for (int step = 0; step < 20; ++step) {
      const int rows = budget.rows(16);
      budget.observe(16, rows - 16, step_s(16, rows - 16));
    }
    const int prefill = budget.rows(16) - 16;
    const double limit_s = slowdown * step_s(16, 0);
    // As near to the limit as it gets, unless so few rows would waste the reading of the weights.
    if (prefill == 32) continue;
    EXPECT_GT(prefill, 32);
    EXPECT_LE(step_s(16, prefill), limit_s * 1.02) << slowdown;
    EXPECT_GE(step_s(16, prefill), limit_s * 0.9) << slowdown;
  }
}

TEST(StepBudget, NeverFewerThanAChunkIsWorthNorMoreThanTheStepHolds) {
  StepBudget slow({.rows_max = 512, .slowdown = 1.5});
  decode(slow, 2);
  slow.observe(0, 512, 100);  // a row costs far more than decoding
  EXPECT_EQ(slow.rows(2), 2 + 32);
  StepBudget fast({.rows_max = 512, .slowdown = 8});
  decode(fast, 2);
  fast.observe(0, 512, 1e-4);
  EXPECT_EQ(fast.rows(2), 512);
  EXPECT_EQ(StepBudget({.rows_max = 16, .slowdown = 8}).rows(16), 16);
}

TEST(StepBudget, FindsOutWhatDecodingCosts) {
  StepBudget budget({.rows_max = 512, .slowdown = 8});
  EXPECT_EQ(budget.rows(1), 1 + 32) << "nothing is known of prompts: carefully";
  budget.observe(0, 512, step_s(0, 512));
  EXPECT_EQ(budget.rows(1), 1) << "nothing is known of decoding: alone";
  decode(budget, 1);
  EXPECT_GT(budget.rows(1), 1 + 32);
  EXPECT_GT(budget.rows(2), 2 + 32) << "about as many as seen";
  EXPECT_EQ(budget.rows(3), 3) << "many more than seen";
  decode(budget, 8);
  EXPECT_EQ(budget.rows(3), 3) << "many fewer than seen";
  for (int step = 0; step < 64; ++step) {
    EXPECT_GT(budget.rows(8), 8) << step;
    budget.observe(8, 64, step_s(8, 64));
  }
  EXPECT_EQ(budget.rows(8), 8) << "seen too long ago";
}

TEST(StepBudget, FollowsAMachineThatGetsBusy) {
  StepBudget budget({.rows_max = 512, .slowdown = 8});
  budget.observe(0, 512, step_s(0, 512));
  decode(budget, 4);
  const int before = budget.rows(4);
  for (int step = 0; step < 30; ++step) budget.observe(4, 64, step_s(4, 64, 0.006));
  EXPECT_LT(budget.rows(4), before / 2);
}

TEST(StepBudget, ATailOfAPromptTeachesNothing) {
  StepBudget budget({.rows_max = 512, .slowdown = 8});
  budget.observe(0, 512, step_s(0, 512));
  decode(budget, 4);
  const int before = budget.rows(4);
  budget.observe(4, 2, 0.5);
  EXPECT_EQ(budget.rows(4), before);
}

TEST(StepBudget, AClockThatStandsStillHoldsNothingUp) {
  StepBudget budget({.rows_max = 512, .slowdown = 8});
  budget.observe(0, 512, 0);
  budget.observe(4, 0, 0);
  EXPECT_EQ(budget.rows(4), 512);
}

}  // namespace
}  // namespace sluice::engine
