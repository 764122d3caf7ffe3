#pragma once
// Test doubles. HashModel is a LanguageModel whose cache blocks hold token ids and whose outputs are a hash of the
// token history as read through the block table: any mistake with blocks changes the output or is caught as a read of
// poison. With a window, its window slots hold token ids too: a row reads the last `window` of them, and all of them or
// none from the blocks, as layers of both kinds or of one would. With a RopeRule, a token's cache
// also depends on the length of the pass that computed it. PieceTokenizer has a small vocabulary of letters,
// pairs, halves of characters and special tokens.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "model/language_model.h"
#include "text/tokenizer.h"

namespace sluice::engine {

class PieceTokenizer final : public text::Tokenizer {
 public:
  static constexpr text::TokenId kEos = 0, kStopToken = 1;

  PieceTokenizer() {
    pieces_ = {"<eos>", "<stop>", "<pad>", "\xC3", "\xA9", "\xE4\xBD", "\xA0", " "};
    for (char c = 'a'; c <= 'f'; ++c) pieces_.push_back(std::string(1, c));
    for (char c = 'a'; c <= 'f'; ++c) {
      for (char d = 'a'; d <= 'c'; ++d) pieces_.push_back({c, d});
    }
  }
  std::vector<text::TokenId> encode(std::string_view text, const text::EncodeOptions&) const override {
    std::vector<text::TokenId> ids;
    for (const char c : text) ids.push_back(*token_id(std::string_view(&c, 1)));
    return ids;
  }
  std::string decode(std::span<const text::TokenId> ids, bool skip_special) const override {
    std::string text;
    for (const text::TokenId id : ids) {
      if (!skip_special || !is_special(id)) text += pieces_[static_cast<size_t>(id)];
    }
    return text;
  }
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  std::string_view token_text(text::TokenId id) const override { return pieces_[static_cast<size_t>(id)]; }
  std::string token_bytes(text::TokenId id) const override { return pieces_[static_cast<size_t>(id)]; }
  bool is_special(text::TokenId id) const override { return id < 3; }
  std::optional<text::TokenId> token_id(std::string_view text) const override {
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (pieces_[i] == text) return static_cast<text::TokenId>(i);
    }
    return std::nullopt;
  }
  std::optional<text::TokenId> bos() const override { return std::nullopt; }
  std::optional<text::TokenId> eos() const override { return kEos; }

 private:
  std::vector<std::string> pieces_;
};

struct ModelFaults {
  std::function<bool()> fail_step = [] { return false; };
  std::function<bool(std::span<const model::TokenId> history)> nan_after = [](auto) {
    return false;
  };  // that row has a NaN
  std::function<void()> before_step = [] {};
};

// How a model's cache depends on lengths: what a pass of that length leaves behind, added to the token id, and the
// regime to tell the engine.
struct RopeRule {
  std::function<int(int rope_length)> mark = [](int) { return 0; };
  std::function<model::CacheRegime(int pass_tokens)> regime = [](int) { return model::CacheRegime{}; };
};

class HashModel final : public model::LanguageModel {
 public:
  static constexpr model::TokenId kPoison = -7;

  struct Window {
    int tokens = 0;           // 0: no layer has a window
    bool full_layers = true;  // beside the windowed ones
  };

  HashModel(int vocab_size, int context_max, int block_tokens, ModelFaults faults = {}, Window window = {0, true})
      : block_tokens_(block_tokens), window_(window), faults_(std::move(faults)) {
    traits_ = {.architecture = "hash", .vocab_size = vocab_size, .hidden_size = 8, .context_max = context_max};
  }

  const model::ModelTraits& traits() const override { return traits_; }
  model::CacheRegime cache_regime(int pass_tokens) const override { return rope.regime(pass_tokens); }
  model::CacheLayout cache_layout() const override {
    const size_t bytes = static_cast<size_t>(block_tokens_) * sizeof(model::TokenId);
    return {.block_tokens = block_tokens_,
            .block_bytes = window_.full_layers ? bytes : 0,
            .window_tokens = window_.tokens,
            .window_block_bytes = window_.tokens > 0 ? bytes : 0};
  }

