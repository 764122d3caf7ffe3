// Measuring with a real decoder, and the next start that does not.

#include "local/tuner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "local/local_backend.h"
#include "local/testing.h"
#include "model/synthetic_steps.h"

namespace sluice::local {
namespace {

struct Loaded {
  explicit Loaded(int threads) : pool({.threads = threads}) {
    const auto files = std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(kPhoneDemo).value());
    ops = kernels::select_ops("").value();
    decoder = model::load_decoder(files, model::describe_model(*files).value(), {}, *ops, pool).value();
  }
  ThreadPool pool;
  const kernels::Ops* ops;
  std::unique_ptr<model::Decoder> decoder;
};

std::vector<float> logits(Loaded& loaded, int rows) {
  SLUICE_CHECK(loaded.decoder->reserve(16, 256, 16).ok());
  model::SyntheticSteps steps(*loaded.decoder, 256, 1);
  EXPECT_TRUE(steps.step(1, rows, 0).ok());
  EXPECT_TRUE(steps.step(1, 1, rows).ok());
  return {steps.logits().begin(), steps.logits().end()};
}

TEST(Tuner, MeasuresEveryQuestionAndDecidesFromIt) {
  Loaded loaded(2);
  size_t told = 0;
  const auto tuning = tune(*loaded.decoder, loaded.pool, {.seconds_max = 3600, .tables = tables_to_try(*loaded.ops)},
                           [&](size_t done, size_t total) {
                             EXPECT_LT(done, total);
                             EXPECT_GE(done, told);
                             told = done;
                           });
  ASSERT_TRUE(tuning.ok()) << tuning.error().message;
  std::set<int> threads, chunks, batches, ahead;
  for (const Measurement& one : tuning->measurements) {
    EXPECT_GT(one.seconds, 0);
    if (one.rows == 1) threads.insert(one.with.threads);
    if (one.rows == 1) ahead.insert(one.with.prefetch_bytes);
    (one.what == "prefill" ? chunks : batches).insert(one.rows);
  }
  EXPECT_EQ(threads, (std::set<int>{1, 2}));
  EXPECT_EQ(ahead, (std::set<int>{0, 1024, 4096, 8192}));
  EXPECT_TRUE(ahead.contains(tuning->decode.prefetch_bytes));
  EXPECT_TRUE(chunks.contains(tuning->chunk_tokens));
  EXPECT_TRUE(batches.contains(tuning->max_concurrency));
  EXPECT_GE(tuning->max_concurrency, 64);
  EXPECT_TRUE(kernels::select_ops(tuning->decode.kernels).ok());
}

TEST(Tuner, WithoutTimeItChangesNothing) {
  Loaded loaded(2);
  const auto tuning = tune(*loaded.decoder, loaded.pool, {.seconds_max = 0, .tables = {loaded.ops}});
  ASSERT_TRUE(tuning.ok());
  EXPECT_EQ(tuning->decode, (WorkTuning{2, std::string(loaded.ops->name)}));
  EXPECT_EQ(tuning->prefill, tuning->decode);
  EXPECT_EQ(tuning->chunk_tokens, 0);
  EXPECT_EQ(tuning->max_concurrency, 0);
}

TEST(Tuner, FixedThreadsAreLeftAlone) {
  Loaded loaded(2);
  const auto tuning = tune(*loaded.decoder, loaded.pool, {.tables = {loaded.ops}, .threads_fixed = true});
  ASSERT_TRUE(tuning.ok());
  for (const Measurement& one : tuning->measurements) EXPECT_EQ(one.with.threads, 2);
}

TEST(Tuner, AnyChoiceGivesTheSameBits) {
  Loaded loaded(3);
  const std::vector<float> expected = logits(loaded, 100);
  for (const kernels::Ops* decode : tables_to_try(*loaded.ops)) {
    for (const int threads : {1, 2, 3}) {
      const Tuning tuning = {.decode = {threads, std::string(decode->name)},
                             .prefill = {4 - threads, std::string(loaded.ops->name)}};
      ASSERT_TRUE(apply_tuning(tuning, *loaded.decoder));
      EXPECT_EQ(logits(loaded, 100), expected) << decode->name << " " << threads;
    }
  }
  EXPECT_FALSE(apply_tuning({.decode = {1, "abacus"}, .prefill = {1, "ref"}}, *loaded.decoder));
}

class FirstStart : public testing::Test {
 protected:
  FirstStart() { std::filesystem::remove_all(directory_); }
  ~FirstStart() override { std::filesystem::remove_all(directory_); }

