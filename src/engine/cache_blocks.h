#pragma once
// CacheBlocks gives sequences their blocks of the key/value cache and the window slots of those blocks: the two
// allocators and the prefix index together. A sequence's block table holds its tokens 0 … n in order; full blocks may
// be shared with others, the last one is its own.
//
// Windows. Of a model with windowed layers, a table holds the window slots of the blocks that its next rows read and
// write, and no others: commit() lets go of those that have fallen behind the window, prepare() takes those of the rows
// to come. A cached prefix can be continued only where the slots of all blocks within one window before that place are
// still there, so what the index finds is shortened to the longest such beginning. Every table is promised the slots
// that it may still need for the tokens of its blocks; window_room() is what nobody holds and nobody was promised.
// Owned by the engine thread.

#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "engine/block_allocator.h"
#include "engine/prefix_index.h"
#include "engine/window_slots.h"
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
  // [blocks] of a model with windows: the slots of blocks window_begin to window_end − 1, else -1.
  std::vector<SlotId> window_slots;
  int window_begin = 0;  // of `computed`
  int window_end = 0;
};

// Cache memory as the scheduler counts it.
struct CacheRoom {
  int blocks = 0;
  int window_slots = 0;

  CacheRoom& operator+=(const CacheRoom& other) {
    blocks += other.blocks;
    window_slots += other.window_slots;
    return *this;
  }
  CacheRoom& operator-=(const CacheRoom& other) {
    blocks -= other.blocks;
    window_slots -= other.window_slots;
    return *this;
  }
  // Of both kinds no more than there.
  bool operator<=(const CacheRoom& other) const { return blocks <= other.blocks && window_slots <= other.window_slots; }
};

// What a table could take from the index now.
struct Reuse {
  int full_blocks = 0;        // shared
  int idle_blocks = 0;        // of them, that no sequence uses yet
  int partial_tokens = 0;     // copied from one more block
  bool partial_idle = false;  // that block is used by no sequence
  int window_slots = 0;       // that such a table would hold or be promised, and that are nobody's yet
  bool window_grows = false;  // its next block will need a further one
};

class CacheBlocks {
 public:
  // `model` copies blocks; it must outlive this object and be reserved with that size. `step_rows_max`: of one sequence
  // in one step.
  CacheBlocks(model::LanguageModel& model, model::CacheSize size, int step_rows_max, bool prefix_index);

  int block_tokens() const { return layout_.block_tokens; }
  int blocks_for(int tokens) const { return (tokens + layout_.block_tokens - 1) / layout_.block_tokens; }
  const BlockAllocator& allocator() const { return allocator_; }
  bool windowed() const { return layout_.window_tokens > 0; }
  const WindowSlots& window() const { return window_; }
  // Below 0 when tables that shared slots have gone apart: then some must give theirs back before a step.
  int window_room() const { return window_.available() - promised_; }
  // The share of the cache in use: of blocks or of window slots, whichever is scarcer.
  double usage() const;

  // At most `limit` tokens of key.tokens may come from the index, and part of a block only if `copy_partial`.
  Reuse lookup(const PrefixKey& key, int limit, bool copy_partial) const;
  // Fills an empty table with blocks for all of key.tokens, the first taken from the index. False, and nothing has
  // changed but evictions, when there is not enough room.
  bool acquire(BlockTable& table, const PrefixKey& key, int limit, bool copy_partial);
  // Takes over further full blocks that others have computed since. Returns the tokens gained.
  int adopt(BlockTable& table, const PrefixKey& key, int limit);
  // Gives the table what its next `rows` tokens need: window slots, and more blocks if they reach behind the last.
  // Both must be there.
  void prepare(BlockTable& table, int rows);
  // Gives back the blocks behind the last computed token.
  void trim(BlockTable& table);
  // Declares the tokens up to `computed` as computed and shows the full blocks to the index, and the partial last one
  // too when `tail` is set.
  void commit(BlockTable& table, const PrefixKey& key, int computed, bool tail);
  // Gives all blocks back; the index remembers what was computed.
  void release(BlockTable& table, const PrefixKey& key);
  // Gives all blocks back; what was not yet shown to the index is forgotten.
  void discard(BlockTable& table);
  // What would become available by releasing the table.
  CacheRoom releasable(const BlockTable& table) const;
  // Whether the table's next block will need a further window slot. A table at its widest gives one back first.
  bool window_grows(const BlockTable& table) const;

  // Audits both allocators and the index against all live tables.
  Result<void> audit(std::span<const BlockTable* const> tables) const;

 private:
  using Match = RadixPrefixIndex::Match;

  Match match(const BlockTable& table, const PrefixKey& key, int limit, bool copy_partial) const;
  void shorten_to_window(Match& found, const BlockTable& table) const;
  bool make_room(int blocks);
  void index_full_blocks(BlockTable& table, const PrefixKey& key, int tokens);
  void replace_block(BlockTable& table, int position, BlockId block);

  int reused_tokens(const Match& found) const;
  int window_need(int blocks, int computed) const;
  int window_need(const Match& found, int blocks) const;
  bool window_grows(int blocks, int computed) const;
  bool can_copy(const Match& found) const;
  int promise(const BlockTable& table) const;
  void hold(BlockTable& table, int position);
  void let_go(BlockTable& table, int position);
  void slide(BlockTable& table);

  model::LanguageModel& model_;
  const model::CacheLayout layout_;
  const int step_rows_max_;
  const bool prefix_index_;
  WindowSlots window_;  // empty for a model without windows
  BlockAllocator allocator_;
  RadixPrefixIndex index_;
  int promised_ = 0;  // window slots that live tables do not hold yet but may need
};

}  // namespace sluice::engine
