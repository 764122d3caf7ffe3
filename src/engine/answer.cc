#include "engine/answer.h"

#include <algorithm>

namespace sluice::engine {
namespace {

// Enough of the prompt for the decoder to know whether the answer continues a word.
constexpr size_t kDecoderContext = 8;

std::string bytes_of(const text::Tokenizer& tokenizer, TokenId id) {
  return id < tokenizer.vocab_size() ? tokenizer.token_bytes(id) : std::string();
}

}  // namespace

Answer::Answer(const text::Tokenizer& tokenizer, const SamplingSettings& settings, std::span<const TokenId> prompt,
               int tokens_max)
    : tokenizer_(tokenizer),
      settings_(settings),
      tokens_max_(tokens_max),
      decoder_(tokenizer, settings.skip_special_tokens, prompt.last(std::min(prompt.size(), kDecoderContext))),
      stops_(settings.stop, settings.include_stop) {
  for (const std::string& token : settings.shown_tokens) {
    if (const auto id = tokenizer.token_id(token)) decoder_.show(*id);
  }
}

api::TokenDelta Answer::push(const Sample& sample) {
  ++generated_;
  api::TokenDelta delta;
  delta.ids.push_back(sample.id);
  if (settings_.logprobs) delta.logprobs.push_back(describe(tokenizer_, sample.id, sample.logprob, sample.top));

  const bool armed = generated_ > settings_.min_tokens;
  const bool end_token = settings_.ends(sample.id);
  if (!end_token && sample.id < tokenizer_.vocab_size()) delta.text = stops_.push(decoder_.push(sample.id), armed);
  if (!stops_.matched() && (end_token || generated_ >= tokens_max_)) {
    delta.text += stops_.push(decoder_.flush(), armed);
    if (!stops_.matched()) delta.text += stops_.flush();
    delta.finish = end_token ? api::FinishReason::kStop : api::FinishReason::kLength;
  }
  if (stops_.matched()) {
    delta.finish = api::FinishReason::kStop;
    delta.stop_match = stops_.match();
  }
  return delta;
}

api::TokenLogprob describe(const text::Tokenizer& tokenizer, TokenId id, float logprob,
                           const std::vector<TokenScore>& top) {
  api::TokenLogprob described{.id = id, .bytes = bytes_of(tokenizer, id), .logprob = logprob};
  for (const TokenScore& one : top) described.top.push_back({one.id, bytes_of(tokenizer, one.id), one.logprob});
  return described;
}

}  // namespace sluice::engine
