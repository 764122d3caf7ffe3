// The decoder against transformers: tests/golden/models holds small random models of every family, their float32 logits
// and greedy continuations (written by tools/goldens/models.py). Every way of computing a prompt must give them.
// SLUICE_GOLDEN_MODELS names a folder of further ones (models.py --full).

#include "model/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>

#include "base/strings.h"
#include "model/golden_models.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

constexpr int kBlocks = 64;

// One sequence of a batch: its tokens so far in the cache and a block table that is shuffled on purpose.
struct TestSequence {
  std::vector<int32_t> blocks;
  int pass_tokens = 0;  // of its first pass
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

  // Room for `tokens`; the first pass has `pass_tokens`.
  TestSequence sequence(size_t tokens, size_t pass_tokens) {
    TestSequence made{.pass_tokens = static_cast<int>(pass_tokens)};
    for (size_t i = 0; i < (tokens + kBlockTokens - 1) / kBlockTokens; ++i) {
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
    std::vector<int32_t> positions, lengths, rows;
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
        lengths.push_back(std::max(sequences[s]->pass_tokens, sequences[s]->context));
      }
    }
    auto output = decoder_->run(
        {.tokens = flat, .positions = positions, .rope_lengths = lengths, .sequences = slices, .logits_rows = rows});
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

// Greedy decoding as transformers' generate() does it.
std::vector<TokenId> continue_greedily(GoldenModel& model, TestSequence sequence, std::vector<TokenId> text,
                                       TokenId next, size_t tokens) {
  std::vector<TokenId> answer;
  while (answer.size() < tokens) {
    answer.push_back(next);
    text.push_back(next);
    std::vector<TokenId> fresh = {next};
    if (static_cast<int>(text.size()) > model.decoder().cache_regime(sequence.pass_tokens).tokens_max) {
      sequence.pass_tokens = static_cast<int>(text.size());  // the cache is dropped and all is computed anew
      sequence.context = 0;
      fresh = text;
    }
    next = argmax(model.step({&sequence}, {fresh}).back());
  }
  return answer;
}

struct Case {
  std::string folder;
  bool gguf = false;
};

class DecoderGolden : public testing::TestWithParam<Case> {
 protected:
  // Empty when the model has no such file.
  std::string path() const { return GetParam().gguf ? files_.gguf() : files_.safetensors(); }

  const GoldenFiles files_{GetParam().folder};
  const std::vector<GoldenRun> runs_ = golden_runs(GetParam().folder);
};

TEST_P(DecoderGolden, WholePromptAndGreedyText) {
  double most = 0;
  for (const kernels::Ops* ops : kernels::available_ops()) {
    SCOPED_TRACE(ops->name);
    for (const GoldenRun& run : runs_) {
      SCOPED_TRACE(cat(run.prompt.size(), " tokens"));
      GoldenModel model(path(), {.block_tokens = kBlockTokens}, *ops);
      TestSequence sequence = model.sequence(run.prompt.size() + run.greedy.size(), run.prompt.size());
      const auto logits = model.step({&sequence}, {run.prompt});
      const double error = relative_error(logits, run.logits);
      EXPECT_LT(error, 1e-4);
      most = std::max(most, error);
      EXPECT_EQ(continue_greedily(model, sequence, run.prompt, argmax(logits.back()), run.greedy.size()), run.greedy);
    }
  }
  RecordProperty("relative_error", cat(most));
}

// A prompt at once, in chunks of a mixed batch, and behind a shared prefix.
void expect_equal_bits(GoldenModel& model, const GoldenRun& run) {
  const size_t length = run.prompt.size();
  TestSequence whole = model.sequence(length, length), chunked = model.sequence(length, length);
  TestSequence other = model.sequence(length, 1);
  const auto expected = model.step({&whole}, {run.prompt});

  // In uneven chunks, beside another sequence that is at another place.
  std::vector<std::vector<float>> got;
  for (size_t at = 0, chunk = 5; at < length; at += chunk, chunk = chunk * 7 % 13 + 1) {
    const auto from = run.prompt.begin() + static_cast<long>(at);
    const std::vector<TokenId> part(from, from + static_cast<long>(std::min(chunk, length - at)));
    const auto rows = model.step({&other, &chunked}, {{run.prompt[at % 7], run.prompt[3]}, part});
    got.insert(got.end(), rows.begin() + 2, rows.end());
  }
  EXPECT_EQ(got, expected);

  // A continuation over a shared prefix: full blocks and three tokens of one that is copied.
  const size_t blocks = length / kBlockTokens / 2, cached = blocks * kBlockTokens + 3;
  TestSequence shared = model.sequence(length, length);
  std::copy_n(whole.blocks.begin(), blocks, shared.blocks.begin());
  model.decoder().copy_block(whole.blocks[blocks], shared.blocks[blocks], 3);
  shared.context = static_cast<int>(cached);
  const auto rest = model.step({&shared}, {{run.prompt.begin() + static_cast<long>(cached), run.prompt.end()}});
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), expected.begin() + static_cast<long>(cached)));
}

