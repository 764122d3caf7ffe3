#include "model/pack_cache.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "base/file.h"
#include "base/strings.h"
#include "checkpoint/testing.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

namespace fs = std::filesystem;

struct Loaded {
  size_t owned, mapped;
  std::vector<float> logits;
};

class PackCacheTest : public testing::Test {
 protected:
  PackCacheTest() {
    fs::copy(cat(SLUICE_SOURCE_DIR, "/tests/golden/quantized/gptq4_fused"), model_, fs::copy_options::recursive);
  }

  Loaded load(const std::string& directory, WeightQuantization quantization = WeightQuantization::kInt8,
              Activations activations = Activations::kInt8) {
    ThreadPool pool({.threads = 2});
    const auto files = std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(model_).value());
    const ModelDescription description = describe_model(*files).value();
    const LoadOptions options = {.weights = {.quantization = quantization, .activations = activations},
                                 .pack_directory = directory};
    auto decoder = load_decoder(files, description, options, *kernels::available_ops().back(), pool).value();
    EXPECT_TRUE(decoder->reserve(4, 16, 16).ok());
    const std::vector<TokenId> tokens = {1, 2, 3, 4, 5};
    std::vector<int32_t> rows(tokens.size()), blocks(4);
    std::iota(rows.begin(), rows.end(), 0);
    std::iota(blocks.begin(), blocks.end(), 0);
    const SequenceRows sequence{.first_row = 0, .rows = 5, .context = 0, .blocks = blocks.data()};
    auto output = decoder->run({.tokens = tokens, .positions = rows, .sequences = {&sequence, 1}, .logits_rows = rows});
    return {decoder->weights().owned_bytes,
            decoder->weights().mapped_bytes,
            {output->logits.begin(), output->logits.end()}};
  }

  std::vector<std::string> packs() const {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(cache_, ignored)) names.push_back(entry.path().string());
    return names;
  }

  checkpoint::test_files::TemporaryDirectory directory_;
  std::string model_ = directory_.file("model"), cache_ = directory_.file("cache");
};

TEST_F(PackCacheTest, TheSecondStartMapsWhatTheFirstPacked) {
  const Loaded plain = load("");
  EXPECT_TRUE(packs().empty());
  const Loaded first = load(cache_);
  EXPECT_EQ(first.owned, plain.owned);
  ASSERT_EQ(packs().size(), 1u);
  const Loaded second = load(cache_);
  EXPECT_GT(second.mapped, plain.mapped);
  EXPECT_EQ(second.mapped + second.owned, plain.mapped + plain.owned);
  EXPECT_EQ(first.logits, plain.logits);
  EXPECT_EQ(second.logits, plain.logits);
}

TEST_F(PackCacheTest, AChangedModelIsPackedAgainAndItsOldFileRemoved) {
  load(cache_);
  const std::vector<std::string> before = packs();
  ASSERT_EQ(before.size(), 1u);
  fs::last_write_time(model_ + "/model.safetensors", fs::file_time_type::clock::now() + std::chrono::seconds(5));
  const size_t packing = load(cache_).owned;
  EXPECT_GT(packing, load(cache_).owned);
  const std::vector<std::string> after = packs();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_NE(after, before);
}

TEST_F(PackCacheTest, WhatAStoppedStartLeftHalfWrittenIsRemoved) {
  load(cache_);
  ASSERT_EQ(packs().size(), 1u);
  const std::string pack = packs().front();
  fs::remove(pack);
  const pid_t gone = fork();  // a process that has ended
  if (gone == 0) _exit(0);
  waitpid(gone, nullptr, 0);
  const std::string left = cat(pack, ".", gone, ".0.partial"), busy = cat(pack, ".", getpid(), ".99.partial");
  for (const std::string& name : {left, busy}) checkpoint::test_files::write_text(name, "half");
  load(cache_);
  EXPECT_TRUE(fs::exists(pack));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(busy));
}

TEST_F(PackCacheTest, OtherSettingsHaveTheirOwnFile) {
  load(cache_, WeightQuantization::kInt8);
  load(cache_, WeightQuantization::kInt4);
  EXPECT_EQ(packs().size(), 2u);
}

TEST_F(PackCacheTest, MatricesOfBf16AreKeptToo) {
  const auto load_bf16 = [&](const std::string& directory) {
    return load(directory, WeightQuantization::kNone, Activations::kBF16);
  };
  const Loaded plain = load_bf16(""), first = load_bf16(cache_);
  load(cache_, WeightQuantization::kNone, Activations::kInt8AndBF16);
  EXPECT_EQ(packs().size(), 2u);
  const Loaded second = load_bf16(cache_);
  EXPECT_GT(second.mapped, first.mapped);
  EXPECT_EQ(first.logits, plain.logits);
  EXPECT_EQ(second.logits, plain.logits);
}

TEST_F(PackCacheTest, ADamagedFileIsWrittenAgain) {
  const Loaded first = load(cache_);
  const std::string path = packs().at(0);
  std::string bytes = read_file(path).value();
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  checkpoint::test_files::write_text(path, bytes);
  const Loaded again = load(cache_);
  EXPECT_EQ(again.owned, first.owned);
  EXPECT_EQ(again.logits, first.logits);
  EXPECT_GT(load(cache_).mapped, first.mapped);
}

TEST_F(PackCacheTest, AnUnwritableDirectoryCostsOnlyTheCache) {
  checkpoint::test_files::write_text(cache_, "a file");
  EXPECT_EQ(load(cache_).logits, load("").logits);
}

}  // namespace
}  // namespace sluice::model
