#pragma once
// Vocabulary: token texts by id and ids by text. Filled once, then read by any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace sluice::text {

// Ids above this are refused: a file may not make us allocate without bound.
inline constexpr TokenId kTokenIdMax = (1 << 22) - 1;

// A fast hash of a short string.
uint64_t hash_bytes(std::string_view text);

class Vocabulary {
 public:
  void reserve(size_t tokens, size_t bytes);
  // kCorruptData for an id out of range, an id that has another text, or a text that has another id.
  Result<void> add(std::string_view text, TokenId id);
  // As add, but a text or id that is taken is left as it is; says whether the text was new.
  bool add_if_new(std::string_view text, TokenId id);

  std::optional<TokenId> find(std::string_view text) const { return find_hashed(text, hash_bytes(text)); }
  std::optional<TokenId> find_hashed(std::string_view text, uint64_t hash) const;
  std::string_view text(TokenId id) const;  // "" when the id has none
  bool has(TokenId id) const;
  int size() const { return static_cast<int>(spans_.size()); }  // largest id + 1
  int count() const { return static_cast<int>(count_); }        // how many ids have a text
  size_t longest() const { return longest_; }                   // bytes of the longest text

 private:
  struct Span {
    uint32_t begin = 0;
    uint32_t size = kNone;
  };
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  void grow();
  void insert(std::string_view text, TokenId id);

  std::string arena_;
  std::vector<Span> spans_;      // [id]
  std::vector<uint64_t> slots_;  // hash's upper half | id + 1; 0 is empty; a power of two of them
  size_t count_ = 0;
  size_t longest_ = 0;
};

}  // namespace sluice::text
