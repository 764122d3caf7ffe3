#include "text/bpe.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <queue>

#include "base/strings.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

constexpr size_t kShort = 48;  // symbols up to which a plain scan is faster than a heap
constexpr uint8_t kNoAscii = 255;

struct Alphabet {
  std::array<char32_t, 256> of_byte;
  std::array<int16_t, 512> to_byte;

  Alphabet() {
    to_byte.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      of_byte[static_cast<size_t>(b)] = printable ? static_cast<char32_t>(b) : next++;
      to_byte[of_byte[static_cast<size_t>(b)]] = static_cast<int16_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet kAlphabet;
  return kAlphabet;
}

uint64_t pair_key(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}
size_t pair_hash(uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(key ^ key >> 32);
}

}  // namespace

uint32_t WordCache::new_owner() {
  static std::atomic<uint32_t> last = 0;  // 0 owns nothing
  return ++last;
}

char32_t byte_alphabet(uint8_t byte) { return alphabet().of_byte[byte]; }

std::optional<std::string> bytes_of_alphabet(std::string_view token) {
  std::string out;
  out.reserve(token.size());
  for (const char *p = token.data(), *end = p + token.size(); p < end;) {
    const char32_t c = next_code_point(p);
    if (c >= 512 || alphabet().to_byte[c] < 0) return std::nullopt;
    out += static_cast<char>(alphabet().to_byte[c]);
  }
  return out;
}

std::string alphabet_of_bytes(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char c : bytes) append_utf8(out, byte_alphabet(static_cast<uint8_t>(c)));
  return out;
}

Bpe::Bpe(std::shared_ptr<const Vocabulary> vocabulary, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), lookup_(vocabulary_.get()) {
  const auto size = static_cast<size_t>(vocabulary_->size());
  if (options_.byte_level) {
    spelled_.reserve(size, size * 8);
    for (TokenId id = 0; id < vocabulary_->size(); ++id) {
      if (!vocabulary_->has(id)) continue;
      if (const auto bytes = bytes_of_alphabet(vocabulary_->text(id))) spelled_.add_if_new(*bytes, id);
    }
    lookup_ = &spelled_;
  }
  for (size_t b = 0; b < 256; ++b) {
    const char c = static_cast<char>(b);
    const bool single = options_.byte_level || b < 128;
    bytes_[b] = single ? lookup_->find(std::string_view(&c, 1)).value_or(-1) : -1;
  }
  mark_ = lookup_->find(kSpaceMark).value_or(-1);
  byte_tokens_ = ByteTokens(*vocabulary_);
  owner_ = WordCache::new_owner();
  proved_ = std::make_unique<std::atomic<uint8_t>[]>(size);
}

Result<std::unique_ptr<Bpe>> Bpe::create(std::shared_ptr<const Vocabulary> vocabulary,
                                         const std::vector<BpeMerge>& merges, BpeOptions options) {
  const TokenId size = vocabulary->size();
  std::unique_ptr<Bpe> bpe(new Bpe(std::move(vocabulary), std::move(options)));
  size_t slots = 64;
  while (slots < merges.size() * 2) slots *= 2;
  bpe->pairs_.resize(slots);
  for (const BpeMerge& merge : merges) {
    for (TokenId id : {merge.left, merge.right, merge.result}) {
      if (id < 0 || id >= size) return corrupt_data(cat("a merge names token ", id, ", but the vocabulary has ", size));
    }
    bpe->add_pair(merge);
  }
  bpe->fill_ascii_pairs();
  bpe->find_safe_borders(merges);
  return bpe;
}

std::vector<BpeMerge> Bpe::implied_merges(const Vocabulary& vocabulary, const std::vector<uint32_t>& ranks) {
  std::vector<BpeMerge> merges;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view text = vocabulary.text(id);
    if (ranks[static_cast<size_t>(id)] == kNoMerge) continue;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const auto left = vocabulary.find(text.substr(0, cut));
      if (!left) continue;
      const auto right = vocabulary.find(text.substr(cut));
      if (right) merges.push_back({*left, *right, id, ranks[static_cast<size_t>(id)]});
    }
  }
  return merges;
}

