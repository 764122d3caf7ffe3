#pragma once
// Turns what a caller submits into a checked Request, or says why it can never be served. Immutable; any thread.

#include <atomic>
#include <memory>

#include "base/clock.h"
#include "engine/request.h"
#include "engine/sequence.h"
#include "model/language_model.h"
#include "text/tokenizer.h"

namespace sluice::engine {

class Admission {
 public:
  // Everything given must outlive it. `block_tokens`: of the model's cache.
  Admission(const EngineOptions& options, const model::ModelTraits& traits, int block_tokens,
            const text::Tokenizer& tokenizer, const Clock& clock);

  // kInvalidArgument names the parameter; reason "context_length_exceeded" for a prompt that can never fit.
  Result<std::unique_ptr<Request>> accept(EngineRequest request) const;
  Result<std::unique_ptr<Request>> accept(EngineEmbedRequest request) const;

  int sequence_tokens_max() const { return sequence_tokens_max_; }  // of the context and of the cache, the smaller

 private:
  uint64_t draw_seed() const;
  Result<void> check_tokens(std::span<const TokenId> tokens, int room, std::string_view param) const;

  const EngineOptions& options_;
  const text::Tokenizer& tokenizer_;
  const Clock& clock_;
  const int vocab_size_;
  const int context_max_;
  const int cache_tokens_;
  const int sequence_tokens_max_;
  const uint64_t random_seed_;
  mutable std::atomic<uint64_t> seeds_drawn_{0};
};

}  // namespace sluice::engine
