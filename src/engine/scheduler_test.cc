#include "engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace sluice::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MATCHER_P2(Granted, running, rows, "") { return arg.running == running && arg.rows == rows; }
MATCHER_P2(Admitted, waiting, rows, "") { return arg.waiting == waiting && arg.rows == rows; }

Reuse nothing(int) { return {}; }

StepLimits limits(int available, int rows = 16) {
  return {.rows = rows, .scored_rows = 4, .sequences = 4, .block_tokens = 4, .available_blocks = available};
}
RunningView decoding(int tokens, int priority = 0) {
  const int blocks = (tokens + 2) / 4;  // for the tokens computed
  return {.priority = priority, .tokens = tokens, .computed = tokens - 1, .blocks = blocks, .releasable = blocks};
}
RunningView prefilling(int tokens, int computed, int priority = 0) {
  const int blocks = (tokens + 3) / 4;
  return {.priority = priority, .tokens = tokens, .computed = computed, .blocks = blocks, .releasable = blocks};
}

TEST(Scheduler, DecodesFirstThenFillsWithPrefill) {
  const std::vector<RunningView> running = {prefilling(40, 0), decoding(6), prefilling(20, 16), decoding(7)};
  const StepPlan plan = plan_step(running, {}, limits(10), nothing);
  EXPECT_THAT(plan.grants, ElementsAre(Granted(1, 1), Granted(3, 1), Granted(0, 14)));
  EXPECT_THAT(plan.preempted, IsEmpty());
}

TEST(Scheduler, AdmitsInOrderWhileRowsAreLeft) {
  const std::vector<WaitingView> waiting = {{.tokens = 6}, {.tokens = 20}, {.tokens = 3}};
  const StepPlan plan = plan_step({}, waiting, limits(100), nothing);
  EXPECT_THAT(plan.admissions, ElementsAre(Admitted(0, 6), Admitted(1, 10)));
}

TEST(Scheduler, ReusedTokensNeedNeitherRowsNorBlocks) {
  const std::vector<WaitingView> waiting = {{.tokens = 19}};
  const auto lookup = [](int) { return Reuse{.full_blocks = 3, .idle_blocks = 3, .partial_tokens = 2}; };
  StepPlan plan = plan_step({}, waiting, limits(5), lookup);
  ASSERT_THAT(plan.admissions, ElementsAre(Admitted(0, 5)));
  EXPECT_TRUE(plan.admissions[0].copy_partial);
  // Three idle blocks come into use and two are new: four available ones are too few.
  EXPECT_THAT(plan_step({}, waiting, limits(4), lookup).admissions, IsEmpty());
  // Shared with running sequences they cost nothing.
  const auto shared = [](int) { return Reuse{.full_blocks = 3, .partial_tokens = 2}; };
  EXPECT_THAT(plan_step({}, waiting, limits(2), shared).admissions, ElementsAre(Admitted(0, 5)));
}

TEST(Scheduler, GivesUpACopyWhoseSourceIsNeededAsRoom) {
  const std::vector<WaitingView> waiting = {{.tokens = 19}};
  const auto lookup = [](int) {
    return Reuse{.full_blocks = 3, .idle_blocks = 3, .partial_tokens = 2, .partial_idle = true};
  };
  const StepPlan tight = plan_step({}, waiting, limits(5), lookup);
  ASSERT_THAT(tight.admissions, ElementsAre(Admitted(0, 7)));
  EXPECT_FALSE(tight.admissions[0].copy_partial);
  EXPECT_TRUE(plan_step({}, waiting, limits(6), lookup).admissions.at(0).copy_partial);
}

TEST(Scheduler, NobodyPassesTheFirstInLine) {
  const std::vector<WaitingView> waiting = {{.tokens = 40}, {.tokens = 2}};
  EXPECT_THAT(plan_step({}, waiting, limits(9), nothing).admissions, IsEmpty());
  EXPECT_THAT(plan_step({}, waiting, limits(10), nothing).admissions, ElementsAre(Admitted(0, 16)));
}