void Bpe::add_pair(const BpeMerge& merge) {
  const uint64_t key = pair_key(merge.left, merge.right);
  size_t at = pair_hash(key) & (pairs_.size() - 1);
  while (pairs_[at].key != kEmptyKey && pairs_[at].key != key) at = (at + 1) & (pairs_.size() - 1);
  pairs_[at] = {key, merge.rank, merge.result};
}

const Bpe::Pair* Bpe::find_pair(TokenId left, TokenId right) const {
  const uint64_t key = pair_key(left, right);
  for (size_t at = pair_hash(key) & (pairs_.size() - 1);; at = (at + 1) & (pairs_.size() - 1)) {
    if (pairs_[at].key == key) return &pairs_[at];
    if (pairs_[at].key == kEmptyKey) return nullptr;
  }
}

void Bpe::fill_ascii_pairs() {
  ascii_pairs_.assign(128 * 128, {kNoMerge, 0});
  for (size_t i = 0; i < ascii_pairs_.size(); ++i) {
    const TokenId left = bytes_[i / 128], right = bytes_[i % 128];
    const Pair* pair = left >= 0 && right >= 0 ? find_pair(left, right) : nullptr;
    if (pair != nullptr) ascii_pairs_[i] = {pair->rank, pair->result};
  }
}

// A piece may be cut where no merge ever joins what meets there, when nothing else crosses the border (fused unknown
// characters, word prefixes and suffixes, whole-piece tokens).
void Bpe::find_safe_borders(const std::vector<BpeMerge>& merges) {
  if (options_.byte_level || !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty())
    return;
  if (!options_.byte_fallback || !byte_tokens_.complete() || options_.ignore_merges) return;
  const auto is_byte = [&](TokenId id) {
    return std::find(byte_tokens_.ids.begin(), byte_tokens_.ids.end(), id) != byte_tokens_.ids.end();
  };
  bool cut_at_mark = true;
  joined_.assign(256 * 256, kNeverJoined);
  for (const BpeMerge& merge : merges) {
    const std::string_view left = vocabulary_->text(merge.left);
    const std::string_view right = vocabulary_->text(merge.right);
    // The text of a token is what it was merged from, except for these.
    if (left.empty() || right.empty()) return;
    if ((left.size() == 6 && is_byte(merge.left)) || (right.size() == 6 && is_byte(merge.right))) return;
    if (right.starts_with(kSpaceMark) && !left.ends_with(kSpaceMark)) cut_at_mark = false;
    joined_[size_t{static_cast<uint8_t>(left.back())} * 256 + static_cast<uint8_t>(right.front())] = kJoined;
  }
  for (size_t pair = 0; pair < joined_.size(); ++pair) {
    if (is_continuation(static_cast<char>(pair % 256))) joined_[pair] = kJoined;  // no border inside a character
    if (cut_at_mark && joined_[pair] == kJoined && pair % 256 == static_cast<uint8_t>(kSpaceMark[0]))
      joined_[pair] = kJoinedButForMark;
  }
  cuts_ = true;
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& out) const {
  WordCache& words = WordCache::of_thread();
  if (!cuts_) return encode_cached(piece, words, out);
  size_t begin = 0;
  for (size_t at = 1; at < piece.size(); ++at) {
    const uint8_t joined = joined_[size_t{static_cast<uint8_t>(piece[at - 1])} * 256 + static_cast<uint8_t>(piece[at])];
    if (joined == kJoined) continue;
    const bool border = joined == kNeverJoined ||
                        (piece.substr(at).starts_with(kSpaceMark) && !piece.substr(0, at).ends_with(kSpaceMark));
    if (!border) continue;
    encode_cached(piece.substr(begin, at - begin), words, out);
    begin = at;
  }
  encode_cached(piece.substr(begin), words, out);
}

