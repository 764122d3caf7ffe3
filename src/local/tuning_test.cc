// Deciding without a clock, and remembering.

#include "local/tuning.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "local/tuning_record.h"

namespace sluice::local {
namespace {

TEST(Tuning, TheFewestThreadsNearTheBestTime) {
  const std::vector<Point> scales = {{1, 0.80}, {2, 0.41}, {4, 0.21}, {8, 0.11}};
  EXPECT_EQ(fewest_threads(scales), 8);
  const std::vector<Point> saturates = {{1, 0.80}, {2, 0.402}, {4, 0.400}, {8, 0.396}};  // memory is the limit
  EXPECT_EQ(fewest_threads(saturates), 2);
  const std::vector<Point> gets_worse = {{1, 0.50}, {2, 0.30}, {4, 0.45}};  // two threads share a core
  EXPECT_EQ(fewest_threads(gets_worse), 2);
  EXPECT_EQ(fewest_threads(std::vector<Point>{{1, 0.5}}), 1);
  EXPECT_EQ(fewest_threads({}), 0);
}

TEST(Tuning, TheSmallestChunkNearTheBestRate) {
  // Tokens a second: 320, 500, 584, 595, 600.
  const std::vector<Point> flattens = {{32, 0.1}, {64, 0.128}, {128, 0.219}, {256, 0.43}, {512, 0.8533}};
  EXPECT_EQ(smallest_chunk(flattens), 128);
  const std::vector<Point> rises = {{32, 0.1}, {64, 0.15}, {128, 0.24}};
  EXPECT_EQ(smallest_chunk(rises), 128);
  const std::vector<Point> falls = {{32, 0.1}, {64, 0.21}, {128, 0.50}};  // the caches are full
  EXPECT_EQ(smallest_chunk(falls), 32);
  EXPECT_EQ(smallest_chunk({}), 0);
}

TEST(Tuning, BatchesGrowWhileTheyGain) {
  EXPECT_EQ(largest_batch(std::vector<Point>{{64, 0.10}, {128, 0.12}, {256, 0.16}}), 256);
  EXPECT_EQ(largest_batch(std::vector<Point>{{64, 0.10}, {128, 0.15}, {256, 0.29}}), 128);
  EXPECT_EQ(largest_batch(std::vector<Point>{{64, 0.10}, {128, 0.20}, {256, 0.21}}), 64) << "never by a leap";
  EXPECT_EQ(largest_batch(std::vector<Point>{{64, 0.10}}), 64);
  EXPECT_EQ(largest_batch({}), 0);
}

TEST(Tuning, TheDefaultUnlessAnotherIsClearlyFaster) {
  EXPECT_EQ(fastest_way(std::vector<double>{1.00, 0.98}), 0u);
  EXPECT_EQ(fastest_way(std::vector<double>{1.00, 0.96}), 1u);
  EXPECT_EQ(fastest_way(std::vector<double>{1.00, 0.90, 0.80}), 2u);
  EXPECT_EQ(fastest_way(std::vector<double>{1.00}), 0u);
}

Tuning example() {
  return {.decode = {1, "avx2", 4096},
          .prefill = {2, "tiles"},
          .chunk_tokens = 256,
          .max_concurrency = 128,
          .measurements = {{"decode", {1, "avx2", 4096}, 1, 0.0312}, {"prefill", {2, "tiles"}, 256, 0.75}}};
}

TEST(Tuning, SurvivesJson) {
  const auto read = tuning_from_json(parse_json(dump_json(tuning_to_json(example()))).value());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, example());
  const std::string text = format_tuning(example());
  EXPECT_NE(text.find("341.3 tokens/s"), std::string::npos) << text;
  EXPECT_NE(text.find("chunks of 256 tokens, 128 sequences, decode on 1 thread (avx2, 4096 bytes ahead), "
                      "prefill on 2 (tiles)"),
            std::string::npos)
      << text;
}

TEST(Tuning, WhatItCannotHaveWrittenIsRefused) {
  const auto refused = [](auto change) {
    Json json = tuning_to_json(example());
    change(json);
    return !tuning_from_json(json).ok();
  };
  EXPECT_FALSE(refused([](Json&) {}));
  EXPECT_TRUE(refused([](Json& j) { j["decode"]["threads"] = 0; }));
  EXPECT_TRUE(refused([](Json& j) { j["decode"]["threads"] = 100000; }));
  EXPECT_TRUE(refused([](Json& j) { j["decode"]["prefetch_bytes"] = -1; }));
  EXPECT_TRUE(refused([](Json& j) { j["measurements"][0].erase("prefetch_bytes"); }));
  EXPECT_TRUE(refused([](Json& j) { j["prefill"] = 3; }));
  EXPECT_TRUE(refused([](Json& j) { j["prefill"]["kernels"] = 3; }));
  EXPECT_TRUE(refused([](Json& j) { j["chunk_tokens"] = -1; }));
  EXPECT_TRUE(refused([](Json& j) { j.erase("max_concurrency"); }));
  EXPECT_TRUE(refused([](Json& j) { j["measurements"][0]["seconds"] = 0; }));
  EXPECT_TRUE(refused([](Json& j) { j["measurements"] = "none"; }));
  EXPECT_TRUE(refused([](Json& j) { j = Json::array(); }));
}

class TuningRecordTest : public testing::Test {
 protected:
  TuningRecordTest() {
    std::filesystem::remove_all(directory_);
    description_.spec.architecture = "llama";
  }
  ~TuningRecordTest() override { std::filesystem::remove_all(directory_); }
  TuningRecord record(const std::string& key = "key") const { return {directory_, description_, key}; }