TEST(Scheduler, KeepsABlockOfGrowthForEveryRunningSequence) {
  const std::vector<RunningView> running = {decoding(6), decoding(7)};
  const std::vector<WaitingView> waiting = {{.tokens = 8}};
  EXPECT_THAT(plan_step(running, waiting, limits(3), nothing).admissions, IsEmpty());
  EXPECT_THAT(plan_step(running, waiting, limits(4), nothing).admissions, ElementsAre(Admitted(0, 8)));
}

TEST(Scheduler, PlacesAreLimited) {
  const std::vector<RunningView> running = {decoding(6), decoding(6), decoding(6)};
  const std::vector<WaitingView> waiting = {{.tokens = 2}, {.tokens = 2}};
  EXPECT_THAT(plan_step(running, waiting, limits(100), nothing).admissions, ElementsAre(Admitted(0, 2)));
}

TEST(Scheduler, AGrowingSequencePreemptsTheWorst) {
  const std::vector<RunningView> running = {decoding(9), prefilling(20, 0),
                                            decoding(9, 1)};  // the decoding ones need a block
  const StepPlan plan = plan_step(running, std::vector<WaitingView>{{.tokens = 1}}, limits(0), nothing);
  EXPECT_THAT(plan.preempted, ElementsAre(2));
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 1), Granted(1, 15)));
  EXPECT_THAT(plan.admissions, IsEmpty());
}

TEST(Scheduler, TheWorstSequencePreemptsItself) {
  const std::vector<RunningView> running = {decoding(6), decoding(9)};
  const StepPlan plan = plan_step(running, {}, limits(0), nothing);
  EXPECT_THAT(plan.preempted, ElementsAre(1));
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 1)));
}

TEST(Scheduler, ABetterPriorityTakesPlaceAndBlocks) {
  const std::vector<RunningView> full = {decoding(6), decoding(6), decoding(6, 1), decoding(6, 2)};
  const StepPlan plan = plan_step(full, std::vector<WaitingView>{{.priority = 0, .tokens = 2}}, limits(100), nothing);
  EXPECT_THAT(plan.preempted, ElementsAre(3));
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 1), Granted(1, 1), Granted(2, 1)));
  EXPECT_THAT(plan.admissions, ElementsAre(Admitted(0, 2)));
  // Not from its equals.
  EXPECT_THAT(plan_step(full, std::vector<WaitingView>{{.priority = 2, .tokens = 2}}, limits(100), nothing).preempted,
              IsEmpty());
  // Blocks: two of the worse sequences' two blocks each, with one left for the one that stays.
  const std::vector<RunningView> low = {decoding(6), decoding(6, 1), decoding(6, 1)};
  EXPECT_THAT(plan_step(low, std::vector<WaitingView>{{.priority = 0, .tokens = 12}}, limits(0), nothing).preempted,
              ElementsAre(1, 2));
  // Nobody is put back in vain.
  const StepPlan vain = plan_step(low, std::vector<WaitingView>{{.priority = 0, .tokens = 16}}, limits(0), nothing);
  EXPECT_THAT(vain.preempted, IsEmpty());
  EXPECT_EQ(vain.grants.size(), 3u);
}

TEST(Scheduler, ScoredPromptsHaveTheirOwnRowLimit) {
  RunningView scored = prefilling(30, 0);
  scored.scores_all = true;
  const std::vector<WaitingView> waiting = {{.tokens = 9, .scores_all = true}};
  const StepPlan plan =
      plan_step(std::vector<RunningView>{scored, prefilling(30, 0)}, waiting, limits(100, 10), nothing);
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 4), Granted(1, 6)));
  EXPECT_THAT(plan.admissions, IsEmpty());
  EXPECT_THAT(plan_step({}, waiting, limits(100), nothing).admissions, ElementsAre(Admitted(0, 4)));
}

