// The cache of models with windowed layers: keeping each window's blocks alone gives the bits that keeping all gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "model/decoder.h"
#include "model/golden_models.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

constexpr int kTokens = 250;  // many times every window
constexpr int kWindowedBlocks = 70;
constexpr int kRowsMax = 9;

using Logits = std::vector<std::vector<float>>;

// One sequence of a decoder whose windowed layers have room for one window and one step.
class Windowed {
 public:
  Windowed(Decoder& decoder, int slots) : decoder_(decoder), layout_(decoder.cache_layout()) {
    std::vector<int32_t> ids(kWindowedBlocks);
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), random_);
    blocks_.assign(ids.begin(), ids.end());
    slots_.assign(kWindowedBlocks, -1);
    for (int32_t slot = 0; slot < slots; ++slot) free_.push_back(slot);
  }

  Logits step(std::span<const TokenId> tokens) {
    const int rows = static_cast<int>(tokens.size());
    for (int b = 0; b < layout_.window_begin(context_); ++b) drop(b);
    for (int b = layout_.window_begin(context_); b * kBlockTokens < context_ + rows; ++b) take(b);
    std::vector<int32_t> positions(tokens.size()), lengths(tokens.size());
    std::iota(positions.begin(), positions.end(), context_);
    std::iota(lengths.begin(), lengths.end(), context_ + 1);
    std::vector<int32_t> wanted(tokens.size());
    std::iota(wanted.begin(), wanted.end(), 0);
    const std::vector<SequenceRows> all = {{0, rows, context_, blocks_.data()}};
    const std::vector<SequenceRows> window = {{0, rows, context_, slots_.data()}};
    const auto output = decoder_.run({.tokens = tokens,
                                      .positions = positions,
                                      .rope_lengths = lengths,
                                      .sequences = all,
                                      .window_sequences = window,
                                      .logits_rows = wanted});
    EXPECT_TRUE(output.ok());
    context_ += rows;
    const auto vocab = static_cast<size_t>(decoder_.traits().vocab_size);
    Logits logits;
    for (size_t r = 0; r < tokens.size(); ++r) {
      logits.emplace_back(output->logits.begin() + static_cast<long>(r * vocab),
                          output->logits.begin() + static_cast<long>((r + 1) * vocab));
    }
    return logits;
  }

  // The block that is being filled gets another place, in a block and in a slot, as when it is shared in part.
  void copy_last_block() {
    const int last = context_ / kBlockTokens, inside = context_ % kBlockTokens;
    if (inside == 0 || free_.empty()) return;
    const BlockPlace from = {blocks_[static_cast<size_t>(last)], slots_[static_cast<size_t>(last)]};
    std::swap(blocks_[static_cast<size_t>(last)], blocks_.back());
    slots_[static_cast<size_t>(last)] = -1;
    take(last);
    decoder_.copy_block(from, {blocks_[static_cast<size_t>(last)], slots_[static_cast<size_t>(last)]}, inside);
    free_.push_back(from.window_slot);
  }

 private:
  void drop(int b) {
    int32_t& slot = slots_[static_cast<size_t>(b)];
    if (slot >= 0) free_.push_back(slot);
    slot = -1;
  }
  void take(int b) {
    int32_t& slot = slots_[static_cast<size_t>(b)];
    if (slot >= 0) return;
    ASSERT_FALSE(free_.empty()) << "window_blocks() is too small";
    const size_t drawn = random_() % free_.size();
    slot = free_[drawn];
    free_.erase(free_.begin() + static_cast<long>(drawn));
  }

  Decoder& decoder_;
  const CacheLayout layout_;
  std::mt19937 random_{3};
  std::vector<int32_t> blocks_, slots_, free_;
  int context_ = 0;
};

class DecoderWindow : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Decoder> load(const kernels::Ops& ops, CacheSize size, int rows_max) {
    auto files = std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(files_.safetensors()).value());
    const ModelDescription description = describe_model(*files).value();
    auto decoder = load_decoder(files, description, {.block_tokens = kBlockTokens}, ops, pool_).value();
    EXPECT_TRUE(decoder->reserve(size, rows_max, rows_max).ok());
    return decoder;
  }

  const GoldenFiles files_{golden_folder(GetParam())};
  ThreadPool pool_{ThreadPoolOptions{.threads = 2}};
};

TEST_P(DecoderWindow, DroppedBlocksChangeNoBit) {
  for (const kernels::Ops* ops : kernels::available_ops()) {
    SCOPED_TRACE(ops->name);
    const auto keeps_all = load(*ops, kWindowedBlocks, kTokens);
    const CacheLayout layout = keeps_all->cache_layout();
    ASSERT_GT(layout.window_tokens, 0);
    EXPECT_GE(kTokens, 20 * layout.window_tokens);
    std::mt19937 random(11);
    std::vector<TokenId> text(kTokens);
    for (TokenId& id : text) id = static_cast<TokenId>(random() % static_cast<unsigned>(keeps_all->spec().vocab_size));
    Windowed whole(*keeps_all, kWindowedBlocks);
    const Logits expected = whole.step(text);

    // One slot more, for copies.
    const int slots = layout.window_blocks(kRowsMax) + 1;
    const auto keeps_window = load(*ops, {kWindowedBlocks, slots}, kRowsMax);
    Windowed windowed(*keeps_window, slots);
    Logits got;
    for (size_t at = 0; at < text.size();) {
      const size_t rows = std::min<size_t>(at < 40 ? random() % kRowsMax + 1 : 1, text.size() - at);
      const Logits logits = windowed.step(std::span(text).subspan(at, rows));
      got.insert(got.end(), logits.begin(), logits.end());
      at += rows;
      if (random() % 8 == 0) windowed.copy_last_block();
    }
    EXPECT_EQ(got, expected);
    EXPECT_LE(static_cast<size_t>(slots) * layout.window_block_bytes,
              static_cast<size_t>(layout.window_tokens + kRowsMax + 3 * kBlockTokens) * layout.window_block_bytes /
                  kBlockTokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderWindow,
                         testing::Values("mistral", "phi3", "gemma2", "gemma2_odd", "gemma3", "gemma3_layers",
                                         "qwen2_windows", "qwen2_layer_types"),
                         [](const auto& tested) { return tested.param; });

TEST(CacheLayout, CountsEachKindOfLayer) {
  DecoderSpec spec;
  spec.layers = 3;
  spec.kv_heads = 2;
  spec.head_dim = 8;
  spec.context_max = 100;
  spec.layer_kinds = {{.window = 10}, {.window = 0}, {.window = 30}};
  const size_t layer = 2 * 2 * 8 * 2 * 16;
  CacheLayout layout = cache_layout(spec, DType::kF16, 16);
  EXPECT_EQ(layout.block_bytes, layer);
  EXPECT_EQ(layout.window_block_bytes, 2 * layer);
  EXPECT_EQ(layout.window_tokens, 30);
  spec.layer_kinds[0].window = 100;  // as long as the context: it never drops anything
  layout = cache_layout(spec, DType::kF16, 16);
  EXPECT_EQ(layout.block_bytes, 2 * layer);
  EXPECT_EQ(layout.window_block_bytes, layer);
  spec.layer_kinds = {{}, {}, {}};
  layout = cache_layout(spec, DType::kF16, 16);
  EXPECT_EQ(layout.block_bytes, 3 * layer);
  EXPECT_EQ(layout.window_tokens, 0);
  EXPECT_EQ(layout.window_block_bytes, 0u);
}

}  // namespace
}  // namespace sluice::model