  const std::string directory_ = testing::TempDir() + "tuning_record_test";
  model::ModelDescription description_;
};

TEST_F(TuningRecordTest, IsReadByTheNextStart) {
  EXPECT_FALSE(record().read().has_value());
  record().write(example());
  EXPECT_EQ(record().read(), example());
  Tuning other = example();
  other.chunk_tokens = 64;
  record().write(other);
  EXPECT_EQ(record().read(), other);
  EXPECT_FALSE(record("another machine").read().has_value());
  // Nothing is left beside it.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(TuningRecordTest, WithoutADirectoryNothingIsRemembered) {
  const TuningRecord nowhere("", description_, "key");
  EXPECT_FALSE(nowhere.can_remember());
  nowhere.write(example());
  EXPECT_FALSE(nowhere.read().has_value());
}

TEST_F(TuningRecordTest, DamagedAndForeignRecordsCountAsNone) {
  record().write(example());
  const std::string path = record().path();
  const std::string good = read_file(path).value();
  const auto reads_with = [&](const std::string& text) {
    std::ofstream(path) << text;
    return record().read().has_value();
  };
  EXPECT_TRUE(reads_with(good));
  for (size_t length = 0; length < good.size() - 2; length += 7) EXPECT_FALSE(reads_with(good.substr(0, length)));
  for (const auto& [from, to] :
       {std::pair{R"("version": 1)", R"("version": 2)"}, {R"("key": "key")", R"("key": "no")"}}) {
    std::string changed = good;
    ASSERT_NE(changed.find(from), std::string::npos) << good;
    changed.replace(changed.find(from), std::string_view(from).size(), to);
    EXPECT_FALSE(reads_with(changed)) << to;
  }
  EXPECT_FALSE(reads_with("[]"));
}

TEST_F(TuningRecordTest, TheKeyIsWhatTimesDependOn) {
  const Machine machine = {.cpu = "cpu", .flags = "avx2", .cpus = 2, .memory_bytes = uint64_t{16} << 30};
  model::ModelDescription description = description_;
  model::LoadOptions load;
  const auto key = [&](const Machine& on =
                           Machine{.cpu = "cpu", .flags = "avx2", .cpus = 2, .memory_bytes = uint64_t{16} << 30}) {
    return tuning_key(on, description, load, {}, "");
  };
  const std::string before = key();
  Machine booted_again = machine;
  booted_again.memory_bytes -= size_t{100} << 20;
  EXPECT_EQ(key(booted_again), before);
  for (const auto& change : std::vector<std::function<void(Machine&)>>{
           [](Machine& m) { m.cpu = "other"; }, [](Machine& m) { m.flags += " avx512f"; },
           [](Machine& m) { m.cpus = 1; }, [](Machine& m) { m.memory_bytes *= 2; }}) {
    Machine changed = machine;
    change(changed);
    EXPECT_NE(key(changed), before);
  }
  description.spec.layers = 7;
  EXPECT_NE(key(), before);
  description = description_;
  load.weights.quantization = model::WeightQuantization::kInt4;
  EXPECT_NE(key(), before);
  EXPECT_NE(tuning_key(machine, description_, {}, {.threads = 1}, ""), before);
  EXPECT_NE(tuning_key(machine, description_, {}, {}, "avx2"), before);
}

}  // namespace
}  // namespace sluice::local
