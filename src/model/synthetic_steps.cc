#include "model/synthetic_steps.h"

#include <chrono>

#include "base/check.h"
#include "base/random.h"

namespace sluice::model {
namespace {

int blocks_each(int tokens_max, int block_tokens) { return (tokens_max + block_tokens - 1) / block_tokens; }

}  // namespace

SyntheticSteps::SyntheticSteps(LanguageModel& model, int tokens_max, int sequences)
    : model_(model), block_tokens_(model.cache_layout().block_tokens) {
  tables_.resize(static_cast<size_t>(sequences));
  int next = 0;
  for (std::vector<int32_t>& table : tables_) {
    for (int b = 0; b < blocks_each(tokens_max, block_tokens_); ++b) table.push_back(next++);
  }
}

int SyntheticSteps::blocks(const LanguageModel& model, int tokens_max, int sequences) {
  return sequences * blocks_each(tokens_max, model.cache_layout().block_tokens);
}

Result<void> SyntheticSteps::fill() {
  SLUICE_RETURN_IF_ERROR(step(1, block_tokens_, 0));
  const int32_t computed = tables_.front().front();
  for (const std::vector<int32_t>& table : tables_) {
    for (const int32_t block : table) {
      if (block != computed) model_.copy_block(computed, block, block_tokens_);
    }
  }
  return {};
}

Result<double> SyntheticSteps::step(int sequences, int rows, int context) {
  SLUICE_CHECK(static_cast<size_t>(sequences) <= tables_.size());
  const auto vocab = static_cast<uint32_t>(model_.traits().vocab_size);
  tokens_.clear();
  positions_.clear();
  lengths_.clear();
  logits_rows_.clear();
  slices_.clear();
  for (int s = 0; s < sequences; ++s) {
    slices_.push_back({.first_row = static_cast<int>(tokens_.size()),
                       .rows = rows,
                       .context = context,
                       .blocks = tables_[static_cast<size_t>(s)].data()});
    for (int r = 0; r < rows; ++r) {
      tokens_.push_back(static_cast<TokenId>(philox4x32(1, draws_++)[0] % vocab));
      positions_.push_back(context + r);
      lengths_.push_back(context + rows);
    }
    logits_rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
  }
  const auto start = std::chrono::steady_clock::now();
  const Result<StepOutput> output = model_.run({.tokens = tokens_,
                                                .positions = positions_,
                                                .rope_lengths = lengths_,
                                                .sequences = slices_,
                                                .window_sequences = {},
                                                .logits_rows = logits_rows_});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!output.ok()) return output.error();
  logits_ = output->logits;
  return seconds;
}

}  // namespace sluice::model
