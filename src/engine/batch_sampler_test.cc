#include "engine/batch_sampler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace sluice::engine {
namespace {

constexpr int kVocab = 20'000, kTasks = 40;

struct Batch {
  std::vector<std::vector<float>> logits;
  std::vector<SamplingSettings> settings{kTasks};
  SeenTokens seen;
  std::vector<SampleTask> tasks;

  Batch() {
    seen.add_generated(5);
    for (size_t i = 0; i < kTasks; ++i) {
      logits.emplace_back();
      for (size_t v = 0; v < kVocab; ++v) logits.back().push_back(static_cast<float>(philox_uniform(i, v) * 12));
      settings[i].temperature = i % 4 == 0 ? 0.0f : 0.8f;
      settings[i].top_k = i % 3 == 0 ? 40 : 0;
      settings[i].top_p = i % 5 == 0 ? 0.9f : 1.0f;
      settings[i].frequency_penalty = 0.5f;
      if (i % 7 == 0) settings[i].logprobs = 3;
    }
    logits[11][3] = NAN;
    for (size_t i = 0; i < kTasks; ++i)
      tasks.push_back({.logits = logits[i], .settings = &settings[i], .seen = &seen, .draw = {7, i, 0}});
  }
};

TEST(BatchSampler, AnyNumberOfThreadsGivesWhatOneSamplerGives) {
  Batch expected;
  Sampler sampler(kVocab);
  for (SampleTask& task : expected.tasks)
    task.sample.emplace(sampler.sample(task.logits, *task.settings, *task.seen, task.draw));
  for (const int threads : {0, 1, 2, 3}) {
    std::optional<ThreadPool> pool;
    if (threads > 0) pool.emplace(ThreadPoolOptions{.threads = threads});
    BatchSampler batch_sampler(kVocab, pool ? &*pool : nullptr);
    for (int round = 0; round < 2; ++round) {
      Batch batch;
      batch_sampler.sample(batch.tasks);
      for (size_t i = 0; i < kTasks; ++i) {
        ASSERT_TRUE(batch.tasks[i].sample.has_value());
        const Result<Sample>&want = *expected.tasks[i].sample, &have = *batch.tasks[i].sample;
        ASSERT_EQ(have.ok(), want.ok()) << i;
        EXPECT_EQ(have.ok(), i != 11);
        if (!have.ok()) continue;
        EXPECT_EQ(have->id, want->id) << i;
        EXPECT_EQ(have->logprob, want->logprob) << i;
        EXPECT_EQ(have->top.size(), want->top.size()) << i;
      }
    }
  }
}

}  // namespace
}  // namespace sluice::engine
