#include "model/cache_plan.h"

#include <gtest/gtest.h>

#include <random>

#include "model/golden_models.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// Blocks of 16 tokens; a token takes 4 KiB in each kind of layer there is.
CacheDemand demand(size_t share, bool full, int window) {
  return {.layout = {.block_tokens = 16,
                     .block_bytes = full ? size_t{64} << 10 : 0,
                     .window_tokens = window,
                     .window_block_bytes = window > 0 ? size_t{64} << 10 : 0},
          .share = share,
          .most = share * 2,
          .context_min = 64,
          .context_max = 32768,
          .sequences_max = 8,
          .step_rows_max = 512};
}

TEST(CachePlan, WithoutWindowsBlocksGetAll) {
  const CacheDemand wanted = demand(100 * kMiB, true, 0);
  const CachePlan plan = plan_cache(wanted).value();
  EXPECT_EQ(plan.blocks, 1600);
  EXPECT_EQ(plan.window_slots, 0);
  EXPECT_EQ(plan.context, 1599 * 16);
  EXPECT_EQ(plan.sequences_at_context, 1);
  EXPECT_EQ(plan.cache_bytes, 100 * kMiB);
}

TEST(CachePlan, AllWindowedSequencesCostTheirWindow) {
  CacheDemand wanted = demand(100 * kMiB, false, 1024);
  const CachePlan plan = plan_cache(wanted).value();
  EXPECT_EQ(plan.context, 32768);  // however little memory: only the window is kept
  const int64_t slots_each = wanted.slots_of(32768);
  EXPECT_EQ(slots_each, (1024 + 512) / 16 + 1);
  EXPECT_GE(plan.sequences_at_context, 100 * kMiB / (size_t{64} << 10) / static_cast<size_t>(slots_each) - 1);
  EXPECT_LE(plan.cache_bytes + plan.record_bytes, 100 * kMiB);
  EXPECT_GE(plan.cache_bytes + plan.record_bytes, 99 * kMiB);
  // Every full sequence that has its slots has its blocks too.
  EXPECT_GE(plan.blocks, plan.sequences_at_context * 2048);
  // The same layers without windows hold a twentieth of that.
  EXPECT_EQ(plan_cache(demand(100 * kMiB, true, 0)).value().sequences_at_context, 1);
}

TEST(CachePlan, MixedModelsDivideTheShare) {
  CacheDemand wanted = demand(200 * kMiB, true, 1024);
  wanted.context = 16384;
  const CachePlan plan = plan_cache(wanted).value();
  EXPECT_LE(plan.cache_bytes, 200 * kMiB);
  EXPECT_GE(plan.cache_bytes, 198 * kMiB);
  EXPECT_GT(plan.blocks, plan.window_slots);
  // A half at 1024 blocks to 97 slots, a half at one to one.
  EXPECT_NEAR(plan.blocks, 1600 * 1024 / 1121.0 + 800, 2);
  EXPECT_NEAR(plan.window_slots, 1600 * 97 / 1121.0 + 800, 2);
  EXPECT_EQ(plan.sequences_at_context, 2);
  // Short sequences fill blocks and slots alike.
  wanted.context = 512;
  const CachePlan even = plan_cache(wanted).value();
  EXPECT_EQ(even.blocks, even.window_slots);
}

TEST(CachePlan, OneSequenceMayTakeMoreThanTheShare) {
  CacheDemand wanted = demand(100 * kMiB, true, 1024);
  wanted.context = 32768;
  const CachePlan plan = plan_cache(wanted).value();
  EXPECT_EQ(plan.blocks, 2049);
  EXPECT_EQ(plan.window_slots, 98);
  EXPECT_EQ(plan.sequences_at_context, 1);
  wanted.most = plan.cache_bytes;
  EXPECT_TRUE(plan_cache(wanted));
  wanted.most = plan.cache_bytes - 1;
  EXPECT_FALSE(plan_cache(wanted));
}

