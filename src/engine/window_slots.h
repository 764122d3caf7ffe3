#pragma once
// Gives blocks their window slots: the memory of the keys and values of layers that attend to the last few tokens only
// (model/language_model.h). A slot is in exactly one state:
//   free   no block has it
//   used   it is a block's, and the windows of one or more sequences cover that block
//   idle   it is a block's whose content the prefix index remembers; the one idle longest is taken when none is free
// So a block outside every window loses its slot sooner or later, and keeps its other bytes.
// Owned by the engine thread. Cannot fail other than by being empty; a wrong call is a bug and stops the process.

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace sluice::engine {

using BlockId = int32_t;
using SlotId = int32_t;

class WindowSlots {
 public:
  WindowSlots(int slots, int blocks);

  int capacity() const { return static_cast<int>(slots_.size()); }
  int free() const { return static_cast<int>(free_.size()); }
  int idle() const { return idle_; }
  int available() const { return free() + idle_; }  // what take() may give
  int used() const { return capacity() - available(); }

  bool has(BlockId block) const { return slot(block) >= 0; }
  SlotId slot(BlockId block) const;  // the block's, or -1
  int users(BlockId block) const;    // of the block's slot; 0 when it has none

  // Gives a block that has none a slot, with one user. There must be an available one.
  void take(BlockId block);
  void retain(BlockId block);  // one more user of the block's slot
  // One user less; the last one leaves the slot idle if its content is worth keeping, else free.
  void release(BlockId block, bool keep);
  // The index no longer remembers the block: an idle slot of its becomes free.
  void forget(BlockId block);
  // The slot becomes that of another block, which has none and holds the same tokens.
  void move(BlockId from, BlockId to);

  bool is_free(SlotId slot) const { return slots_[static_cast<size_t>(slot)].block < 0; }

  // Compares every count with `users`, how many live sequences' windows cover each block ([blocks]).
  Result<void> audit(std::span<const int> users) const;

 private:
  struct Slot {
    BlockId block = -1;
    int users = 0;
    SlotId older = -1, newer = -1;  // neighbours in the order of idleness
  };
  Slot& of(BlockId block);
  void enter_idle(SlotId slot);
  void leave_idle(SlotId slot);

  std::vector<SlotId> slot_of_;  // [blocks] or -1
  std::vector<Slot> slots_;
  std::vector<SlotId> free_;          // a stack
  SlotId oldest_ = -1, newest_ = -1;  // of the idle ones
  int idle_ = 0;
};

}  // namespace sluice::engine
