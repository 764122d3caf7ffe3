#pragma once
// What the engine needs from a model: where its cache lies, and one step over a mixed batch. model/decoder.h is the
// real one; engine tests use a model whose "cache" holds token ids.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

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

// The shape of the paged cache; the scheduler knows nothing else of it. A block holds the keys and values of 16 tokens,
// in two parts that lie in two pools: its own bytes, of the layers that attend to everything, and its *window part*, of
// the layers that attend to the last `window_tokens` tokens only. The second lies in a *window slot*, which a block has
// only as long as somebody may read it.
struct CacheLayout {
  int block_tokens = 16;
  size_t block_bytes = 0;         // of a block without its window part; 0 when every layer has a window
  int window_tokens = 0;          // the widest window, the row's own token included; 0: no layer has one
  size_t window_block_bytes = 0;  // of a window slot

  // The first block whose window part the token at `position`, or one behind it, reads or writes.
  int window_begin(int position) const { return std::max(0, position - window_tokens + 1) / block_tokens; }
  // The most blocks whose window parts `rows` neighbouring tokens of a sequence read or write.
  int window_blocks(int rows) const { return (window_tokens + rows - 2 + block_tokens - 1) / block_tokens + 1; }
};

// How much cache to reserve.
struct CacheSize {
  // Without a number of slots every block has a window part, in the slot of its own number.
  CacheSize(int block_count, int slot_count) : blocks(block_count), window_slots(slot_count) {}
  CacheSize(int block_count) : CacheSize(block_count, block_count) {}  // NOLINT(google-explicit-constructor)

  int blocks;
  int window_slots;
};

// Where a block's content lies.
struct BlockPlace {
  BlockPlace(int32_t block_number, int32_t slot_number) : block(block_number), window_slot(slot_number) {}
  BlockPlace(int32_t number) : BlockPlace(number, number) {}  // NOLINT(google-explicit-constructor)

  int32_t block;
  int32_t window_slot;  // not used by a model without windows
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
  // The same rows with tables of window slots, for layers with a window: entries before the window are not read. Empty:
  // every block's window part lies in the slot of the block's number.
  std::span<const SequenceRows> window_sequences;
  std::span<const int32_t> logits_rows;  // rows whose next-token logits are wanted, ascending
  bool want_hidden = false;              // also give the final hidden state of every row
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
  // Allocates the cache and all activations, before the first step; a further call gives up what was there before.
  // kResourceExhausted when memory is not there.
  virtual Result<void> reserve(CacheSize size, int step_rows_max, int logits_rows_max) = 0;
  // Copies the first `tokens` tokens of one block to another (copy-on-write of a shared partial block).
  virtual void copy_block(BlockPlace from, BlockPlace to, int tokens) = 0;
  // Runs one step on the calling thread and its pool. Output memory is the model's and valid until the next call.
  // One thread at a time. An error leaves the cache rows of this step undefined and everything else as it was.
  virtual Result<StepOutput> run(const StepBatch& batch) = 0;
};

}  // namespace sluice::model
