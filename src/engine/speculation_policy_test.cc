#include "engine/speculation_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace sluice::engine {
namespace {

using testing::Each;
using testing::ElementsAre;

StepCost linear(double fixed_us, double row_us, int rows_max = 128) {
  StepCost cost;
  for (int rows = 1; rows <= rows_max; ++rows) cost.add(rows, fixed_us + row_us * rows);
  return cost;
}

TEST(Acceptance, FollowsWhatHappensAndForgets) {
  Acceptance record(16);
  EXPECT_DOUBLE_EQ(record.rate(0.3), 0.3);
  for (int i = 0; i < 50; ++i) record.add(4, 0);
  EXPECT_GT(record.rate(0.3), 0.85);
  for (int i = 0; i < 50; ++i) record.add(0, 1);
  EXPECT_LT(record.rate(0.3), 0.1);
  for (int i = 0; i < 1000; ++i) record.forget(0.02);
  EXPECT_NEAR(record.rate(0.3), 0.3, 0.01);
}

TEST(StepCost, InterpolatesAndIsHopefulBeyond) {
  StepCost cost;
  EXPECT_FALSE(cost.at(1));
  EXPECT_FALSE(cost.knows(2));
  cost.add(2, 100);
  EXPECT_FALSE(cost.at(1));
  EXPECT_TRUE(cost.knows(2));
  EXPECT_EQ(cost.at(9), 100);
  EXPECT_EQ(cost.reach(2), 6);
  EXPECT_EQ(cost.reach(16), 32);
  cost.add(6, 300);
  EXPECT_EQ(cost.at(4), 200);
  EXPECT_EQ(cost.at(6), 300);
  EXPECT_EQ(cost.at(10), 500);
  EXPECT_EQ(cost.reach(2), 12);
}

TEST(StepCost, IsExactForFewRowsAndNearForMany) {
  const StepCost cost = linear(1000, 10, 3000);
  for (int rows = 1; rows <= 16; ++rows) EXPECT_EQ(cost.at(rows), 1000 + 10 * rows);
  for (int rows = 17; rows <= 2500; ++rows) EXPECT_NEAR(cost.at(rows).value(), 1000 + 10 * rows, 0.15 * 10 * rows);
}

TEST(StepCost, ABurstDoesNotCountInFull) {
  StepCost cost;
  for (int i = 0; i < 20; ++i) cost.add(1, 100);
  cost.add(1, 100000);
  EXPECT_LT(cost.at(1).value(), 120);
  for (int i = 0; i < 100; ++i) cost.add(1, 300);
  EXPECT_NEAR(cost.at(1).value(), 300, 1);
}

TEST(StepCost, KnowsHowMuchStepsDiffer) {
  StepCost even, uneven;
  EXPECT_EQ(even.scatter(1), 0);
  for (int i = 0; i < 100; ++i) {
    even.add(1, 1000);
    uneven.add(1, i % 2 == 0 ? 800 : 1200);
  }
  EXPECT_EQ(even.scatter(1), 0);
  EXPECT_NEAR(uneven.scatter(1), 0.2, 0.02);
}

TEST(ChooseDrafts, AGainWithinTheScatterIsNone) {
  const std::vector<DraftChance> slight = {{1, 0.12}}, clear = {{1, 0.4}};
  StepCost even, uneven;
  for (int i = 0; i < 100; ++i) {
    for (const int rows : {1, 2}) {
      even.add(rows, 1000);
      uneven.add(rows, i % 2 == 0 ? 800 : 1200);
    }
  }
  EXPECT_THAT(choose_drafts(slight, {even, 0}, 1, 64), ElementsAre(1));
  EXPECT_THAT(choose_drafts(slight, {uneven, 0}, 1, 64), ElementsAre(0));
  EXPECT_THAT(choose_drafts(clear, {uneven, 0}, 1, 64), ElementsAre(1));
}

TEST(ChooseDrafts, AsManyAsTheReadWeightsAreWorth) {
  const std::vector<DraftChance> sure = {{8, 0.95}}, doubtful = {{8, 0.5}}, hopeless = {{8, 0.01}};
  // Memory is the limit: rows cost next to nothing.
  const StepCost memory = linear(1000, 10);
  EXPECT_THAT(choose_drafts(sure, {memory, 0}, 1, 64), ElementsAre(8));
  EXPECT_THAT(choose_drafts(hopeless, {memory, 0}, 1, 64), ElementsAre(0));
  const int some = choose_drafts(doubtful, {memory, 0}, 1, 64)[0];
  EXPECT_GE(some, 3);
  EXPECT_LT(some, 8);
  // Arithmetic is: a row costs what a token does.
  const StepCost arithmetic = linear(0, 1000);
  EXPECT_THAT(choose_drafts(sure, {arithmetic, 0}, 1, 64), ElementsAre(0));
  // In between, for one but not for many.
  const StepCost both = linear(3000, 1000);
  EXPECT_THAT(choose_drafts(sure, {both, 0}, 1, 64), ElementsAre(testing::Gt(3)));
  EXPECT_THAT(choose_drafts(std::vector<DraftChance>(32, {8, 0.8}), {both, 0}, 32, 64), Each(0));
}

TEST(ChooseDrafts, IsTheBestOfAllChoices) {
  const StepCost cost = linear(2000, 400);
  for (const double rate : {0.3, 0.6, 0.9}) {
    int best = 0;
    double best_rate = 1.03 / 2400;
    for (int drafts = 1; drafts <= 8; ++drafts) {
      double expected = 1;
      for (int i = 1; i <= drafts; ++i) expected += std::pow(rate, i);
      const double speed = expected / (2400 + 400 * drafts + 50 * drafts);
      if (speed > best_rate) {
        best_rate = speed;
        best = drafts;
      }
    }
    EXPECT_THAT(choose_drafts(std::vector<DraftChance>{{8, rate}}, {cost, 50}, 1, 64), ElementsAre(best)) << rate;
  }
}

TEST(ChooseDrafts, RowsGoToTheLikeliest) {
  const StepCost cost = linear(100000, 1);
  const std::vector<DraftChance> chances = {{8, 0.2}, {8, 0.9}, {0, 1}, {2, 0.8}};
  EXPECT_THAT(choose_drafts(chances, {cost, 0}, 4, 6), ElementsAre(0, 4, 0, 2));
  EXPECT_THAT(choose_drafts(chances, {cost, 0}, 4, 0), Each(0));
}

TEST(ChooseDrafts, DraftingHasItsPrice) {
  const StepCost cost = linear(1000, 10);
  const std::vector<DraftChance> chances = {{8, 0.8}};
  EXPECT_GT(choose_drafts(chances, {cost, 50}, 1, 64)[0], 3);
  EXPECT_THAT(choose_drafts(chances, {cost, 900}, 1, 64), ElementsAre(0));
}

TEST(ChooseDrafts, MeasuresWithoutBeforeItTriesAndTriesCarefully) {
  StepCost cost;
  const std::vector<DraftChance> chances(16, {8, 0.9});
  EXPECT_THAT(choose_drafts(chances, {cost, 0}, 16, 64), Each(0));
  cost.add(16, 1000);
  const std::vector<int> first = choose_drafts(chances, {cost, 0}, 16, 64);
  EXPECT_EQ(std::count(first.begin(), first.end(), 1), 16) << "no more than twice the rows ever measured";
  cost.add(32, 4000);
  EXPECT_THAT(choose_drafts(chances, {cost, 0}, 16, 64), Each(0));
}

}  // namespace
}  // namespace sluice::engine
