#pragma once
// SentencePiece: its normalizer, and the reader of its model files (a protocol buffer, sentencepiece_model.proto).

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/normalizer.h"
#include "text/tokenizer.h"

namespace sluice::text {

enum class PieceType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct SentencePieceModel {
  enum class Kind { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::kNormal;
  };
  std::vector<Piece> pieces;  // [vocab]
  Kind kind = Kind::kUnigram;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  TokenId unk = 0, bos = 1, eos = 2, pad = -1;  // -1: none
  std::string charsmap;                         // precompiled_charsmap
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// kCorruptData says at which byte the file breaks the format.
Result<SentencePieceModel> read_sentencepiece_model(std::string_view file);

// SentencePiece's Normalizer: the character map with longest matches, white space, "▁". `verbatim` are strings that
// the map must not touch (user-defined pieces).
struct SentencePieceRules {
  std::string charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool whitespace_as_suffix = false;
  std::vector<std::string> verbatim;
};
Result<NormalizerPtr> make_sentencepiece_normalizer(SentencePieceRules rules);

}  // namespace sluice::text