TEST_P(DecoderGolden, ChunksMixedBatchesAndCopiedBlocksAreBitEqual) {
  const WeightOptions kinds[] = {{}, {.dtype = DType::kBF16, .activations = Activations::kBF16}};
  for (const WeightOptions& weights : kinds) {
    SCOPED_TRACE(weights.dtype ? "bf16 activations" : "as stored");
    for (const GoldenRun& run : runs_) {
      GoldenModel model(path(), {.weights = weights, .block_tokens = kBlockTokens}, *kernels::available_ops().back());
      expect_equal_bits(model, run);
    }
  }
}

TEST_P(DecoderGolden, SmallerTypesStayNear) {
  const kernels::Ops& ops = *kernels::available_ops().back();
  struct Narrow {
    LoadOptions options;
    double error;
  };
  const Narrow narrow[] = {
      {{.weights = {.dtype = DType::kBF16}, .block_tokens = kBlockTokens}, 2e-2},
      {{.weights = {.dtype = DType::kBF16, .activations = Activations::kBF16}, .block_tokens = kBlockTokens}, 3e-2},
      {{.weights = {.dtype = DType::kF16}, .block_tokens = kBlockTokens}, 4e-3},
      {{.kv_dtype = DType::kF16, .block_tokens = kBlockTokens}, 4e-3},
      {{.kv_dtype = DType::kBF16, .block_tokens = kBlockTokens}, 2e-2},
      {{.weights = {.quantization = WeightQuantization::kInt8}, .block_tokens = kBlockTokens}, 5e-2},
  };
  const GoldenRun& run = runs_.front();
  for (const Narrow& one : narrow) {
    GoldenModel model(path(), one.options, ops);
    TestSequence sequence = model.sequence(run.prompt.size(), run.prompt.size());
    EXPECT_LT(relative_error(model.step({&sequence}, {run.prompt}), run.logits), one.error);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  std::vector<std::string> folders = {golden_folder("")};
  if (const char* more = std::getenv("SLUICE_GOLDEN_MODELS"); more != nullptr) folders.emplace_back(more);
  for (const std::string& folder : folders) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string path = entry.path().string();
      all.push_back({path, false});
      if (std::filesystem::exists(path + "/gguf.json") || std::filesystem::exists(path + "/model.gguf"))
        all.push_back({path, true});
    }
  }
  std::ranges::sort(all, {}, [](const Case& c) { return c.folder + (c.gguf ? "1" : "0"); });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderGolden, testing::ValuesIn(cases()), [](const auto& tested) {
  const std::filesystem::path folder = tested.param.folder;
  const std::string outside =
      folder.string().starts_with(golden_folder("")) ? "" : folder.parent_path().filename().string() + "_";
  std::string name = outside + folder.filename().string() + (tested.param.gguf ? "_gguf" : "_safetensors");
  std::ranges::replace_if(name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

TEST(Decoder, RefusesCacheTypesThatDoNotFitTheHead) {
  ThreadPool pool({.threads = 1});
  const GoldenFiles llama(golden_folder("llama2"));
  const auto files =
      std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(llama.safetensors()).value());
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

TEST(ResolveActivations, PacksWhatGainsAndLeavesSmallModelsAndChoicesAlone) {
  kernels::Ops ops = kernels::reference_ops();
  DecoderSpec spec;
  const auto resolved = [&](Activations asked, int hidden_size) {
    spec.hidden_size = hidden_size;
    return resolve_activations({.activations = asked}, spec, ops).activations;
  };
  EXPECT_EQ(resolved(Activations::kAuto, 2048), Activations::kF32);
  ops.fast_bf16 = true;
  EXPECT_EQ(resolved(Activations::kAuto, 2048), Activations::kBF16);
  EXPECT_EQ(resolved(Activations::kAuto, 64), Activations::kF32);
  EXPECT_EQ(resolved(Activations::kInt8, 2048), Activations::kInt8);
  ops.fast_int8 = true;
  EXPECT_EQ(resolved(Activations::kAuto, 2048), Activations::kInt8AndBF16);
  EXPECT_EQ(resolved(Activations::kBF16, 2048), Activations::kBF16);
  ops.fast_bf16 = false;
  EXPECT_EQ(resolved(Activations::kAuto, 2048), Activations::kInt8);
}

TEST(Decoder, NamesATokenOutsideTheVocabulary) {
  const GoldenFiles llama(golden_folder("llama2"));
  GoldenModel model(llama.safetensors(), {.block_tokens = kBlockTokens}, kernels::reference_ops());
  TestSequence sequence = model.sequence(8, 1);
  const std::vector<TokenId> tokens = {97};
  const std::vector<int32_t> positions = {0};
  const std::vector<SequenceRows> rows = {{.first_row = 0, .rows = 1, .context = 0, .blocks = sequence.blocks.data()}};
  EXPECT_FALSE(model.decoder().run({.tokens = tokens, .positions = positions, .sequences = rows}).ok());
}

}  // namespace
}  // namespace sluice::model
