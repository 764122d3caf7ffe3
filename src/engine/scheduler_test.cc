#include "engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sluice::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MATCHER_P2(Granted, running, rows, "") { return arg.running == running && arg.rows == rows; }
MATCHER_P2(Admitted, waiting, rows, "") { return arg.waiting == waiting && arg.rows == rows; }

Reuse nothing(int, bool) { return {}; }

StepLimits limits(int available, int rows = 16) {
  return {.rows = rows, .scored_rows = 4, .sequences = 4, .block_tokens = 4, .available = {available, 0}};
}
RunningView decoding(int tokens, int priority = 0) {
  const int blocks = (tokens + 2) / 4;  // for the tokens computed
  return {.priority = priority, .tokens = tokens, .computed = tokens - 1, .blocks = blocks, .releasable = {blocks, 0}};
}
RunningView prefilling(int tokens, int computed, int priority = 0) {
  const int blocks = (tokens + 3) / 4;
  return {.priority = priority, .tokens = tokens, .computed = computed, .blocks = blocks, .releasable = {blocks, 0}};
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
  const auto lookup = [](int, bool) { return Reuse{.full_blocks = 3, .idle_blocks = 3, .partial_tokens = 2}; };
  StepPlan plan = plan_step({}, waiting, limits(5), lookup);
  ASSERT_THAT(plan.admissions, ElementsAre(Admitted(0, 5)));
  EXPECT_TRUE(plan.admissions[0].copy_partial);
  // Three idle blocks come into use and two are new: four available ones are too few.
  EXPECT_THAT(plan_step({}, waiting, limits(4), lookup).admissions, IsEmpty());
  // Shared with running sequences they cost nothing.
  const auto shared = [](int, bool) { return Reuse{.full_blocks = 3, .partial_tokens = 2}; };
  EXPECT_THAT(plan_step({}, waiting, limits(2), shared).admissions, ElementsAre(Admitted(0, 5)));
}

TEST(Scheduler, GivesUpACopyWhoseSourceIsNeededAsRoom) {
  const std::vector<WaitingView> waiting = {{.tokens = 19}};
  const auto lookup = [](int, bool copy) {
    return Reuse{.full_blocks = 3, .idle_blocks = 3, .partial_tokens = copy ? 2 : 0, .partial_idle = copy};
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

// Window slots are counted like blocks, but every sequence has its own idea of how many it needs.
StepLimits window_limits(int slots) {
  StepLimits bound = limits(100);
  bound.available.window_slots = slots;
  return bound;
}
RunningView windowed(RunningView view, int slots, bool grows) {
  view.releasable.window_slots = slots;
  view.window_grows = grows;
  return view;
}

TEST(Scheduler, WindowSlotsLimitAdmission) {
  const std::vector<WaitingView> waiting = {{.tokens = 40}, {.tokens = 3}};
  const auto lookup = [](int i, bool) { return Reuse{.window_slots = i == 0 ? 4 : 1, .window_grows = i == 1}; };
  EXPECT_THAT(plan_step({}, waiting, window_limits(3), lookup).admissions, IsEmpty());
  EXPECT_THAT(plan_step({}, waiting, window_limits(4), lookup).admissions, ElementsAre(Admitted(0, 16)));
  // A slot stays for each that will grow, and none for those at their widest.
  const std::vector<RunningView> running = {windowed(decoding(6), 2, true), windowed(decoding(30), 3, false)};
  const std::vector<WaitingView> one = {{.tokens = 3}};
  const auto two = [](int, bool) { return Reuse{.window_slots = 2}; };
  EXPECT_THAT(plan_step(running, one, window_limits(2), two).admissions, IsEmpty());
  EXPECT_THAT(plan_step(running, one, window_limits(3), two).admissions, ElementsAre(Admitted(0, 3)));
}

TEST(Scheduler, AGrowingWindowPreemptsTheWorst) {
  const std::vector<RunningView> running = {windowed(decoding(9), 2, true), windowed(decoding(9), 2, false),
                                            windowed(decoding(6), 2, true)};
  EXPECT_THAT(plan_step(running, {}, window_limits(1), nothing).preempted, IsEmpty());
  const StepPlan plan = plan_step(running, {}, window_limits(0), nothing);
  EXPECT_THAT(plan.preempted, ElementsAre(2));
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 1), Granted(1, 1)));
}

