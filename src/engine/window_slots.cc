#include "engine/window_slots.h"

#include "base/check.h"
#include "base/strings.h"

namespace sluice::engine {

WindowSlots::WindowSlots(int slots, int blocks)
    : slot_of_(static_cast<size_t>(blocks), -1), slots_(static_cast<size_t>(slots)) {
  SLUICE_CHECK(slots >= 0 && blocks > 0);
  free_.reserve(slots_.size());
  for (SlotId slot = slots; slot-- > 0;) free_.push_back(slot);
}

SlotId WindowSlots::slot(BlockId block) const {
  SLUICE_CHECK(block >= 0 && static_cast<size_t>(block) < slot_of_.size());
  return slot_of_[static_cast<size_t>(block)];
}

int WindowSlots::users(BlockId block) const {
  const SlotId own = slot(block);
  return own < 0 ? 0 : slots_[static_cast<size_t>(own)].users;
}

WindowSlots::Slot& WindowSlots::of(BlockId block) {
  const SlotId own = slot(block);
  SLUICE_CHECK(own >= 0, "the block has no window slot");
  return slots_[static_cast<size_t>(own)];
}

void WindowSlots::enter_idle(SlotId slot) {
  Slot& state = slots_[static_cast<size_t>(slot)];
  state.older = newest_;
  state.newer = -1;
  (newest_ < 0 ? oldest_ : slots_[static_cast<size_t>(newest_)].newer) = slot;
  newest_ = slot;
  ++idle_;
}

void WindowSlots::leave_idle(SlotId slot) {
  Slot& state = slots_[static_cast<size_t>(slot)];
  (state.older < 0 ? oldest_ : slots_[static_cast<size_t>(state.older)].newer) = state.newer;
  (state.newer < 0 ? newest_ : slots_[static_cast<size_t>(state.newer)].older) = state.older;
  state.older = state.newer = -1;
  --idle_;
}

void WindowSlots::take(BlockId block) {
  SLUICE_CHECK(!has(block) && available() > 0);
  SlotId taken;
  if (!free_.empty()) {
    taken = free_.back();
    free_.pop_back();
  } else {
    taken = oldest_;
    leave_idle(taken);
    slot_of_[static_cast<size_t>(slots_[static_cast<size_t>(taken)].block)] = -1;
  }
  slot_of_[static_cast<size_t>(block)] = taken;
  slots_[static_cast<size_t>(taken)] = {.block = block, .users = 1};
}

void WindowSlots::retain(BlockId block) {
  if (of(block).users++ == 0) leave_idle(slot(block));
}

void WindowSlots::release(BlockId block, bool keep) {
  Slot& state = of(block);
  SLUICE_CHECK(state.users > 0, "released more often than retained");
  if (--state.users > 0) return;
  enter_idle(slot(block));
  if (!keep) forget(block);
}

void WindowSlots::forget(BlockId block) {
  if (!has(block) || users(block) > 0) return;
  const SlotId own = slot(block);
  leave_idle(own);
  slots_[static_cast<size_t>(own)] = {};
  slot_of_[static_cast<size_t>(block)] = -1;
  free_.push_back(own);
}

void WindowSlots::move(BlockId from, BlockId to) {
  SLUICE_CHECK(!has(to));
  of(from).block = to;
  slot_of_[static_cast<size_t>(to)] = slot(from);
  slot_of_[static_cast<size_t>(from)] = -1;
}

Result<void> WindowSlots::audit(std::span<const int> users) const {
  SLUICE_CHECK(users.size() == slot_of_.size());
  const auto broken = [](const auto&... parts) {
    return Error{ErrorCode::kInternal, cat("window slots: ", parts...), {}, {}};
  };
  int held = 0, in_use = 0;
  for (size_t block = 0; block < users.size(); ++block) {
    const SlotId own = slot_of_[block];
    if (own >= 0 && slots_[static_cast<size_t>(own)].block != static_cast<BlockId>(block)) {
      return broken("slot ", own, " of block ", block, " is held by block ", slots_[static_cast<size_t>(own)].block);
    }
    if (this->users(static_cast<BlockId>(block)) != users[block]) {
      return broken("block ", block, " counts ", this->users(static_cast<BlockId>(block)), " users of its slot of ",
                    users[block]);
    }
    held += own >= 0;
    in_use += users[block] > 0;
  }
  if (held + free() != capacity()) return broken(held, " held and ", free(), " free of ", capacity());
  std::vector<bool> listed(slots_.size());
  for (const SlotId slot : free_) {
    if (!is_free(slot) || listed[static_cast<size_t>(slot)]) return broken("slot ", slot, " is wrongly free");
    listed[static_cast<size_t>(slot)] = true;
  }
  int idle = 0;
  SlotId before = -1;
  for (SlotId slot = oldest_; slot >= 0; before = slot, slot = slots_[static_cast<size_t>(slot)].newer, ++idle) {
    const Slot& state = slots_[static_cast<size_t>(slot)];
    if (idle > idle_ || state.users > 0 || state.block < 0 || state.older != before) {
      return broken("the order of idleness is broken at slot ", slot);
    }
  }
  if (idle != idle_ || before != newest_ || idle != held - in_use) {
    return broken("counts ", idle_, " idle slots, ", idle, " in order, ", held - in_use, " without users");
  }
  return {};
}

}  // namespace sluice::engine
