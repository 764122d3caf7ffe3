#pragma once
// RadixPrefixIndex remembers which blocks of the key/value cache hold which tokens, so that a prompt that begins like
// an earlier text need not compute that beginning again. A tree per salt; an edge is one block's run of tokens. Inner
// nodes are full blocks; a leaf may be partial: its first `n` tokens are valid and immutable, a running sequence may
// still be writing behind them. No child's run is a prefix of a sibling's.
//
// The index does not use blocks, it marks them (BlockAllocator::set_indexed). A block in use by a sequence is never
// evicted, and sequences use whole paths from the root, so every idle block can be evicted leaf by leaf.
// Owned by the engine thread.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/block_allocator.h"

namespace sluice::engine {

using TokenId = int32_t;

class RadixPrefixIndex {
 public:
  struct Node;
  // A place in a salt's tree: a node of a full block, or null for the root. Stays valid while its block is in use.
  using Cursor = Node*;

  struct Match {
    std::vector<BlockId> blocks;  // full blocks, to be shared
    Cursor cursor = nullptr;      // the node of the last of them (or where the search began)
    Node* partial = nullptr;      // the node of a block that begins with the next tokens, to be copied; or null
    BlockId partial_block = -1;
    int partial_tokens = 0;  // how many of them it holds
  };

  RadixPrefixIndex(BlockAllocator& allocator, int block_tokens);
  ~RadixPrefixIndex();

  // The longest known beginning of `tokens`, which follow `from`, exact to the token. Changes nothing.
  Match match(std::string_view salt, Cursor from, std::span<const TokenId> tokens) const;
  // Keeps of a match its first `blocks` blocks alone; `from` is where its search began.
  static void shorten(Match& match, Cursor from, size_t blocks);
  // Marks what match() found as just used.
  void touch(const Match& match);

  struct Inserted {
    Cursor cursor;
    BlockId block;  // the block to use from now on: another one if the run was known already
  };
  // Adds a full block. When the run is known under another block, nothing changes and the caller swaps its own for it.
  Inserted insert_full(std::string_view salt, Cursor from, std::span<const TokenId> run, BlockId block);
  // Adds the beginning of a block. A known run that begins the same way keeps its place if it is as long, else gives
  // way.
  void insert_partial(std::string_view salt, Cursor from, std::span<const TokenId> run, BlockId block);

  // Evicts the least recently used idle leaves until `blocks` blocks are free. False (after evicting all) if that
  // cannot be.
  bool make_room(int blocks);

  int size() const { return size_; }  // nodes = indexed blocks
  // Checks the tree's shape, the marks and the least-recently-used order's completeness.
  Result<void> audit() const;

 private:
  Node* place(std::string_view salt, Cursor from);
  const Node* place(std::string_view salt, Cursor from) const;
  Node* add(Node* parent, size_t position, std::span<const TokenId> run, BlockId block);
  void replace(Node* leaf, std::span<const TokenId> run, BlockId block);
  void remove(Node* leaf);
  void mark_used(Node* node);
  std::string_view fault(const Node& node) const;

  struct Older {
    bool operator()(const Node* a, const Node* b) const;
  };

  BlockAllocator& allocator_;
  const size_t block_tokens_;
  std::map<std::string, std::unique_ptr<Node>, std::less<>> roots_;  // by salt; a root without children is removed
  std::set<Node*, Older> leaves_;                                    // least recently used first
  uint64_t now_ = 0;                                                 // counts uses
  int size_ = 0;
};

}  // namespace sluice::engine