TEST(Scheduler, PromisesBeyondTheSlotsAreTakenBackFromTheWorst) {
  const std::vector<RunningView> running = {windowed(decoding(6), 3, false), windowed(prefilling(20, 0), 2, false),
                                            windowed(decoding(6), 1, false)};
  const std::vector<WaitingView> waiting = {{.tokens = 1}};
  const StepPlan plan = plan_step(running, waiting, window_limits(-2), nothing);
  EXPECT_THAT(plan.preempted, ElementsAre(1, 2));
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 1)));
  EXPECT_THAT(plan.admissions, IsEmpty());
  // The best one stays whatever the numbers say: alone it has room.
  EXPECT_THAT(plan_step(running, waiting, window_limits(-9), nothing).grants, ElementsAre(Granted(0, 1)));
}

TEST(Scheduler, WithoutACopyLessMayBeOfUse) {
  const std::vector<WaitingView> waiting = {{.tokens = 19}};
  const auto lookup = [](int, bool copy) {
    return copy ? Reuse{.full_blocks = 3, .partial_tokens = 2, .partial_idle = true} : Reuse{.full_blocks = 1};
  };
  EXPECT_THAT(plan_step({}, waiting, limits(3), lookup).admissions, ElementsAre(Admitted(0, 5)));
  EXPECT_THAT(plan_step({}, waiting, limits(2), lookup).admissions, IsEmpty());  // three blocks more without the copy
  const std::vector<RunningView> worse = {decoding(6, 1)};
  EXPECT_THAT(plan_step(worse, waiting, limits(0), lookup).preempted, IsEmpty()) << "in vain";
}

RunningView drafting(RunningView view, int drafts) {
  view.drafts = drafts;
  return view;
}
StepLimits with_drafts(StepLimits bound, int draft_rows, bool windowed = false) {
  bound.draft_rows = draft_rows;
  bound.windowed = windowed;
  return bound;
}

TEST(Scheduler, DraftsGetTheRowsThatAreLeft) {
  const std::vector<RunningView> running = {drafting(decoding(6), 4), decoding(6), drafting(decoding(6), 4)};
  EXPECT_THAT(plan_step(running, {}, with_drafts(limits(100), 16), nothing).grants,
              ElementsAre(Granted(0, 5), Granted(1, 1), Granted(2, 5)));
  EXPECT_THAT(plan_step(running, {}, with_drafts(limits(100, 8), 16), nothing).grants,
              ElementsAre(Granted(0, 5), Granted(1, 1), Granted(2, 2)));
  EXPECT_THAT(plan_step(running, {}, with_drafts(limits(100), 5), nothing).grants,
              ElementsAre(Granted(0, 5), Granted(1, 1), Granted(2, 2)));
  EXPECT_THAT(plan_step(running, {}, limits(100), nothing).grants,
              ElementsAre(Granted(0, 1), Granted(1, 1), Granted(2, 1)));
}

TEST(Scheduler, PromptsComeBeforeDrafts) {
  const std::vector<RunningView> running = {drafting(decoding(6), 4), prefilling(30, 17)};
  EXPECT_THAT(plan_step(running, {}, with_drafts(limits(100), 16), nothing).grants,
              ElementsAre(Granted(0, 3), Granted(1, 13)));
  const std::vector<WaitingView> waiting = {{.tokens = 14}};
  const StepPlan plan =
      plan_step(std::vector<RunningView>{drafting(decoding(6), 4)}, waiting, with_drafts(limits(100), 16), nothing);
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 2)));
  EXPECT_THAT(plan.admissions, ElementsAre(Admitted(0, 14)));
}

