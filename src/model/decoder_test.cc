// The decoder against transformers: tests/golden/models holds small random models of every family, their float32 logits
// and greedy continuations (written by tools/goldens/models.py). Every way of computing a prompt must give them.

#include "model/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <random>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

const std::string kGoldens = std::string(SLUICE_SOURCE_DIR) + "/tests/golden/models/";
constexpr int kBlockTokens = 4;
constexpr int kBlocks = 64;

struct Golden {
  std::vector<TokenId> prompt, greedy;
  std::vector<std::vector<float>> logits;  // [prompt][vocab]
};

Golden read_golden(const std::string& family) {
  const Json json = parse_json(read_file(kGoldens + family + "/golden.json").value()).value();
  return {json["prompt"].get<std::vector<TokenId>>(), json["greedy"].get<std::vector<TokenId>>(),
          json["logits"].get<std::vector<std::vector<float>>>()};
}

// One sequence of a batch: its tokens so far in the cache and a block table that is shuffled on purpose.
struct TestSequence {
  std::vector<int32_t> blocks;
  int context = 0;
};

class GoldenModel {
 public:
  GoldenModel(const std::string& path, const LoadOptions& options, const kernels::Ops& ops) : pool_({.threads = 2}) {
    auto files = checkpoint::open_model(path);
    EXPECT_TRUE(files.ok()) << files.error().message;
    const auto shared = std::make_shared<const checkpoint::ModelFiles>(std::move(files).value());
    auto description = describe_model(*shared);
    EXPECT_TRUE(description.ok()) << description.error().message;
    auto decoder = load_decoder(shared, *description, options, ops, pool_);
    EXPECT_TRUE(decoder.ok()) << decoder.error().message;
    decoder_ = std::move(decoder).value();
    EXPECT_TRUE(decoder_->reserve(kBlocks, 256, 256).ok());
    std::vector<int32_t> ids(kBlocks);
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(7));
    free_ = ids;
  }

  TestSequence sequence(int tokens) {
    TestSequence made;
    for (int i = 0; i < (tokens + kBlockTokens - 1) / kBlockTokens; ++i) {
      made.blocks.push_back(free_.back());
      free_.pop_back();
    }
    return made;
  }
  void release(const TestSequence& sequence) {
    free_.insert(free_.end(), sequence.blocks.begin(), sequence.blocks.end());
  }

  // Runs the given new tokens of each sequence in one step; returns the logits of every row, [rows][vocab].
  std::vector<std::vector<float>> step(const std::vector<TestSequence*>& sequences,
                                       const std::vector<std::vector<TokenId>>& tokens) {
    std::vector<TokenId> flat;
    std::vector<int32_t> positions, rows;
    std::vector<SequenceRows> slices;
    for (size_t s = 0; s < sequences.size(); ++s) {
      slices.push_back({.first_row = static_cast<int>(flat.size()),
                        .rows = static_cast<int>(tokens[s].size()),
                        .context = sequences[s]->context,
                        .blocks = sequences[s]->blocks.data()});
      for (const TokenId token : tokens[s]) {
        rows.push_back(static_cast<int32_t>(flat.size()));
        flat.push_back(token);
        positions.push_back(sequences[s]->context++);
      }
    }
    auto output = decoder_->run({.tokens = flat, .positions = positions, .sequences = slices, .logits_rows = rows});
    EXPECT_TRUE(output.ok());
    std::vector<std::vector<float>> logits;
    const auto vocab = static_cast<size_t>(decoder_->traits().vocab_size);
    for (size_t r = 0; r < rows.size(); ++r) {
      logits.emplace_back(output->logits.begin() + static_cast<long>(r * vocab),
                          output->logits.begin() + static_cast<long>((r + 1) * vocab));
    }
    return logits;
  }

  Decoder& decoder() { return *decoder_; }

 private:
  ThreadPool pool_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<int32_t> free_;
};

// ‖a − b‖ / ‖b‖ over all rows.
double relative_error(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  double difference = 0, norm = 0;
  EXPECT_EQ(a.size(), b.size());
  for (size_t r = 0; r < a.size(); ++r) {
    for (size_t i = 0; i < a[r].size(); ++i) {
      difference += std::pow(static_cast<double>(a[r][i]) - b[r][i], 2);
      norm += std::pow(static_cast<double>(b[r][i]), 2);
    }
  }
  return std::sqrt(difference / norm);
}

TokenId argmax(const std::vector<float>& row) {
  return static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin());
}

struct Case {
  std::string family, file;  // file: "" for the directory (safetensors), or "model.gguf"
};

class DecoderGolden : public testing::TestWithParam<Case> {
 protected:
  std::string path() const {
    return kGoldens + GetParam().family + (GetParam().file.empty() ? "" : "/" + GetParam().file);
  }
  // The directory holds both kinds of file; a safetensors load names the directory.
  Golden golden_ = read_golden(GetParam().family);
};

TEST_P(DecoderGolden, WholePromptAndGreedyText) {
  for (const kernels::Ops* ops : kernels::available_ops()) {
    SCOPED_TRACE(ops->name);
    GoldenModel model(path(), {.block_tokens = kBlockTokens}, *ops);
    TestSequence sequence = model.sequence(100);
    const auto logits = model.step({&sequence}, {golden_.prompt});
    EXPECT_LT(relative_error(logits, golden_.logits), 1e-4);
    TokenId next = argmax(logits.back());
    std::vector<TokenId> greedy;
    for (size_t i = 0; i < golden_.greedy.size(); ++i) {
      greedy.push_back(next);
      next = argmax(model.step({&sequence}, {{next}})[0]);
    }
    EXPECT_EQ(greedy, golden_.greedy);
  }
}

