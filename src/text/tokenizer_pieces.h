#pragma once
// Parts of a tokenizer made from SentencePiece's pieces, wherever they were read (tokenizer.model, GGUF).

#include <memory>
#include <vector>

#include "text/bpe.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_model.h"
#include "text/tokenizer_pipeline.h"

namespace sluice::text {

Result<std::shared_ptr<Vocabulary>> vocabulary_of_pieces(const std::vector<SentencePieceModel::Piece>& pieces);
// Pieces are merged in the order of their scores.
Result<std::unique_ptr<TokenModel>> bpe_of_pieces(std::shared_ptr<const Vocabulary> vocabulary,
                                                  const std::vector<SentencePieceModel::Piece>& pieces,
                                                  BpeOptions options);
Result<std::unique_ptr<TokenModel>> unigram_of_pieces(std::shared_ptr<const Vocabulary> vocabulary,
                                                      const std::vector<SentencePieceModel::Piece>& pieces,
                                                      UnigramOptions options);
// Control and unknown pieces as special tokens of the plain text, user-defined pieces as tokens of the normalised text
// or of the plain text.
std::vector<AddedToken> added_of_pieces(const std::vector<SentencePieceModel::Piece>& pieces,
                                        bool user_defined_normalized);

// Adds tokens to the parts; a token whose text or id is known already takes the new settings.
void add_tokens(const std::vector<AddedToken>& tokens, TokenizerParts& parts);

}  // namespace sluice::text
