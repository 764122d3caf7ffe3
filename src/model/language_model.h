#pragma once
// What the engine needs from a model: where its cache lies, and one step over a mixed batch. model/decoder.h is the
// real one; engine tests use a model whose "cache" holds token ids.

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/ops.h"
#include "tensor/dtype.h"

namespace sluice::model {

using TokenId = int32_t;
using kernels::SequenceRows;

struct ModelTraits {
  std::string architecture;  // "llama", "glm4", …
  int vocab_size = 0;        // columns of the logits
  int hidden_size = 0;
  int context_max = 0;  // positions the model was made for
};

// The bytes of the paged cache; the scheduler knows nothing else of it.
struct CacheLayout {
  int block_tokens = 16;
  size_t block_bytes = 0;  // all layers, keys and values of one block
  // [layers] how many of the last tokens a layer's attention sees, the newest included; 0: all. Empty: all layers see
  // all.
  std::vector<int> windows = {};
};

// In some models a token's keys and values depend on how long the forward pass was that computed them (longrope,
// dynamic rope): what one sequence has cached is right for another only where both were computed alike.
struct CacheRegime {
  int64_t id = 0;  // sequences of different ids share nothing
  // Of those with the same id, the first tokens that are computed alike whatever follows.
  int shared_tokens = std::numeric_limits<int>::max();
  // A sequence that grows beyond this must be computed anew, as one pass of the tokens it has by then (Phi-3).
  int tokens_max = std::numeric_limits<int>::max();
};

// One forward pass over rows of several sequences: prefill chunks and single decode tokens side by side.
struct StepBatch {
  std::span<const TokenId> tokens;     // [rows]
  std::span<const int32_t> positions;  // [rows] rotary position of each row
  // [rows] how many tokens the reference would have at hand when it computes the row: those of the sequence's first
  // pass (its prompt; after CacheRegime::tokens_max all it had), or position + 1 for tokens after it.
  std::span<const int32_t> rope_lengths;
  std::span<const SequenceRows> sequences;  // cover all rows in order; block tables stay valid during the step
  std::span<const int32_t> logits_rows;     // rows whose next-token logits are wanted, ascending
  bool want_hidden = false;                 // also give the final hidden state of every row
};

struct StepOutput {
  std::span<float> logits;        // [logits_rows, vocab_size]; the caller may change them in place
  std::span<const float> hidden;  // [rows, hidden_size] after the final norm, if wanted
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual const ModelTraits& traits() const = 0;
  virtual CacheLayout cache_layout() const = 0;
  // How a sequence whose first pass has `pass_tokens` tokens may share its cache. Pure.
  virtual CacheRegime cache_regime(int pass_tokens) const {
    static_cast<void>(pass_tokens);
    return {};
  }
  // Allocates the cache and all activations, once, before the first step. kResourceExhausted when memory is not there.
  virtual Result<void> reserve(int blocks, int step_rows_max, int logits_rows_max) = 0;
  // Copies the first `tokens` tokens of one block to another (copy-on-write of a shared partial block).
  virtual void copy_block(int32_t from, int32_t to, int tokens) = 0;
  // Runs one step on the calling thread and its pool. Output memory is the model's and valid until the next call.
  // One thread at a time. An error leaves the cache rows of this step undefined and everything else as it was.
  virtual Result<StepOutput> run(const StepBatch& batch) = 0;
};

}  // namespace sluice::model
