#pragma once
// CacheBlocks gives sequences their blocks of the key/value cache: the allocator and the prefix index together.
// A sequence's block table holds its tokens 0 … n in order; full blocks may be shared with others, the last one is its
// own. Owned by the engine thread.

#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "engine/block_allocator.h"
#include "engine/prefix_index.h"
#include "model/language_model.h"

namespace sluice::engine {

// What a cached prefix is found by. Today every position's key is its token id; positions that come from an image will
// carry ids derived from the image's content, and nothing here changes.
struct PrefixKey {
  std::string_view salt;
  std::span<const TokenId> tokens;
  // Only so many tokens from the front are the same for every sequence of this salt (model::CacheRegime).
  int shared_tokens = std::numeric_limits<int>::max();
};

struct BlockTable {
  std::vector<BlockId> blocks;
  int computed = 0;                           // tokens whose keys and values are in the blocks
  int indexed = 0;                            // blocks, from the front, that the index knows
  RadixPrefixIndex::Cursor cursor = nullptr;  // the node of the last of them
};

// What a table could take from the index now.
struct Reuse {
  int full_blocks = 0;        // shared
  int idle_blocks = 0;        // of them, that no sequence uses yet
  int partial_tokens = 0;     // copied from one more block
  bool partial_idle = false;  // that block is used by no sequence
};

class CacheBlocks {
 public:
  // `model` copies blocks; it must outlive this object and be reserved with as many blocks.
  CacheBlocks(model::LanguageModel& model, int blocks, bool prefix_index);

  int block_tokens() const { return block_tokens_; }
  int blocks_for(int tokens) const { return (tokens + block_tokens_ - 1) / block_tokens_; }
  const BlockAllocator& allocator() const { return allocator_; }

  // At most `limit` tokens of key.tokens may come from the index.
  Reuse lookup(const PrefixKey& key, int limit) const;
  // Fills an empty table with blocks for all of key.tokens, the first taken from the index. False, and nothing has
  // changed but evictions, when there are not enough blocks.
  bool acquire(BlockTable& table, const PrefixKey& key, int limit, bool copy_partial);
  // Takes over further full blocks that others have computed since. Returns the tokens gained.
  int adopt(BlockTable& table, const PrefixKey& key, int limit);
  // One more block. There must be an available one.
  void grow(BlockTable& table);
  // Declares the tokens up to `computed` as computed and shows the full blocks to the index, and the partial last one
  // too when `tail` is set.
  void commit(BlockTable& table, const PrefixKey& key, int computed, bool tail);
  // Gives all blocks back; the index remembers what was computed.
  void release(BlockTable& table, const PrefixKey& key);
  // Gives all blocks back; what was not yet shown to the index is forgotten.
  void discard(BlockTable& table);
  // How many blocks would become available by releasing the table.
  int releasable(const BlockTable& table) const;

  // Audits allocator and index against all live tables.
  Result<void> audit(std::span<const BlockTable* const> tables) const;

 private:
  RadixPrefixIndex::Match match(const BlockTable& table, const PrefixKey& key, int limit) const;
  bool make_room(int blocks);

  model::LanguageModel& model_;
  const int block_tokens_;
  const bool prefix_index_;
  BlockAllocator allocator_;
  RadixPrefixIndex index_;
};

}  // namespace sluice::engine