void Bpe::encode_cached(std::string_view piece, WordCache& words, std::vector<TokenId>& out) const {
  if (piece.empty()) return;
  if (piece.size() > WordCache::kPieceMax) return encode_segment(piece, out);
  const WordCache::Key key = WordCache::key_of(piece, owner_);
  if (words.find(key, owner_, out)) return;
  const size_t before = out.size();
  encode_segment(piece, out);
  const size_t count = out.size() - before;
  if (count <= WordCache::kIdsMax) words.keep(key, owner_, out.data() + before, count);
}

std::optional<TokenId> Bpe::whole(std::string_view piece) const {
  return piece.size() <= lookup_->longest() ? lookup_->find(piece) : std::nullopt;
}

void Bpe::encode_segment(std::string_view piece, std::vector<TokenId>& out) const {
  const auto known = whole(piece);
  if (!known) return merge(piece, out);
  if (options_.ignore_merges) return out.push_back(*known);
  std::atomic<uint8_t>& proved = proved_[static_cast<size_t>(*known)];
  const uint8_t state = proved.load(std::memory_order_relaxed);
  if (state == 1) return out.push_back(*known);
  const size_t before = out.size();
  merge(piece, out);
  if (state == 0) {
    const bool same = out.size() == before + 1 && out.back() == *known;
    proved.store(same ? 1 : 2, std::memory_order_relaxed);
  }
}

// The ids of the piece's characters (or bytes) before any merge.
void Bpe::symbols(std::string_view piece, std::vector<TokenId>& out) const {
  const bool affixes = !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  bool unk_pending = false;  // an unknown character stands for itself once the next known one has come
  std::string spelled;
  for (size_t i = 0; i < piece.size();) {
    const size_t size = options_.byte_level ? 1 : utf8_length(piece[i]);
    std::string_view character = piece.substr(i, size);
    std::optional<TokenId> id;
    if (affixes) {
      spelled = i > 0 ? options_.continuing_subword_prefix : std::string();
      if (options_.byte_level) {
        append_utf8(spelled, byte_alphabet(static_cast<uint8_t>(piece[i])));
      } else {
        spelled += character;
      }
      if (i + size == piece.size()) spelled += options_.end_of_word_suffix;
      character = spelled;
      id = vocabulary_->find(spelled);
    } else if (size == 1) {
      const TokenId single = bytes_[static_cast<uint8_t>(piece[i])];
      if (single >= 0) id = single;
    } else {
      id = lookup_->find(character);
    }
    i += size;
    if (id) {
      if (unk_pending) out.push_back(*options_.unk);
      unk_pending = false;
      out.push_back(*id);
    } else if (options_.byte_fallback && byte_tokens_.append(character, out)) {
      continue;
    } else if (options_.unk) {
      if (unk_pending && !options_.fuse_unk) out.push_back(*options_.unk);
      unk_pending = true;
    }
  }
  if (unk_pending) out.push_back(*options_.unk);
}

// The ids of a short piece whose characters are all ASCII, "▁" or, at the byte level, any bytes; 0 when others are
// among them. ascii[i] is the character of ids[i], or kNoAscii.
size_t Bpe::quick_symbols(std::string_view piece, TokenId* ids, uint8_t* ascii) const {
  if (!options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty()) return 0;
  size_t count = 0;
  for (size_t i = 0; i < piece.size(); ++count) {
    const auto byte = static_cast<uint8_t>(piece[i]);
    if (byte < 128 || options_.byte_level) {
      ids[count] = bytes_[byte];
      ascii[count] = byte < 128 ? byte : kNoAscii;
      ++i;
    } else if (piece.substr(i, kSpaceMark.size()) == kSpaceMark) {
      ids[count] = mark_;
      ascii[count] = kNoAscii;
      i += kSpaceMark.size();
    } else {
      return 0;
    }
    if (ids[count] < 0) return 0;
  }
  return count;
}

