#include "engine/cache_blocks.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace sluice::engine {
namespace {

size_t at(int position) { return static_cast<size_t>(position); }

double share(int part, int whole) { return static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

CacheBlocks::CacheBlocks(model::LanguageModel& model, model::CacheSize size, int step_rows_max, bool prefix_index)
    : model_(model),
      layout_(model.cache_layout()),
      step_rows_max_(step_rows_max),
      prefix_index_(prefix_index),
      window_(windowed() ? size.window_slots : 0, size.blocks),
      allocator_(size.blocks, windowed() ? &window_ : nullptr),
      index_(allocator_, layout_.block_tokens) {}

double CacheBlocks::usage() const {
  const double slots = windowed() ? share(window_.used(), window_.capacity()) : 0;
  const bool blocks_have_bytes = layout_.block_bytes > 0 || !windowed();
  return blocks_have_bytes ? std::max(slots, share(allocator_.used(), allocator_.capacity())) : slots;
}

RadixPrefixIndex::Match CacheBlocks::match(const BlockTable& table, const PrefixKey& key, int limit,
                                           bool copy_partial) const {
  const int from = table.indexed * block_tokens();
  limit = std::min(limit, key.shared_tokens);
  if (!prefix_index_ || limit <= from) return {.cursor = table.cursor};
  SLUICE_CHECK(limit <= static_cast<int>(key.tokens.size()));
  Match found = index_.match(key.salt, table.cursor,
                             key.tokens.subspan(static_cast<size_t>(from), static_cast<size_t>(limit - from)));
  if (!copy_partial) RadixPrefixIndex::shorten(found, table.cursor, found.blocks.size());
  if (windowed()) shorten_to_window(found, table);
  return found;
}

// To continue after `tokens` tokens, all blocks from window_begin(tokens) on must have their slots. The blocks before
// the search's beginning have them, for the table holds them.
void CacheBlocks::shorten_to_window(Match& found, const BlockTable& table) const {
  int missing = -1;  // the last block so far that has no slot
  size_t usable = 0;
  for (size_t i = 0; i < found.blocks.size(); ++i) {
    const int position = table.indexed + static_cast<int>(i);
    if (!window_.has(found.blocks[i])) missing = position;
    if (missing < layout_.window_begin((position + 1) * block_tokens())) usable = i + 1;
  }
  const int all = (table.indexed + static_cast<int>(found.blocks.size())) * block_tokens() + found.partial_tokens;
  const bool partial_usable =
      found.partial != nullptr && window_.has(found.partial_block) && missing < layout_.window_begin(all);
  if (!partial_usable) RadixPrefixIndex::shorten(found, table.cursor, usable);
}

int CacheBlocks::reused_tokens(const Match& found) const {
  return static_cast<int>(found.blocks.size()) * block_tokens() + found.partial_tokens;
}

// The most slots that a table of so many blocks will hold at any time from `computed` on.
int CacheBlocks::window_need(int blocks, int computed) const {
  return std::min(blocks - layout_.window_begin(computed), layout_.window_blocks(step_rows_max_));
}

// Of them, those that are nobody's yet when the table begins with what was found.
int CacheBlocks::window_need(const Match& found, int blocks) const {
  const int computed = reused_tokens(found);
  int need = window_need(blocks, computed);
  for (size_t i = at(layout_.window_begin(computed)); i < found.blocks.size(); ++i) {
    need -= window_.users(found.blocks[i]) > 0;
  }
  return need;
}

bool CacheBlocks::window_grows(int blocks, int computed) const {
  return windowed() && window_need(blocks, computed) < layout_.window_blocks(1);
}

bool CacheBlocks::window_grows(const BlockTable& table) const {
  return window_grows(static_cast<int>(table.blocks.size()), table.computed);
}

// Whether a slot is left to copy into while the copied block and all shared ones keep theirs.
bool CacheBlocks::can_copy(const Match& found) const {
  if (!windowed() || found.partial == nullptr) return true;
  int idle = window_.users(found.partial_block) == 0;
  for (size_t i = at(layout_.window_begin(reused_tokens(found))); i < found.blocks.size(); ++i) {
    idle += window_.users(found.blocks[i]) == 0;
  }
  return window_.available() > idle;
}

Reuse CacheBlocks::lookup(const PrefixKey& key, int limit, bool copy_partial) const {
  Match found = match({}, key, limit, copy_partial);
  if (!can_copy(found)) found = match({}, key, limit, false);
  Reuse reuse;
  reuse.full_blocks = static_cast<int>(found.blocks.size());
  for (const BlockId block : found.blocks) reuse.idle_blocks += allocator_.users(block) == 0;
  reuse.partial_tokens = found.partial_tokens;
  reuse.partial_idle = found.partial != nullptr && allocator_.users(found.partial_block) == 0;
  if (windowed()) {
    const int blocks = blocks_for(static_cast<int>(key.tokens.size()));
    reuse.window_slots = window_need(found, blocks);
    reuse.window_grows = window_grows(blocks, reused_tokens(found));
  }
  return reuse;
}

bool CacheBlocks::make_room(int blocks) { return allocator_.free() >= blocks || index_.make_room(blocks); }

bool CacheBlocks::acquire(BlockTable& table, const PrefixKey& key, int limit, bool copy_partial) {
  SLUICE_CHECK(table.blocks.empty());
  Match found = match(table, key, limit, copy_partial);
  if (!can_copy(found)) found = match(table, key, limit, false);
  const int blocks = blocks_for(static_cast<int>(key.tokens.size()));
  if (windowed() && window_need(found, blocks) > window_room()) return false;
  // Held from here on, so that making room cannot evict them.
  for (const BlockId block : found.blocks) allocator_.retain(block);
  if (found.partial != nullptr) allocator_.retain(found.partial_block);
  index_.touch(found);

  const int shared = static_cast<int>(found.blocks.size());
  const bool room = make_room(blocks - shared);
  if (room) {
    table.blocks = found.blocks;
    while (static_cast<int>(table.blocks.size()) < blocks) table.blocks.push_back(*allocator_.allocate());
    table.indexed = shared;
    table.cursor = found.cursor;
    table.computed = reused_tokens(found);
    if (windowed()) {
      table.window_slots.assign(table.blocks.size(), -1);
      if (found.partial != nullptr) window_.retain(found.partial_block);
      slide(table);
    }
    if (found.partial != nullptr) {
      const BlockId copy = table.blocks[at(shared)];
      model_.copy_block({found.partial_block, window_.slot(found.partial_block)}, {copy, window_.slot(copy)},
                        found.partial_tokens);
      if (windowed()) window_.release(found.partial_block, true);
    }
    promised_ += promise(table);
  } else {
    for (const BlockId block : found.blocks) allocator_.release(block);
  }
  if (found.partial != nullptr) allocator_.release(found.partial_block);
  return room;
}

int CacheBlocks::adopt(BlockTable& table, const PrefixKey& key, int limit) {
  const Match found = match(table, key, limit, false);
  if (found.blocks.empty()) return 0;
  promised_ -= promise(table);
  for (const BlockId block : found.blocks) {
    const int position = table.indexed++;
    let_go(table, position);
    replace_block(table, position, block);
  }
  table.cursor = found.cursor;
  const int before = table.computed;
  table.computed = std::max(before, table.indexed * block_tokens());
  table.window_end = std::min(table.window_end, table.indexed - static_cast<int>(found.blocks.size()));
  slide(table);
  promised_ += promise(table);
  return table.computed - before;
}

void CacheBlocks::prepare(BlockTable& table, int rows) {
  const int blocks = blocks_for(table.computed + rows);
  promised_ -= promise(table);
  while (blocks > static_cast<int>(table.blocks.size())) {
    const bool room = make_room(1);
    SLUICE_CHECK(room, "the plan promised a block");
    table.blocks.push_back(*allocator_.allocate());
    if (windowed()) table.window_slots.push_back(-1);
  }
  if (windowed()) {
    for (; table.window_end < blocks; ++table.window_end) hold(table, table.window_end);
  }
  promised_ += promise(table);
}

void CacheBlocks::trim(BlockTable& table) {
  const int blocks = blocks_for(table.computed);
  if (blocks >= static_cast<int>(table.blocks.size())) return;
  promised_ -= promise(table);
  for (int position = static_cast<int>(table.blocks.size()); position-- > blocks;) {
    let_go(table, position);
    allocator_.release(table.blocks[at(position)]);
  }
  table.blocks.resize(at(blocks));
  if (windowed()) {
    table.window_slots.resize(at(blocks));
    table.window_end = std::min(table.window_end, blocks);
  }
  promised_ += promise(table);
}

void CacheBlocks::commit(BlockTable& table, const PrefixKey& key, int computed, bool tail) {
  SLUICE_CHECK(computed >= table.computed && blocks_for(computed) <= static_cast<int>(table.blocks.size()));
  promised_ -= promise(table);
  table.computed = computed;
  if (prefix_index_) {
    const int shared = std::min(computed, key.shared_tokens);
    index_full_blocks(table, key, shared);
    const int rest = shared - table.indexed * block_tokens();
    if (tail && rest > 0) {
      const size_t begin = at(table.indexed) * at(block_tokens());
      index_.insert_partial(key.salt, table.cursor, key.tokens.subspan(begin, at(rest)),
                            table.blocks[at(table.indexed)]);
    }
  }
  slide(table);
  promised_ += promise(table);
}

void CacheBlocks::index_full_blocks(BlockTable& table, const PrefixKey& key, int tokens) {
  const size_t length = at(block_tokens());
  for (; (table.indexed + 1) * block_tokens() <= tokens; ++table.indexed) {
    const BlockId own = table.blocks[at(table.indexed)];
    const auto [cursor, block] =
        index_.insert_full(key.salt, table.cursor, key.tokens.subspan(at(table.indexed) * length, length), own);
    table.cursor = cursor;
    if (block == own) continue;
    if (windowed() && !window_.has(block)) {
      // The known block has lost its window part, and this is the same.
      window_.move(own, block);
    } else if (windowed()) {
      let_go(table, table.indexed);
      replace_block(table, table.indexed, block);
      hold(table, table.indexed);
      continue;
    }
    replace_block(table, table.indexed, block);
  }
}

void CacheBlocks::replace_block(BlockTable& table, int position, BlockId block) {
  BlockId& own = table.blocks[at(position)];
  allocator_.retain(block);
  allocator_.release(own);
  own = block;
}

void CacheBlocks::release(BlockTable& table, const PrefixKey& key) {
  if (!table.blocks.empty()) commit(table, key, table.computed, true);
  discard(table);
}

void CacheBlocks::discard(BlockTable& table) {
  promised_ -= promise(table);
  // The last blocks' slots first: the earlier ones, of use to shorter prefixes too, stay idle for longer.
  for (int position = table.window_end; position-- > table.window_begin;) let_go(table, position);
  for (const BlockId block : table.blocks) allocator_.release(block);
  table = {};
}

CacheRoom CacheBlocks::releasable(const BlockTable& table) const {
  CacheRoom room;
  for (const BlockId block : table.blocks) room.blocks += allocator_.users(block) == 1;
  if (!windowed()) return room;
  room.window_slots = promise(table);
  for (int position = table.window_begin; position < table.window_end; ++position) {
    room.window_slots += window_.users(table.blocks[at(position)]) == 1;
  }
  return room;
}

int CacheBlocks::promise(const BlockTable& table) const {
  if (!windowed() || table.blocks.empty()) return 0;
  return window_need(static_cast<int>(table.blocks.size()), table.computed) - (table.window_end - table.window_begin);
}

void CacheBlocks::hold(BlockTable& table, int position) {
  const BlockId block = table.blocks[at(position)];
  if (window_.has(block)) {
    window_.retain(block);
  } else {
    SLUICE_CHECK(position >= table.indexed, "what was computed has lost its window part");
    window_.take(block);
  }
  table.window_slots[at(position)] = window_.slot(block);
}

void CacheBlocks::let_go(BlockTable& table, int position) {
  if (!windowed() || table.window_slots[at(position)] < 0) return;
  const BlockId block = table.blocks[at(position)];
  window_.release(block, allocator_.indexed(block));
  table.window_slots[at(position)] = -1;
}

// Brings the slots held in line with `computed`.
void CacheBlocks::slide(BlockTable& table) {
  if (!windowed()) return;
  const int begin = layout_.window_begin(table.computed);
  for (; table.window_begin < begin; ++table.window_begin) let_go(table, table.window_begin);
  table.window_end = std::max(table.window_end, begin);
  const int end = blocks_for(table.computed);
  for (; table.window_end < end; ++table.window_end) hold(table, table.window_end);
}

Result<void> CacheBlocks::audit(std::span<const BlockTable* const> tables) const {
  const auto broken = [](const auto&... parts) {
    return Error{ErrorCode::kInternal, cat("cache blocks: ", parts...), {}, {}};
  };
  std::vector<int> users(at(allocator_.capacity())), window_users(users.size());
  int promised = 0;
  for (const BlockTable* table : tables) {
    for (const BlockId block : table->blocks) ++users[at(block)];
    promised += promise(*table);
    if (!windowed()) continue;
    if (table->window_begin != layout_.window_begin(table->computed) ||
        table->window_end < blocks_for(table->computed) || table->window_slots.size() != table->blocks.size()) {
      return broken("a table holds slots ", table->window_begin, " to ", table->window_end, " after ", table->computed,
                    " tokens");
    }
    for (size_t i = 0; i < table->blocks.size(); ++i) {
      const bool held = static_cast<int>(i) >= table->window_begin && static_cast<int>(i) < table->window_end;
      if (table->window_slots[i] != (held ? window_.slot(table->blocks[i]) : -1)) {
        return broken("a table knows slot ", table->window_slots[i], " for its block number ", i);
      }
      window_users[at(table->blocks[i])] += held;
    }
  }
  SLUICE_RETURN_IF_ERROR(allocator_.audit(users));
  if (windowed()) SLUICE_RETURN_IF_ERROR(window_.audit(window_users));
  if (promised != promised_) return broken("counts ", promised_, " promised window slots of ", promised);
  for (BlockId block = 0; windowed() && block < allocator_.capacity(); ++block) {
    if (window_.has(block) && window_.users(block) == 0 && !allocator_.indexed(block)) {
      return broken("block ", block, " is forgotten and keeps a window slot");
    }
  }
  return index_.audit();
}

}  // namespace sluice::engine