TEST_P(DecoderGolden, ChunksMixedBatchesAndCopiedBlocksAreBitEqual) {
  const kernels::Ops& ops = *kernels::available_ops().back();
  GoldenModel model(path(), {.block_tokens = kBlockTokens}, ops);
  TestSequence whole = model.sequence(40), chunked = model.sequence(40), other = model.sequence(40);
  const auto expected = model.step({&whole}, {golden_.prompt});

  // In uneven chunks, beside another sequence that is at another place.
  std::vector<std::vector<float>> got;
  size_t at = 0;
  for (const size_t chunk : {5u, 1u, 11u, 3u, 17u}) {
    const std::vector<TokenId> part(golden_.prompt.begin() + static_cast<long>(at),
                                    golden_.prompt.begin() + static_cast<long>(at + chunk));
    const auto rows = model.step({&other, &chunked}, {{golden_.prompt[at % 7], golden_.prompt[3]}, part});
    got.insert(got.end(), rows.begin() + 2, rows.end());
    at += chunk;
  }
  ASSERT_EQ(at, golden_.prompt.size());
  EXPECT_EQ(got, expected);

  // A continuation over a shared prefix: four full blocks and three tokens of a copied fifth.
  TestSequence shared = model.sequence(40);
  for (size_t b = 0; b < 4; ++b) shared.blocks[b] = whole.blocks[b];
  model.decoder().copy_block(whole.blocks[4], shared.blocks[4], 3);
  shared.context = 19;
  const auto rest = model.step({&shared}, {{golden_.prompt.begin() + 19, golden_.prompt.end()}});
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), expected.begin() + 19));
}

TEST_P(DecoderGolden, SmallerTypesStayNear) {
  const kernels::Ops& ops = *kernels::available_ops().back();
  struct Narrow {
    LoadOptions options;
    double error;
  };
  const Narrow narrow[] = {
      {{.weights = {.dtype = DType::kBF16}, .block_tokens = kBlockTokens}, 2e-2},
      {{.weights = {.dtype = DType::kF16}, .block_tokens = kBlockTokens}, 4e-3},
      {{.kv_dtype = DType::kF16, .block_tokens = kBlockTokens}, 4e-3},
      {{.kv_dtype = DType::kBF16, .block_tokens = kBlockTokens}, 2e-2},
      {{.weights = {.quantization = WeightQuantization::kInt8}, .block_tokens = kBlockTokens}, 5e-2},
  };
  for (const Narrow& one : narrow) {
    GoldenModel model(path(), one.options, ops);
    TestSequence sequence = model.sequence(40);
    EXPECT_LT(relative_error(model.step({&sequence}, {golden_.prompt}), golden_.logits), one.error);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldens)) {
    const std::string family = entry.path().filename().string();
    all.push_back({family, ""});
    all.push_back({family, "model.gguf"});
  }
  std::ranges::sort(all, {}, [](const Case& c) { return c.family + c.file; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderGolden, testing::ValuesIn(cases()), [](const auto& tested) {
  return tested.param.family + (tested.param.file.empty() ? "_safetensors" : "_gguf");
});

TEST(Decoder, RefusesCacheTypesThatDoNotFitTheHead) {
  ThreadPool pool({.threads = 1});
  const auto files =
      std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(kGoldens + "llama2").value());
  const auto description = describe_model(*files).value();
  const auto decoder = load_decoder(files, description, {.kv_dtype = DType::kQ8_0}, kernels::reference_ops(), pool);
  ASSERT_FALSE(decoder.ok());
  EXPECT_NE(decoder.error().message.find("blocks of 32"), std::string::npos) << decoder.error().message;
}

TEST(TargetDtype, KeepsWhatNeedsNoChangeAndNeverQuantisesTwice) {
  const WeightOptions as_stored, to_f32{.dtype = DType::kF32}, int8{.quantization = WeightQuantization::kInt8},
      int4{.quantization = WeightQuantization::kInt4};
  EXPECT_EQ(target_dtype(DType::kBF16, Role::kQ, 64, as_stored), DType::kBF16);
  EXPECT_EQ(target_dtype(DType::kQ4_0, Role::kQ, 64, as_stored), DType::kQ4_0);
  EXPECT_EQ(target_dtype(DType::kQ4_K, Role::kQ, 256, as_stored), DType::kF16);
  EXPECT_EQ(target_dtype(DType::kQ4_K, Role::kQ, 256, to_f32), DType::kF32);
  EXPECT_EQ(target_dtype(DType::kQ6_K, Role::kQ, 256, int8), DType::kQ8_0);
  EXPECT_EQ(target_dtype(DType::kQ4_0, Role::kQ, 64, int8), DType::kQ4_0);
  EXPECT_EQ(target_dtype(DType::kQ8_0, Role::kQ, 64, int4), DType::kQ4_0);
  EXPECT_EQ(target_dtype(DType::kBF16, Role::kHead, 64, int4), DType::kQ8_0);
  EXPECT_EQ(target_dtype(DType::kBF16, Role::kQ, 40, int8), DType::kBF16);  // rows are not whole blocks
}

TEST(Decoder, NamesATokenOutsideTheVocabulary) {
  GoldenModel model(kGoldens + "llama2", {.block_tokens = kBlockTokens}, kernels::reference_ops());
  TestSequence sequence = model.sequence(8);
  const std::vector<TokenId> tokens = {97};
  const std::vector<int32_t> positions = {0};
  const std::vector<SequenceRows> rows = {{.first_row = 0, .rows = 1, .context = 0, .blocks = sequence.blocks.data()}};
  EXPECT_FALSE(model.decoder().run({.tokens = tokens, .positions = positions, .sequences = rows}).ok());
}

}  // namespace
}  // namespace sluice::model