TEST(Scheduler, DraftsTakeOnlyBlocksBeyondEverybodysGrowth) {
  // Two blocks each: room for two tokens more without a new one.
  const std::vector<RunningView> running = {drafting(decoding(6), 8), drafting(decoding(6), 8)};
  const auto grants = [&](int blocks) { return plan_step(running, {}, with_drafts(limits(blocks, 40), 40), nothing); };
  EXPECT_THAT(grants(0).grants, ElementsAre(Granted(0, 3), Granted(1, 3)));
  EXPECT_THAT(grants(2).grants, ElementsAre(Granted(0, 3), Granted(1, 3)));
  EXPECT_THAT(grants(3).grants, ElementsAre(Granted(0, 7), Granted(1, 3)));
  EXPECT_THAT(grants(5).grants, ElementsAre(Granted(0, 9), Granted(1, 7)));
  EXPECT_THAT(grants(0).preempted, IsEmpty());
  // None in a step that puts somebody back.
  const std::vector<RunningView> tight = {drafting(decoding(6), 8), decoding(9)};
  const StepPlan plan = plan_step(tight, {}, with_drafts(limits(0), 16), nothing);
  EXPECT_THAT(plan.preempted, ElementsAre(1));
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 1)));
}

TEST(Scheduler, NoDraftsBesideAnAdmissionThatPreempts) {
  const std::vector<RunningView> running = {drafting(decoding(6), 8), decoding(6, 2)};
  StepLimits bound = with_drafts(limits(100), 16);
  EXPECT_THAT(plan_step(running, {}, bound, nothing).grants, ElementsAre(Granted(0, 9), Granted(1, 1)));
  bound.sequences = 2;
  const StepPlan plan = plan_step(running, std::vector<WaitingView>{{.priority = 0, .tokens = 2}}, bound, nothing);
  EXPECT_THAT(plan.preempted, ElementsAre(1));
  EXPECT_THAT(plan.grants, ElementsAre(Granted(0, 1)));
}

TEST(Scheduler, DraftsTakeOnlyWindowSlotsBeyondEverybodysGrowth) {
  const std::vector<RunningView> running = {drafting(windowed(decoding(6), 2, true), 8)};
  EXPECT_THAT(plan_step(running, {}, with_drafts(window_limits(1), 16, true), nothing).grants,
              ElementsAre(Granted(0, 3)));
  EXPECT_THAT(plan_step(running, {}, with_drafts(window_limits(2), 16, true), nothing).grants,
              ElementsAre(Granted(0, 7)));
}

bool same_but_for_drafts(const StepPlan& plan, const StepPlan& plain) {
  return plan.preempted == plain.preempted &&
         std::ranges::equal(plan.grants, plain.grants,
                            [](const auto& a, const auto& b) { return a.running == b.running && a.rows >= b.rows; }) &&
         std::ranges::equal(plan.admissions, plain.admissions,
                            [](const auto& a, const auto& b) { return a.waiting == b.waiting && a.rows == b.rows; });
}

