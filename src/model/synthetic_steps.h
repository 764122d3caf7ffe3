#pragma once
// Runs a model without an engine: sequences of random tokens over cache blocks of their own, each step timed. What
// `sluice bench model` and tuning measure with. One thread at a time.

#include <cstdint>
#include <span>
#include <vector>

#include "model/language_model.h"

namespace sluice::model {

class SyntheticSteps {
 public:
  // `sequences` of up to `tokens_max` tokens each. The model must outlive it and have been reserved with at least
  // blocks() blocks.
  SyntheticSteps(LanguageModel& model, int tokens_max, int sequences);
  static int blocks(const LanguageModel& model, int tokens_max, int sequences);

  // Gives every block of every sequence the content of one that was computed: attention over it costs what it would
  // cost after a prompt of that length.
  Result<void> fill();

  // Seconds of one step: `rows` new tokens for each of `sequences`, after `context` tokens. The tokens of the n-th step
  // are the same in every object.
  Result<double> step(int sequences, int rows, int context);
  // [sequences, vocab_size] of the last step.
  std::span<const float> logits() const { return logits_; }

 private:
  LanguageModel& model_;
  int block_tokens_;
  uint64_t draws_ = 0;
  std::vector<std::vector<int32_t>> tables_;  // [sequences][blocks]
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_, lengths_, logits_rows_;
  std::vector<SequenceRows> slices_;
  std::span<const float> logits_;
};

}  // namespace sluice::model