  Result<void> reserve(model::CacheSize size, int step_rows_max, int logits_rows_max) override {
    cache_.assign(static_cast<size_t>(size.blocks * block_tokens_), kPoison);
    window_cache_.assign(static_cast<size_t>(size.window_slots * block_tokens_), kPoison);
    rows_max_ = step_rows_max;
    logits_rows_max_ = logits_rows_max;
    logits_.resize(static_cast<size_t>(logits_rows_max * traits_.vocab_size));
    return {};
  }

  void copy_block(model::BlockPlace from, model::BlockPlace to, int tokens) override {
    EXPECT_NE(from.block, to.block);
    for (int i = 0; i < tokens; ++i) at(to.block, i) = at(from.block, i);
    if (window_.tokens == 0) return;
    EXPECT_NE(from.window_slot, to.window_slot);
    for (int i = 0; i < tokens; ++i) window_at(to.window_slot, i) = window_at(from.window_slot, i);
  }

  Result<model::StepOutput> run(const model::StepBatch& batch) override {
    faults_.before_step();
    ++steps;
    const int rows = static_cast<int>(batch.tokens.size());
    rows_run += rows;
    if (on_step) on_step(rows);
    EXPECT_LE(rows, rows_max_);
    EXPECT_LE(static_cast<int>(batch.logits_rows.size()), logits_rows_max_);
    EXPECT_TRUE(std::is_sorted(batch.logits_rows.begin(), batch.logits_rows.end()));
    EXPECT_EQ(batch.rope_lengths.size(), batch.tokens.size());
    EXPECT_EQ(batch.window_sequences.size(), window_.tokens > 0 ? batch.sequences.size() : 0);
    if (faults_.fail_step()) {
      for (size_t s = 0; s < batch.sequences.size(); ++s) {
        const int context = batch.sequences[s].context;
        for (int i = 0; i < batch.sequences[s].rows; ++i) write(batch, s, context + i, kPoison);
      }
      return Error{ErrorCode::kInternal, "scripted failure", {}, {}};
    }
    hidden_.assign(static_cast<size_t>(rows * traits_.hidden_size), NAN);
    std::fill(logits_.begin(), logits_.end(), NAN);
    int next_row = 0;
    size_t next_logits = 0;
    for (size_t s = 0; s < batch.sequences.size(); ++s) {
      const auto& sequence = batch.sequences[s];
      EXPECT_EQ(sequence.first_row, next_row);
      if (window_.tokens > 0) expect_window_table(batch, s);
      // All rows write before one reads.
      for (int i = 0; i < sequence.rows; ++i) {
        const auto row = static_cast<size_t>(sequence.first_row + i);
        write(batch, s, sequence.context + i, batch.tokens[row] + rope.mark(batch.rope_lengths[row]));
      }
      for (int i = 0; i < sequence.rows; ++i, ++next_row) {
        EXPECT_EQ(batch.positions[static_cast<size_t>(next_row)], sequence.context + i);
        read_history(batch, s, sequence.context + i);
        if (batch.want_hidden) fill_hidden(next_row);
        if (next_logits < batch.logits_rows.size() && batch.logits_rows[next_logits] == next_row) {
          fill_logits(history_, std::span(logits_).subspan(next_logits++ * static_cast<size_t>(traits_.vocab_size),
                                                           static_cast<size_t>(traits_.vocab_size)));
        }
      }
    }
    EXPECT_EQ(next_row, rows);
    EXPECT_EQ(next_logits, batch.logits_rows.size());
    return model::StepOutput{std::span(logits_).first(next_logits * static_cast<size_t>(traits_.vocab_size)),
                             batch.want_hidden ? std::span<const float>(hidden_) : std::span<const float>()};
  }

