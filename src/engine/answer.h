#pragma once
// The text side of one answer: turns sampled tokens into deltas, and decides when the answer ends.
// Engine thread only. The tokenizer must outlive it.

#include <span>
#include <string>

#include "api/generate.h"
#include "engine/sampler.h"
#include "engine/sampling_settings.h"
#include "engine/stop_matcher.h"
#include "text/tokenizer.h"

namespace sluice::engine {

class Answer {
 public:
  // `tokens_max` ≥ 1: after so many tokens the answer ends with kLength.
  Answer(const text::Tokenizer& tokenizer, const SamplingSettings& settings, std::span<const TokenId> prompt,
         int tokens_max);

  // The next delta; its `finish` is set when the answer has ended, and then no more may be pushed. End tokens and stop
  // strings end it without being printed; text that may become a stop string is held back.
  api::TokenDelta push(const Sample& sample);

  int generated() const { return generated_; }           // tokens pushed
  int left() const { return tokens_max_ - generated_; }  // that may be pushed, at most

 private:
  const text::Tokenizer& tokenizer_;
  const SamplingSettings& settings_;
  const int tokens_max_;
  text::StreamDecoder decoder_;
  StopMatcher stops_;
  int generated_ = 0;
};

// A score as clients read it. `id` may lie behind the tokenizer's vocabulary (a padded model): then without bytes.
api::TokenLogprob describe(const text::Tokenizer& tokenizer, TokenId id, float logprob,
                           const std::vector<TokenScore>& top);

}  // namespace sluice::engine