// For any numbers: the plan fits, one sequence of the context fits the plan, and the context is as long as promised.
TEST(CachePlan, PlansAreAlwaysPossible) {
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const bool full = draw(0, 2) > 0;
    CacheDemand wanted = demand(static_cast<size_t>(draw(1, 1 << 28)), full, draw(0, 1) || !full ? draw(1, 5000) : 0);
    if (full) wanted.layout.block_bytes = static_cast<size_t>(draw(100, 1 << 20));
    if (wanted.layout.window_tokens > 0) wanted.layout.window_block_bytes = static_cast<size_t>(draw(100, 1 << 20));
    wanted.context_max = draw(64, 100000);
    if (draw(0, 1) == 0) wanted.context = draw(1, wanted.context_max);
    wanted.sequences_max = draw(1, 100);
    wanted.step_rows_max = draw(wanted.sequences_max, 1000);
    const std::optional<CachePlan> plan = plan_cache(wanted);
    const int least = wanted.context > 0 ? wanted.context : wanted.context_min;
    ASSERT_EQ(plan.has_value(), wanted.least_bytes(least) <= wanted.most);
    if (!plan) continue;
    ASSERT_LE(plan->cache_bytes + plan->record_bytes, std::max(wanted.share, wanted.least_bytes(plan->context)))
        << "seed " << seed;
    ASSERT_GE(plan->blocks, wanted.blocks_of(plan->context) + 1);
    ASSERT_GE(plan->sequences_at_context, 1);
    if (wanted.context > 0) ASSERT_EQ(plan->context, wanted.context);
    ASSERT_LE(plan->context, wanted.context_max);
    if (wanted.layout.window_tokens == 0) {
      ASSERT_EQ(plan->window_slots, 0);
    } else {
      ASSERT_GE(plan->window_slots, wanted.slots_of(plan->context) + 1) << "seed " << seed;
      ASSERT_LE(plan->window_slots, plan->blocks);
    }
  }
}

MemoryPlan plan_of(const std::string& golden, MemoryRequest request) {
  const GoldenFiles made(golden_folder(golden));
  const auto files = checkpoint::open_model(made.safetensors()).value();
  return plan_memory(files, describe_model(files).value(), {}, request).value();
}

TEST(MemoryPlan, NamesBothParts) {
  const MemoryPlan plan = plan_of("gemma2", {.limit = 64 * kMiB, .sequences_max = 4, .step_rows_max = 16});
  EXPECT_EQ(plan.window_tokens, 8);
  EXPECT_EQ(plan.kv_cache, static_cast<size_t>(plan.kv_tokens) * plan.kv_per_token +
                               static_cast<size_t>(plan.window_kv_tokens) * plan.window_kv_per_token);
  EXPECT_EQ(plan.window_kv_tokens, int64_t{plan.window_slots} * 16);
  const std::string text = format_plan(plan);
  EXPECT_NE(text.find("in layers that keep the last 8"), std::string::npos) << text;
  const Json json = plan_to_json(plan);
  EXPECT_EQ(json["window_slots"], plan.window_slots);
  EXPECT_EQ(json["window_kv_bytes_per_token"], plan.window_kv_per_token);
  EXPECT_GT(plan.kv_per_token, 0u);
  const MemoryPlan windowed = plan_of("mistral", {.limit = 64 * kMiB, .sequences_max = 4, .step_rows_max = 16});
  EXPECT_EQ(windowed.kv_per_token, 0u);
  EXPECT_GE(windowed.blocks, 4 * 256 / 16);
  EXPECT_EQ(format_plan(windowed).find("0 B each"), std::string::npos) << format_plan(windowed);
  const MemoryPlan full = plan_of("llama2", {.limit = 64 * kMiB, .sequences_max = 4, .step_rows_max = 16});
  EXPECT_EQ(full.window_slots, 0);
  EXPECT_EQ(format_plan(full).find("keep the last"), std::string::npos);
}

TEST(MemoryPlan, AdvisesWhatHelps) {
  const auto refusal = [](const std::string& golden, int context) {
    const GoldenFiles made(golden_folder(golden));
    const auto files = checkpoint::open_model(made.safetensors()).value();
    const auto plan =
        plan_memory(files, describe_model(files).value(), {}, {.limit = kMiB, .context = context, .step_rows_max = 32});
    EXPECT_FALSE(plan.ok());
    return plan.ok() ? std::string() : plan.error().message;
  };
  EXPECT_NE(refusal("llama2", 200).find("--kv-dtype int8 or a shorter --context to shrink the cache"),
            std::string::npos);
  EXPECT_NE(refusal("gemma2", 200).find("a shorter --context or smaller --chunk-tokens to shrink"), std::string::npos);
  const std::string windowed = refusal("mistral", 200);
  EXPECT_NE(windowed.find("keeps its last 9 tokens"), std::string::npos) << windowed;
  EXPECT_NE(windowed.find("only a --context below 41 would help"), std::string::npos) << windowed;
  EXPECT_NE(refusal("mistral", 30).find("or a shorter --context to shrink"), std::string::npos);
}

}  // namespace
}  // namespace sluice::model