  // What a row after `history` gives, for tests' own references.
  void fill_logits(std::span<const model::TokenId> history, std::span<float> logits) const {
    const uint64_t seed = hash(history);
    for (size_t v = 0; v < logits.size(); ++v) logits[v] = static_cast<float>(philox_uniform(seed, v) * 8 - 4);
    if (faults_.nan_after(history)) logits[logits.size() / 2] = NAN;
  }
  std::vector<float> hidden_after(std::span<const model::TokenId> history) const {
    std::vector<float> row(static_cast<size_t>(traits_.hidden_size));
    for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(philox_uniform(hash(history), i, 1) - 0.5);
    return row;
  }

  void poison(int32_t block) {
    for (int i = 0; i < block_tokens_; ++i) at(block, i) = kPoison;
  }
  void poison_slot(int32_t slot) {
    for (int i = 0; i < block_tokens_; ++i) window_at(slot, i) = kPoison;
  }

  std::function<void(int rows)> on_step;
  int64_t steps = 0;
  int64_t rows_run = 0;
  RopeRule rope;

 private:
  static uint64_t hash(std::span<const model::TokenId> history) {
    uint64_t h = 0xcbf29ce484222325;
    for (const model::TokenId id : history) h = (h ^ static_cast<uint64_t>(id + 100)) * 0x100000001b3;
    return h;
  }
  void fill_hidden(int row) {
    const std::vector<float> values = hidden_after(history_);
    std::copy(values.begin(), values.end(), hidden_.begin() + row * traits_.hidden_size);
  }
  model::TokenId& at(int32_t block, int i) { return cache_.at(static_cast<size_t>(block * block_tokens_ + i)); }
  model::TokenId& window_at(int32_t slot, int i) {
    return window_cache_.at(static_cast<size_t>(slot * block_tokens_ + i));
  }
  model::TokenId& cell(const model::SequenceRows& sequence, int token) {
    return at(sequence.blocks[token / block_tokens_], token % block_tokens_);
  }
  model::TokenId& window_cell(const model::StepBatch& batch, size_t s, int token) {
    return window_at(batch.window_sequences[s].blocks[token / block_tokens_], token % block_tokens_);
  }
  void write(const model::StepBatch& batch, size_t s, int token, model::TokenId id) {
    if (window_.full_layers) cell(batch.sequences[s], token) = id;
    if (window_.tokens > 0) window_cell(batch, s, token) = id;
  }
  void expect_window_table(const model::StepBatch& batch, size_t s) const {
    const auto &rows = batch.sequences[s], &window = batch.window_sequences[s];
    EXPECT_TRUE(rows.first_row == window.first_row && rows.rows == window.rows && rows.context == window.context);
    for (int i = 0; i < cache_layout().window_begin(rows.context); ++i) {
      EXPECT_EQ(window.blocks[i], -1) << "a slot behind the window is still held";
    }
  }
  void read_history(const model::StepBatch& batch, size_t s, int last) {
    history_.clear();
    const int window_begin = window_.tokens > 0 ? std::max(0, last + 1 - window_.tokens) : 0;
    for (int t = window_.full_layers ? 0 : window_begin; t <= last; ++t) {
      history_.push_back(window_.full_layers ? cell(batch.sequences[s], t) : window_cell(batch, s, t));
      EXPECT_NE(history_.back(), kPoison) << "token " << t << " was read from a block that never held it";
      if (window_.tokens > 0 && t >= window_begin) {
        EXPECT_EQ(window_cell(batch, s, t), history_.back()) << "token " << t << " is another in its window slot";
      }
    }
  }

  model::ModelTraits traits_;
  const int block_tokens_;
  const Window window_;
  ModelFaults faults_;
  int rows_max_ = 0;
  int logits_rows_max_ = 0;
  std::vector<model::TokenId> cache_;
  std::vector<model::TokenId> window_cache_;
  std::vector<model::TokenId> history_;
  std::vector<float> logits_;
  std::vector<float> hidden_;
};

}  // namespace sluice::engine