// For any numbers: no limit is passed, no block is promised twice, and the best sequence always advances.
TEST(Scheduler, PlansAreAlwaysPossible) {
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    StepLimits bound = limits(draw(0, 12), draw(4, 20));
    const bool windows = draw(0, 1) == 0;
    if (windows) bound.available.window_slots = draw(-2, 12);
    bound = with_drafts(bound, draw(0, 8), windows);
    std::vector<RunningView> running;
    for (int i = draw(0, 4); i > 0; --i) {
      const int tokens = draw(2, 30);
      running.push_back(draw(0, 1) == 0 ? decoding(tokens, draw(0, 2))
                                        : prefilling(tokens, draw(0, tokens - 1), draw(0, 2)));
      running.back().scores_all = draw(0, 4) == 0;
      running.back().drafts = draw(0, 1) * draw(0, 6);
      int& releasable = running.back().releasable.blocks;
      releasable -= draw(0, 1) * draw(0, releasable);
      if (windows) running.back() = windowed(running.back(), draw(0, 5), draw(0, 1) == 0);
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
                       draw(0, 1) == 1, windows ? draw(0, 6) : 0, windows && draw(0, 1) == 0});
    }

    const auto lookup = [&](int i, bool copy) {
      Reuse& found = reuse[static_cast<size_t>(i)];
      if (!copy) found.partial_idle = false, found.partial_tokens = 0;
      return found;
    };
    const std::vector<Reuse> untouched = reuse;
    const StepPlan plain = plan_step(running, waiting, with_drafts(bound, 0, windows), lookup);
    reuse = untouched;
    const StepPlan plan = plan_step(running, waiting, bound, lookup);
    ASSERT_TRUE(same_but_for_drafts(plan, plain)) << "seed " << seed;
    int rows = 0, scored = 0, drafted = 0;
    CacheRoom available = bound.available;
    std::vector<bool> gone(running.size());
    size_t alive = running.size();
    for (; available.window_slots < 0 && alive > 1; --alive) available += running[alive - 1].releasable;
    available.window_slots = std::max(available.window_slots, 0);
    for (const int i : plan.preempted) {
      gone[static_cast<size_t>(i)] = true;
      if (static_cast<size_t>(i) < alive) available += running[static_cast<size_t>(i)].releasable;
    }
    for (size_t i = alive; i < running.size(); ++i) ASSERT_TRUE(gone[i]);
    for (const auto& [i, granted] : plan.grants) {
      const RunningView& view = running[static_cast<size_t>(i)];
      ASSERT_FALSE(gone[static_cast<size_t>(i)]);
      ASSERT_GE(granted, 1);
      const int pending = view.tokens - view.computed, drafts = std::max(0, granted - pending);
      ASSERT_LE(drafts, pending == 1 ? view.drafts : 0);
      drafted += drafts;
      const int blocks = (view.tokens + 3) / 4;
      const int draft_blocks = (view.tokens + drafts + 3) / 4 - std::max(blocks, view.blocks);
      if (draft_blocks > 0) available -= {draft_blocks, windows ? draft_blocks : 0};
      rows += granted;
      if (view.scores_all && view.tokens - view.computed > 1) scored += granted;
      if (view.computed + granted - drafts > view.blocks * 4) available -= {1, view.window_grows ? 1 : 0};
    }
    int places = static_cast<int>(running.size() - plan.preempted.size());
    for (size_t k = 0; k < plan.admissions.size(); ++k) {
      const StepPlan::Admission& admission = plan.admissions[k];
      ASSERT_EQ(admission.waiting, static_cast<int>(k)) << "out of turn";
      const WaitingView& view = waiting[k];
      ++places;
      rows += admission.rows;
      if (view.scores_all) scored += admission.rows;
      available -= {(view.tokens + 3) / 4 - reuse[k].full_blocks + reuse[k].idle_blocks, reuse[k].window_slots};
      ASSERT_GE(admission.rows, 1);
    }
    ASSERT_LE(rows, bound.rows) << "seed " << seed;
    ASSERT_LE(scored, bound.scored_rows);
    ASSERT_LE(drafted, bound.draft_rows);
    ASSERT_GE(available.blocks, 0);
    ASSERT_GE(available.window_slots, 0);
    ASSERT_LE(places, bound.sequences);
    if (!running.empty() && !gone[0]) {
      const bool waits_for_scored_rows = running[0].scores_all && bound.scored_rows == 0;
      ASSERT_TRUE(
          waits_for_scored_rows ||
          std::any_of(plan.grants.begin(), plan.grants.end(), [](const auto& grant) { return grant.running == 0; }) ||
          rows == bound.rows);
    }
    if (running.empty() && !waiting.empty() && bound.available.blocks >= (waiting[0].tokens + 3) / 4 &&
        bound.available.window_slots >= reuse[0].window_slots)
      ASSERT_FALSE(plan.admissions.empty());
  }
}

}  // namespace
}  // namespace sluice::engine
