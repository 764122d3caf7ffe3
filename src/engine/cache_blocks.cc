#include "engine/cache_blocks.h"

#include <algorithm>

#include "base/check.h"

namespace sluice::engine {

CacheBlocks::CacheBlocks(model::LanguageModel& model, int blocks, bool prefix_index)
    : model_(model),
      block_tokens_(model.cache_layout().block_tokens),
      prefix_index_(prefix_index),
      allocator_(blocks),
      index_(allocator_, block_tokens_) {}

RadixPrefixIndex::Match CacheBlocks::match(const BlockTable& table, const PrefixKey& key, int limit) const {
  const int from = table.indexed * block_tokens_;
  limit = std::min(limit, key.shared_tokens);
  if (!prefix_index_ || limit <= from) return {.cursor = table.cursor};
  SLUICE_CHECK(limit <= static_cast<int>(key.tokens.size()));
  return index_.match(key.salt, table.cursor,
                      key.tokens.subspan(static_cast<size_t>(from), static_cast<size_t>(limit - from)));
}

Reuse CacheBlocks::lookup(const PrefixKey& key, int limit) const {
  const RadixPrefixIndex::Match found = match({}, key, limit);
  Reuse reuse;
  reuse.full_blocks = static_cast<int>(found.blocks.size());
  for (const BlockId block : found.blocks) reuse.idle_blocks += allocator_.users(block) == 0;
  reuse.partial_tokens = found.partial_tokens;
  reuse.partial_idle = found.partial != nullptr && allocator_.users(found.partial_block) == 0;
  return reuse;
}

bool CacheBlocks::make_room(int blocks) { return allocator_.free() >= blocks || index_.make_room(blocks); }

bool CacheBlocks::acquire(BlockTable& table, const PrefixKey& key, int limit, bool copy_partial) {
  SLUICE_CHECK(table.blocks.empty());
  RadixPrefixIndex::Match found = match(table, key, limit);
  if (!copy_partial) found.partial = nullptr;
  // Held from here on, so that making room cannot evict them.
  for (const BlockId block : found.blocks) allocator_.retain(block);
  if (found.partial != nullptr) allocator_.retain(found.partial_block);
  index_.touch(found);

  const int shared = static_cast<int>(found.blocks.size());
  const int own = blocks_for(static_cast<int>(key.tokens.size())) - shared;
  const bool room = make_room(own);
  if (room) {
    table.blocks = found.blocks;
    for (int i = 0; i < own; ++i) table.blocks.push_back(*allocator_.allocate());
    table.indexed = shared;
    table.cursor = found.cursor;
    table.computed = shared * block_tokens_;
    if (found.partial != nullptr) {
      model_.copy_block(found.partial_block, table.blocks[static_cast<size_t>(shared)], found.partial_tokens);
      table.computed += found.partial_tokens;
    }
  } else {
    for (const BlockId block : found.blocks) allocator_.release(block);
  }
  if (found.partial != nullptr) allocator_.release(found.partial_block);
  return room;
}

int CacheBlocks::adopt(BlockTable& table, const PrefixKey& key, int limit) {
  const RadixPrefixIndex::Match found = match(table, key, limit);
  if (found.blocks.empty()) return 0;
  for (const BlockId block : found.blocks) {
    BlockId& own = table.blocks[static_cast<size_t>(table.indexed++)];
    allocator_.retain(block);
    allocator_.release(own);
    own = block;
  }
  table.cursor = found.cursor;
  const int before = table.computed;
  table.computed = std::max(before, table.indexed * block_tokens_);
  return table.computed - before;
}

void CacheBlocks::grow(BlockTable& table) {
  const bool room = make_room(1);
  SLUICE_CHECK(room, "the plan promised a block");
  table.blocks.push_back(*allocator_.allocate());
}

void CacheBlocks::commit(BlockTable& table, const PrefixKey& key, int computed, bool tail) {
  SLUICE_CHECK(computed >= table.computed && blocks_for(computed) <= static_cast<int>(table.blocks.size()));
  table.computed = computed;
  if (!prefix_index_) return;
  const int shared = std::min(computed, key.shared_tokens);
  const auto length = static_cast<size_t>(block_tokens_);
  for (; (table.indexed + 1) * block_tokens_ <= shared; ++table.indexed) {
    const auto position = static_cast<size_t>(table.indexed);
    BlockId& own = table.blocks[position];
    const auto [cursor, block] =
        index_.insert_full(key.salt, table.cursor, key.tokens.subspan(position * length, length), own);
    if (block != own) {
      allocator_.retain(block);
      allocator_.release(own);
      own = block;
    }
    table.cursor = cursor;
  }
  const int rest = shared - table.indexed * block_tokens_;
  if (!tail || rest <= 0) return;
  const auto position = static_cast<size_t>(table.indexed);
  index_.insert_partial(key.salt, table.cursor, key.tokens.subspan(position * length, static_cast<size_t>(rest)),
                        table.blocks[position]);
}

void CacheBlocks::release(BlockTable& table, const PrefixKey& key) {
  if (!table.blocks.empty()) commit(table, key, table.computed, true);
  discard(table);
}

void CacheBlocks::discard(BlockTable& table) {
  for (const BlockId block : table.blocks) allocator_.release(block);
  table = {};
}

int CacheBlocks::releasable(const BlockTable& table) const {
  return static_cast<int>(std::count_if(table.blocks.begin(), table.blocks.end(),
                                        [&](BlockId block) { return allocator_.users(block) == 1; }));
}

Result<void> CacheBlocks::audit(std::span<const BlockTable* const> tables) const {
  std::vector<int> users(static_cast<size_t>(allocator_.capacity()));
  for (const BlockTable* table : tables) {
    for (const BlockId block : table->blocks) ++users[static_cast<size_t>(block)];
  }
  SLUICE_RETURN_IF_ERROR(allocator_.audit(users));
  return index_.audit();
}

}  // namespace sluice::engine
