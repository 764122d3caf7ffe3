#include "engine/block_allocator.h"

#include "base/check.h"
#include "base/strings.h"

namespace sluice::engine {

BlockAllocator::BlockAllocator(int blocks, WindowSlots* window)
    : window_(window), blocks_(static_cast<size_t>(blocks)) {
  SLUICE_CHECK(blocks > 0);
  free_.reserve(blocks_.size());
  for (BlockId block = blocks; block-- > 0;) free_.push_back(block);
}

const BlockAllocator::Block& BlockAllocator::at(BlockId block) const {
  SLUICE_CHECK(block >= 0 && block < capacity());
  return blocks_[static_cast<size_t>(block)];
}

BlockAllocator::Block& BlockAllocator::at(BlockId block) {
  SLUICE_CHECK(block >= 0 && block < capacity());
  return blocks_[static_cast<size_t>(block)];
}

std::optional<BlockId> BlockAllocator::allocate() {
  if (free_.empty()) return std::nullopt;
  const BlockId block = free_.back();
  free_.pop_back();
  at(block).users = 1;
  return block;
}

void BlockAllocator::retain(BlockId block) {
  Block& state = at(block);
  SLUICE_CHECK(state.users > 0 || state.indexed, "a free block has no content to share");
  if (state.users++ == 0) --idle_;
}

void BlockAllocator::release(BlockId block) {
  Block& state = at(block);
  SLUICE_CHECK(state.users > 0, "released more often than retained");
  if (--state.users > 0) return;
  if (state.indexed) {
    ++idle_;
  } else {
    free_.push_back(block);
  }
}

void BlockAllocator::set_indexed(BlockId block, bool indexed) {
  Block& state = at(block);
  SLUICE_CHECK(state.indexed != indexed);
  SLUICE_CHECK(state.users > 0 || !indexed, "an unused block cannot be indexed");
  state.indexed = indexed;
  if (!indexed && window_ != nullptr) window_->forget(block);
  if (state.users == 0) {
    --idle_;
    free_.push_back(block);
  }
}

Result<void> BlockAllocator::audit(std::span<const int> users) const {
  SLUICE_CHECK(users.size() == blocks_.size());
  const auto broken = [](const auto&... parts) {
    return Error{ErrorCode::kInternal, cat("block allocator: ", parts...), {}, {}};
  };
  int idle = 0, free = 0;
  for (BlockId block = 0; block < capacity(); ++block) {
    const Block& state = at(block);
    if (state.users != users[static_cast<size_t>(block)]) {
      return broken("block ", block, " counts ", state.users, " users, the tables hold it ",
                    users[static_cast<size_t>(block)], " times");
    }
    if (state.users == 0) ++(state.indexed ? idle : free);
  }
  if (idle != idle_) return broken("counts ", idle_, " idle blocks of ", idle);
  if (free != this->free()) return broken("has ", this->free(), " blocks on the free list of ", free);
  std::vector<bool> seen(blocks_.size());
  for (const BlockId block : free_) {
    if (!is_free(block) || seen[static_cast<size_t>(block)])
      return broken("block ", block, " is wrongly on the free list");
    seen[static_cast<size_t>(block)] = true;
  }
  return {};
}

}  // namespace sluice::engine
