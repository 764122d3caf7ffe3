#pragma once
// Byte-pair encoding: neighbouring symbols are merged, best rank first, leftmost first among equals.
// Source of the order: Hugging Face tokenizers, models/bpe; SentencePiece, bpe_model.cc (equal scores: leftmost).
//
// Time is O(n log n) in a piece's length. A piece that is itself a token is answered by one look-up, once a first
// encounter has proved that merging gives that token; short pieces are remembered per thread (WordCache).

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/bpe_words.h"
#include "text/tokenizer_model.h"
#include "text/tokenizer_vocab.h"

namespace sluice::text {

struct BpeMerge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
  uint32_t rank = 0;  // smaller is merged earlier
};

struct BpeOptions {
  bool byte_level = false;     // pieces are raw bytes; the vocabulary spells them in GPT-2's byte alphabet
  bool byte_fallback = false;  // characters without a token become <0x..> tokens
  bool fuse_unk = false;       // neighbouring unknown characters become one unknown token
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
  std::optional<TokenId> unk;
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
};

// GPT-2's alphabet: every byte as a printable character.
char32_t byte_alphabet(uint8_t byte);
// The bytes a token spells in that alphabet; nothing when it has a character outside it.
std::optional<std::string> bytes_of_alphabet(std::string_view token);
std::string alphabet_of_bytes(std::string_view bytes);

class Bpe : public TokenModel {
 public:
  // Among merges of the same pair the last one counts.
  static Result<std::unique_ptr<Bpe>> create(std::shared_ptr<const Vocabulary> vocabulary,
                                             const std::vector<BpeMerge>& merges, BpeOptions options);
  // Merges implied by the vocabulary alone (SentencePiece, tiktoken): every split of a token into two tokens, with the
  // token's `rank`. Tokens with rank kNoMerge are left out. Symbols that are parts of tokens but no tokens themselves
  // are not found by this; SentencePiece trains its models so that there are none.
  static constexpr uint32_t kNoMerge = 0xFFFFFFFF;
  static std::vector<BpeMerge> implied_merges(const Vocabulary& vocabulary, const std::vector<uint32_t>& ranks);

  void encode(std::string_view piece, std::vector<TokenId>& out) const override;

 private:
  struct Pair {
    uint64_t key = kEmptyKey;  // left << 32 | right
    uint32_t rank = 0;
    TokenId result = 0;
  };
  struct Outcome {
    uint32_t rank;
    TokenId result;
  };
  struct Symbol {
    TokenId id;
    int32_t previous, next;
  };
  static constexpr uint64_t kEmptyKey = 0xFFFFFFFFFFFFFFFF;

  Bpe(std::shared_ptr<const Vocabulary> vocabulary, BpeOptions options);
  void add_pair(const BpeMerge& merge);
  const Pair* find_pair(TokenId left, TokenId right) const;
  void fill_ascii_pairs();
  void find_safe_borders(const std::vector<BpeMerge>& merges);
  std::optional<TokenId> whole(std::string_view piece) const;
  void encode_cached(std::string_view piece, WordCache& words, std::vector<TokenId>& out) const;
  void encode_segment(std::string_view piece, std::vector<TokenId>& out) const;
  void merge(std::string_view piece, std::vector<TokenId>& out) const;
  void symbols(std::string_view piece, std::vector<TokenId>& out) const;
  size_t quick_symbols(std::string_view piece, TokenId* ids, uint8_t* ascii) const;
  void merge_short(TokenId* ids, const uint8_t* ascii, size_t count, std::vector<TokenId>& out) const;
  void merge_long(const std::vector<TokenId>& ids, std::vector<TokenId>& out) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  BpeOptions options_;
  uint32_t owner_ = 0;              // of this tokenizer's entries in the word caches
  Vocabulary spelled_;              // byte-level: raw bytes → id
  const Vocabulary* lookup_;        // spelled_ or *vocabulary_
  std::array<TokenId, 256> bytes_;  // byte-level: id of a byte alone, or -1; else of an ASCII character
  TokenId mark_ = -1;               // of "▁"
  ByteTokens byte_tokens_;
  std::vector<Pair> pairs_;           // open addressing, a power of two
  std::vector<Outcome> ascii_pairs_;  // [left character * 128 + right character], as in pairs_
  bool cuts_ = false;                 // pieces may be cut before they are merged, where no merge joins the two sides:
  std::vector<uint8_t> joined_;       // [last byte of the left * 256 + first byte of the right]: one of the next three
  static constexpr uint8_t kNeverJoined = 0, kJoined = 1;
  static constexpr uint8_t kJoinedButForMark = 2;  // not before a "▁" that has none before it
  // 0: not yet tried; 1: merging the token's text gives the token; 2: it does not.
  std::unique_ptr<std::atomic<uint8_t>[]> proved_;
};

}  // namespace sluice::text