// For any numbers: no limit is passed, no block is promised twice, and the best sequence always advances.
TEST(Scheduler, PlansAreAlwaysPossible) {
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    StepLimits bound = limits(draw(0, 12), draw(4, 20));
    std::vector<RunningView> running;
    for (int i = draw(0, 4); i > 0; --i) {
      const int tokens = draw(2, 30);
      running.push_back(draw(0, 1) == 0 ? decoding(tokens, draw(0, 2))
                                        : prefilling(tokens, draw(0, tokens - 1), draw(0, 2)));
      running.back().scores_all = draw(0, 4) == 0;
      running.back().releasable -= draw(0, 1) * draw(0, running.back().releasable);
    }
    std::sort(running.begin(), running.end(), [](const auto& a, const auto& b) { return a.priority < b.priority; });
    std::vector<WaitingView> waiting;
    std::vector<Reuse> reuse;
    for (int i = draw(0, 5); i > 0; --i) {
      waiting.push_back({draw(0, 2), draw(1, 30), draw(0, 4) == 0});
    }
    std::sort(waiting.begin(), waiting.end(), [](const auto& a, const auto& b) { return a.priority < b.priority; });
    for (const WaitingView& view : waiting) {
      const int tokens = view.tokens;
      const int full = draw(0, (tokens - 1) / 4);
      reuse.push_back({full, draw(0, full), tokens - 1 - full * 4 > 0 ? draw(0, std::min(3, tokens - 1 - full * 4)) : 0,
                       draw(0, 1) == 1});
    }

    const StepPlan plan = plan_step(running, waiting, bound, [&](int i) { return reuse[static_cast<size_t>(i)]; });
    int rows = 0, scored = 0, available = bound.available_blocks;
    std::vector<bool> gone(running.size());
    for (const int i : plan.preempted) {
      gone[static_cast<size_t>(i)] = true;
      available += running[static_cast<size_t>(i)].releasable;
    }
    for (const auto& [i, granted] : plan.grants) {
      const RunningView& view = running[static_cast<size_t>(i)];
      ASSERT_FALSE(gone[static_cast<size_t>(i)]);
      ASSERT_GE(granted, 1);
      ASSERT_LE(granted, view.tokens - view.computed);
      rows += granted;
      if (view.scores_all && view.tokens - view.computed > 1) scored += granted;
      if (view.computed + granted > view.blocks * 4) --available;
    }
    int places = static_cast<int>(running.size() - plan.preempted.size());
    for (size_t k = 0; k < plan.admissions.size(); ++k) {
      const StepPlan::Admission& admission = plan.admissions[k];
      ASSERT_EQ(admission.waiting, static_cast<int>(k)) << "out of turn";
      const WaitingView& view = waiting[k];
      ++places;
      rows += admission.rows;
      if (view.scores_all) scored += admission.rows;
      available -= (view.tokens + 3) / 4 - reuse[k].full_blocks + reuse[k].idle_blocks;
      ASSERT_GE(admission.rows, 1);
    }
    ASSERT_LE(rows, bound.rows) << "seed " << seed;
    ASSERT_LE(scored, bound.scored_rows);
    ASSERT_GE(available, 0);
    ASSERT_LE(places, bound.sequences);
    if (!running.empty() && !gone[0]) {
      const bool waits_for_scored_rows = running[0].scores_all && bound.scored_rows == 0;
      ASSERT_TRUE(
          waits_for_scored_rows ||
          std::any_of(plan.grants.begin(), plan.grants.end(), [](const auto& grant) { return grant.running == 0; }) ||
          rows == bound.rows);
    }
    if (running.empty() && !waiting.empty() && bound.available_blocks >= (waiting[0].tokens + 3) / 4)
      ASSERT_FALSE(plan.admissions.empty());
  }
}

}  // namespace
}  // namespace sluice::engine
