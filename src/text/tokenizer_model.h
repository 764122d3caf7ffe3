#pragma once
// TokenModel: the last stage of encoding, from one piece of text (a pre-token) to ids. Immutable; any thread.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer_vocab.h"

namespace sluice::text {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of `piece` (valid UTF-8, or any bytes for a byte-level model).
  virtual void encode(std::string_view piece, std::vector<TokenId>& out) const = 0;
};

// The ids of the tokens <0x00> … <0xFF>; -1 where there is none.
struct ByteTokens {
  ByteTokens() { ids.fill(-1); }
  explicit ByteTokens(const Vocabulary& vocabulary);
  bool complete() const;
  // Appends one id per byte, or appends nothing and says false when one is missing.
  bool append(std::string_view bytes, std::vector<TokenId>& out) const;
  std::array<TokenId, 256> ids;
};

// WordPiece (BERT): the longest known prefix, again and again; a word that cannot be spelled is one unknown token.
struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  size_t word_characters_max = 100;
};
Result<std::unique_ptr<TokenModel>> make_word_piece(std::shared_ptr<const Vocabulary> vocabulary,
                                                    WordPieceOptions options);

// WordLevel: a piece is a token or unknown.
std::unique_ptr<TokenModel> make_word_level(std::shared_ptr<const Vocabulary> vocabulary, std::optional<TokenId> unk);

// Unigram: the sequence of tokens with the largest sum of scores (Viterbi).
struct UnigramOptions {
  std::optional<TokenId> unk;
  bool byte_fallback = false;
  bool single_precision = false;   // add scores as floats, as SentencePiece does
  std::vector<double> scores;      // [vocab]
  std::vector<bool> not_in_text;   // [vocab] or empty: never found in text (control, unknown, unused)
  std::vector<bool> user_defined;  // [vocab] or empty: always taken where they are found
};
Result<std::unique_ptr<TokenModel>> make_unigram(std::shared_ptr<const Vocabulary> vocabulary, UnigramOptions options);

}  // namespace sluice::text
