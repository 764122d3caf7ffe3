#pragma once
// WordCache: what short pieces of text became lately, so that the words of a text are merged once and looked up in one
// cache line afterwards. One per thread, shared by all tokenizers of the process, of fixed size (1 MiB, zero pages
// until they are used); a piece that meets another in its place replaces it.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sluice::text {

class WordCache {
 public:
  static constexpr size_t kPieceMax = 24;  // bytes of the longest piece that is kept
  static constexpr size_t kIdsMax = 8;

  // A piece of 1 … kPieceMax bytes, packed so that equal keys are equal pieces.
  struct Key {
    uint64_t a, b, c;
    uint32_t size;
    uint32_t slot;
  };
  struct alignas(64) Entry {
    uint64_t a, b, c;
    uint32_t owner;  // 0: empty
    uint8_t size, count;
    TokenId ids[kIdsMax];
  };

  __extension__ using Uint128 = unsigned __int128;

  // The calling thread's.
  static WordCache& of_thread() {
    thread_local std::unique_ptr<WordCache> cache;
    if (cache == nullptr) cache = std::make_unique<WordCache>();
    return *cache;
  }
  // A number that no other tokenizer of the process has.
  static uint32_t new_owner();

  static Key key_of(std::string_view piece, uint32_t owner) {
    const char* const p = piece.data();
    const size_t size = piece.size();
    Key key{0, 0, 0, static_cast<uint32_t>(size), 0};
    if (size > 8) {
      key.a = load(p, 8);
      key.b = size > 16 ? load(p + 8, 8) : 0;
      key.c = load(p + size - 8, 8);
    } else if (size >= 4) {
      key.a = load(p, 4) | load(p + size - 4, 4) << 32;
    } else {
      key.a = uint64_t{static_cast<unsigned char>(p[0])} | uint64_t{static_cast<unsigned char>(p[size / 2])} << 8 |
              uint64_t{static_cast<unsigned char>(p[size - 1])} << 16;
    }
    const auto product = static_cast<Uint128>(key.a ^ 0x9E3779B97F4A7C15u ^ owner) *
                         (key.b ^ (key.c << 31 | key.c >> 33) ^ 0xA0761D6478BD642Fu ^ size);
    key.slot = static_cast<uint32_t>((static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product)) >> 24) &
               (kEntries - 1);
    return key;
  }

  // Appends the ids of the piece, or says false.
  bool find(const Key& key, uint32_t owner, std::vector<TokenId>& out) const {
    const Entry& entry = entries_[key.slot];
    if (entry.a != key.a || entry.b != key.b || entry.c != key.c || entry.size != key.size || entry.owner != owner) {
      return false;
    }
    if (entry.count == 1) {
      out.push_back(entry.ids[0]);
    } else {
      out.insert(out.end(), entry.ids, entry.ids + entry.count);
    }
    return true;
  }

  // `count` is at most kIdsMax.
  void keep(const Key& key, uint32_t owner, const TokenId* ids, size_t count) {
    Entry& entry = entries_[key.slot];
    entry.a = key.a;
    entry.b = key.b;
    entry.c = key.c;
    entry.owner = owner;
    entry.size = static_cast<uint8_t>(key.size);
    entry.count = static_cast<uint8_t>(count);
    std::memcpy(entry.ids, ids, count * sizeof(TokenId));
  }

 private:
  static constexpr size_t kEntries = 16384;  // a power of two

  static uint64_t load(const char* p, size_t size) {
    uint64_t value = 0;
    std::memcpy(&value, p, size);
    return value;
  }

  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  static Entry* aligned(void* memory) {
    if (memory == nullptr) throw std::bad_alloc();
    const auto address = reinterpret_cast<uintptr_t>(memory);
    return reinterpret_cast<Entry*>((address + alignof(Entry) - 1) & ~uintptr_t{alignof(Entry) - 1});
  }

  // From calloc: pages of a new thread's cache that no piece falls on are never touched.
  std::unique_ptr<void, Free> memory_{std::calloc(kEntries + 1, sizeof(Entry))};
  Entry* entries_ = aligned(memory_.get());
};
static_assert(sizeof(WordCache::Entry) == 64);

}  // namespace sluice::text
