#include "text/tokenizer_vocab.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace sluice::text {
namespace {

__extension__ using Uint128 = unsigned __int128;

constexpr size_t kArenaMax = 0xFFFFFFF0u;

uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<Uint128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t load(const char* p, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, p, size);
  return value;
}

}  // namespace

uint64_t hash_bytes(std::string_view text) {
  const char* p = text.data();
  size_t left = text.size();
  uint64_t hash = 0x9E3779B97F4A7C15u ^ left;
  while (left > 8) {
    hash = mix(hash ^ load(p, 8), 0xA0761D6478BD642Fu);
    p += 8;
    left -= 8;
  }
  uint64_t tail = 0;
  if (left >= 4) {
    tail = load(p, 4) | load(p + left - 4, 4) << 32;
  } else if (left > 0) {
    tail = uint64_t{static_cast<unsigned char>(p[0])} | uint64_t{static_cast<unsigned char>(p[left / 2])} << 8 |
           uint64_t{static_cast<unsigned char>(p[left - 1])} << 16;
  }
  return mix(hash ^ tail, 0xE7037ED1A0B428DBu);
}

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  arena_.reserve(bytes);
  spans_.reserve(tokens);
  while (slots_.size() < tokens * 2) grow();
}

Result<void> Vocabulary::add(std::string_view text, TokenId id) {
  if (id < 0 || id > kTokenIdMax) {
    return corrupt_data(cat("token id ", id, " is outside 0 … ", kTokenIdMax, "; the vocabulary is damaged"));
  }
  if (arena_.size() + text.size() > kArenaMax) return corrupt_data("the vocabulary's texts are larger than 4 GiB");
  if (has(id) && this->text(id) != text) {
    return corrupt_data(cat("token id ", id, " is given twice, to \"", this->text(id), "\" and to \"", text, "\""));
  }
  if (const auto known = find(text)) {
    if (*known == id) return {};
    return corrupt_data(cat("token \"", text, "\" is given twice, with ids ", *known, " and ", id));
  }
  insert(text, id);
  return {};
}

bool Vocabulary::add_if_new(std::string_view text, TokenId id) {
  if (id < 0 || id > kTokenIdMax || arena_.size() + text.size() > kArenaMax || has(id) || find(text)) return false;
  insert(text, id);
  return true;
}

void Vocabulary::insert(std::string_view text, TokenId id) {
  if (slots_.size() < (count_ + 1) * 2) grow();
  if (static_cast<size_t>(id) >= spans_.size()) spans_.resize(static_cast<size_t>(id) + 1);
  spans_[static_cast<size_t>(id)] = {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(text.size())};
  arena_ += text;
  longest_ = std::max(longest_, text.size());
  ++count_;
  const uint64_t hash = hash_bytes(text);
  size_t at = hash & (slots_.size() - 1);
  while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = (hash & 0xFFFFFFFF00000000u) | static_cast<uint32_t>(id + 1);
}

void Vocabulary::grow() {
  const size_t size = slots_.empty() ? 64 : slots_.size() * 2;
  slots_.assign(size, 0);
  for (size_t id = 0; id < spans_.size(); ++id) {
    if (spans_[id].size == kNone) continue;
    const uint64_t hash = hash_bytes(text(static_cast<TokenId>(id)));
    size_t at = hash & (size - 1);
    while (slots_[at] != 0) at = (at + 1) & (size - 1);
    slots_[at] = (hash & 0xFFFFFFFF00000000u) | static_cast<uint32_t>(id + 1);
  }
}

std::optional<TokenId> Vocabulary::find_hashed(std::string_view text, uint64_t hash) const {
  if (slots_.empty()) return std::nullopt;
  size_t at = hash & (slots_.size() - 1);
  for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
    if ((slots_[at] ^ hash) >> 32 != 0) continue;
    const auto id = static_cast<TokenId>(static_cast<uint32_t>(slots_[at]) - 1);
    if (this->text(id) == text) return id;
  }
  return std::nullopt;
}

std::string_view Vocabulary::text(TokenId id) const {
  if (!has(id)) return {};
  const Span span = spans_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(span.begin, span.size);
}

bool Vocabulary::has(TokenId id) const {
  return id >= 0 && static_cast<size_t>(id) < spans_.size() && spans_[static_cast<size_t>(id)].size != kNone;
}

}  // namespace sluice::text