  struct Start {
    bool measured = false;
    std::unique_ptr<LocalBackend> backend;
  };
  Start start(TuningMode mode, LocalOptions options = {}) {
    options.model_path = kPhoneDemo;
    options.load.pack_directory = directory_;
    options.tuning = mode;
    options.memory = {.limit = size_t{1} << 30, .sequences_max = 0, .step_rows_max = 0};
    Start start;
    LoadingReport report;
    report.on_tuned = [&](const Tuning&) { start.measured = true; };
    auto loaded = LocalBackend::load(options, metrics_, report);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    start.backend = std::move(loaded).value();
    return start;
  }
  bool remembers() const { return std::filesystem::exists(directory_) && !std::filesystem::is_empty(directory_); }

  MetricsRegistry metrics_;
  const std::string directory_ = testing::TempDir() + "tuner_test";
};

TEST_F(FirstStart, ASmallModelIsNotMeasuredUnlessAsked) {
  for (const TuningMode mode : {TuningMode::kOff, TuningMode::kRemembered, TuningMode::kOn}) {
    const Start first = start(mode);
    EXPECT_FALSE(first.measured);
    EXPECT_EQ(first.backend->plan().sequences_max, 64);
  }
  EXPECT_FALSE(remembers());
  EXPECT_TRUE(start(TuningMode::kAgain).measured);
  EXPECT_TRUE(remembers());
}

TEST_F(FirstStart, TheNextOneKnows) {
  EXPECT_TRUE(start(TuningMode::kAgain).measured);
  // What is remembered shows in the plan: a record of our own with other numbers.
  const auto files = checkpoint::open_model(kPhoneDemo).value();
  const auto description = model::describe_model(files).value();
  model::LoadOptions load{.pack_directory = directory_};
  load.weights = model::resolve_activations(load.weights, description.spec, *kernels::select_ops("").value());
  const TuningRecord record = tuning_record({.load = load}, description, load);
  auto tuning = record.read();
  ASSERT_TRUE(tuning.has_value());
  tuning->max_concurrency = 77;
  record.write(*tuning);
  for (const TuningMode mode : {TuningMode::kRemembered, TuningMode::kOn}) {
    const Start next = start(mode);
    EXPECT_FALSE(next.measured);
    EXPECT_EQ(next.backend->plan().sequences_max, 77);
  }
  EXPECT_EQ(start(TuningMode::kOff).backend->plan().sequences_max, 64);
  LocalOptions pinned;
  pinned.threads.threads = 1;
  EXPECT_EQ(start(TuningMode::kOn, pinned).backend->plan().sequences_max, 64) << "measured with other threads";
  EXPECT_TRUE(start(TuningMode::kAgain).measured);
}

TEST(BatchLimits, WhatIsAskedForWins) {
  const Tuning tuning = {.chunk_tokens = 128, .max_concurrency = 256};
  const auto limits = [](int sequences, int rows, const std::optional<Tuning>& with) {
    const auto request = with_batch_limits({.sequences_max = sequences, .step_rows_max = rows}, with);
    return std::pair(request.sequences_max, request.step_rows_max);
  };
  EXPECT_EQ(limits(0, 0, {}), std::pair(64, 512));
  EXPECT_EQ(limits(0, 0, tuning), std::pair(256, 256)) << "a row for every sequence";
  EXPECT_EQ(limits(8, 0, tuning), std::pair(8, 128));
  EXPECT_EQ(limits(8, 32, tuning), std::pair(8, 32));
  EXPECT_EQ(limits(0, 32, {}), std::pair(64, 64));
  EXPECT_EQ(limits(0, 0, Tuning{}), std::pair(64, 512)) << "not measured";
}

}  // namespace
}  // namespace sluice::local