void Bpe::merge(std::string_view piece, std::vector<TokenId>& out) const {
  if (piece.size() <= kShort) {
    TokenId ids[kShort];
    uint8_t ascii[kShort];
    size_t count = quick_symbols(piece, ids, ascii);
    if (count > 0) return merge_short(ids, ascii, count, out);
    const size_t before = out.size();  // the symbols go straight behind the ids made so far, and are merged there
    symbols(piece, out);
    count = out.size() - before;
    if (count <= kShort) {
      std::copy(out.begin() + static_cast<ptrdiff_t>(before), out.end(), ids);
      out.resize(before);
      return merge_short(ids, nullptr, count, out);
    }
    out.resize(before);
  }
  std::vector<TokenId> ids;
  ids.reserve(piece.size());
  symbols(piece, ids);
  if (ids.size() <= kShort) return merge_short(ids.data(), nullptr, ids.size(), out);
  merge_long(ids, out);
}

void Bpe::merge_short(TokenId* ids, const uint8_t* ascii, size_t count, std::vector<TokenId>& out) const {
  uint32_t ranks[kShort];
  TokenId results[kShort];
  const auto rate = [&](size_t i) {
    const Pair* pair = find_pair(ids[i], ids[i + 1]);
    ranks[i] = pair != nullptr ? pair->rank : kNoMerge;
    results[i] = pair != nullptr ? pair->result : 0;
  };
  for (size_t i = 0; i + 1 < count; ++i) {
    if (ascii != nullptr && (ascii[i] | ascii[i + 1]) < 128) {
      const Outcome& outcome = ascii_pairs_[size_t{ascii[i]} * 128 + ascii[i + 1]];
      ranks[i] = outcome.rank;
      results[i] = outcome.result;
    } else {
      rate(i);
    }
  }
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) best = ranks[i] < ranks[best] ? i : best;
    if (ranks[best] == kNoMerge) break;
    ids[best] = results[best];
    for (size_t i = best + 1; i + 1 < count; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    --count;
    if (best + 1 < count) rate(best);
    if (best > 0) rate(best - 1);
  }
  out.insert(out.end(), ids, ids + count);
}

void Bpe::merge_long(const std::vector<TokenId>& ids, std::vector<TokenId>& out) const {
  struct Candidate {
    uint32_t rank;
    int32_t at;
    TokenId left, right, result;
    bool operator<(const Candidate& other) const {  // the queue's top is the largest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  std::vector<Symbol> symbols(ids.size());
  std::vector<Candidate> candidates;
  const auto consider = [&](int32_t at) -> const Pair* {
    const int32_t next = symbols[static_cast<size_t>(at)].next;
    return next < 0 ? nullptr : find_pair(symbols[static_cast<size_t>(at)].id, symbols[static_cast<size_t>(next)].id);
  };
  const auto candidate = [&](int32_t at, const Pair& pair) {
    return Candidate{pair.rank, at, static_cast<TokenId>(pair.key >> 32), static_cast<TokenId>(pair.key & 0xFFFFFFFF),
                     pair.result};
  };
  const auto count = static_cast<int32_t>(ids.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)] = {ids[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1};
  }
  for (int32_t i = 0; i < count; ++i) {
    if (const Pair* pair = consider(i)) candidates.push_back(candidate(i, *pair));
  }
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(candidates));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(top.at)];
    if (left.id != top.left || left.next < 0 || symbols[static_cast<size_t>(left.next)].id != top.right) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    left.id = top.result;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = top.at;
    if (const Pair* pair = consider(top.at)) queue.push(candidate(top.at, *pair));
    if (left.previous >= 0) {
      if (const Pair* pair = consider(left.previous)) queue.push(candidate(left.previous, *pair));
    }
  }
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    out.push_back(symbols[static_cast<size_t>(i)].id);
}

}  // namespace sluice::text
