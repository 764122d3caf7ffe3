#pragma once
// Counts who uses which block of the paged key/value cache; window_slots.h does so for its window part. A block is in
// exactly one state:
//   free   nobody uses it and its content is worthless
//   used   one or more sequences have it in their block tables
//   idle   no sequence uses it, but the prefix index remembers its content; may be evicted at any time
// Owned by the engine thread. Cannot fail other than by being empty; a wrong call is a bug and stops the process.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/window_slots.h"

namespace sluice::engine {

class BlockAllocator {
 public:
  // `window`, if given, is told which blocks are forgotten; it must outlive the allocator.
  explicit BlockAllocator(int blocks, WindowSlots* window = nullptr);

  int capacity() const { return static_cast<int>(blocks_.size()); }
  int free() const { return static_cast<int>(free_.size()); }
  int idle() const { return idle_; }
  int available() const { return free() + idle_; }  // what a caller may get, after evictions
  int used() const { return capacity() - available(); }

  // A free block with one user, or nothing when none is free.
  std::optional<BlockId> allocate();
  void retain(BlockId block);   // one more user; the block is used or idle
  void release(BlockId block);  // one user less; the last one leaves it idle if indexed, else free
  // Whether the prefix index remembers the block. Only a used block may become indexed.
  void set_indexed(BlockId block, bool indexed);

  int users(BlockId block) const { return at(block).users; }
  bool indexed(BlockId block) const { return at(block).indexed; }
  bool is_free(BlockId block) const { return at(block).users == 0 && !at(block).indexed; }

  // Compares every count with `users`, how often each block occurs in the live block tables ([capacity]).
  Result<void> audit(std::span<const int> users) const;

 private:
  struct Block {
    int users = 0;
    bool indexed = false;
  };
  const Block& at(BlockId block) const;
  Block& at(BlockId block);

  WindowSlots* const window_;
  std::vector<Block> blocks_;
  std::vector<BlockId> free_;  // a stack: the block freed last is warm and goes first
  int idle_ = 0;
};

}  // namespace sluice::engine
