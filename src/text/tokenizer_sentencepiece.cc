// tokenizer.model of SentencePiece, and the GGUF vocabularies made from one ("llama", "t5").

#include <algorithm>
#include <cmath>
#include <map>

#include "base/strings.h"
#include "text/bpe.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_loaders.h"
#include "text/tokenizer_pieces.h"

namespace sluice::text {
namespace {

bool in_text(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUserDefined || type == PieceType::kUnused;
}

// Merge order from scores: the best score first, equal scores equal.
Result<std::vector<uint32_t>> ranks_of(const std::vector<SentencePieceModel::Piece>& pieces) {
  std::vector<float> scores;
  for (const auto& piece : pieces) {
    if (std::isnan(piece.score))
      return corrupt_data(cat("the score of the token \"", piece.text, "\" is not a number"));
    scores.push_back(piece.score);
  }
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  std::vector<uint32_t> ranks;
  for (const auto& piece : pieces) {
    const auto at = std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>());
    ranks.push_back(in_text(piece.type) ? static_cast<uint32_t>(at - scores.begin()) : Bpe::kNoMerge);
  }
  return ranks;
}

}  // namespace

Result<std::shared_ptr<Vocabulary>> vocabulary_of_pieces(const std::vector<SentencePieceModel::Piece>& pieces) {
  if (pieces.size() > static_cast<size_t>(kTokenIdMax))
    return corrupt_data(cat("a vocabulary of ", pieces.size(), " tokens is too large"));
  auto vocabulary = std::make_shared<Vocabulary>();
  vocabulary->reserve(pieces.size(), pieces.size() * 8);
  for (size_t id = 0; id < pieces.size(); ++id) {
    SLUICE_RETURN_IF_ERROR(vocabulary->add(pieces[id].text, static_cast<TokenId>(id)));
  }
  return vocabulary;
}

Result<std::unique_ptr<TokenModel>> bpe_of_pieces(std::shared_ptr<const Vocabulary> vocabulary,
                                                  const std::vector<SentencePieceModel::Piece>& pieces,
                                                  BpeOptions options) {
  SLUICE_TRY(const std::vector<uint32_t> ranks, ranks_of(pieces));
  const std::vector<BpeMerge> merges = Bpe::implied_merges(*vocabulary, ranks);
  SLUICE_TRY(auto bpe, Bpe::create(std::move(vocabulary), merges, std::move(options)));
  return std::unique_ptr<TokenModel>(std::move(bpe));
}

Result<std::unique_ptr<TokenModel>> unigram_of_pieces(std::shared_ptr<const Vocabulary> vocabulary,
                                                      const std::vector<SentencePieceModel::Piece>& pieces,
                                                      UnigramOptions options) {
  options.single_precision = true;
  for (const auto& piece : pieces) {
    options.scores.push_back(static_cast<double>(piece.score));
    options.not_in_text.push_back(!in_text(piece.type) || piece.type == PieceType::kUnused);
    options.user_defined.push_back(piece.type == PieceType::kUserDefined);
  }
  return make_unigram(std::move(vocabulary), std::move(options));
}

std::vector<AddedToken> added_of_pieces(const std::vector<SentencePieceModel::Piece>& pieces,
                                        bool user_defined_normalized) {
  std::vector<AddedToken> added;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const PieceType type = pieces[id].type;
    if (type != PieceType::kControl && type != PieceType::kUserDefined && type != PieceType::kUnknown) continue;
    if (pieces[id].text.empty()) continue;
    AddedToken token;
    token.content = pieces[id].text;
    token.id = static_cast<TokenId>(id);
    token.special = type != PieceType::kUserDefined;
    token.normalized = !token.special && user_defined_normalized;
    token.as_spelled = true;
    added.push_back(std::move(token));
  }
  return added;
}

Result<TokenizerParts> parts_from_sentencepiece(std::string_view file, const TokenizerConfig& config) {
  SLUICE_TRY(SentencePieceModel model, read_sentencepiece_model(file));
  using Kind = SentencePieceModel::Kind;
  if (model.kind != Kind::kBpe && model.kind != Kind::kUnigram) {
    return unimplemented("SentencePiece model: the types \"word\" and \"char\" are not supported");
  }
  TokenizerParts parts;
  SLUICE_TRY(auto vocabulary, vocabulary_of_pieces(model.pieces));
  parts.vocabulary = vocabulary;
  const auto exists = [&](TokenId id) { return id >= 0 && static_cast<size_t>(id) < model.pieces.size(); };
  const std::optional<TokenId> unk = exists(model.unk) ? std::optional(model.unk) : std::nullopt;
  if (model.kind == Kind::kBpe) {
    BpeOptions options;
    options.byte_fallback = model.byte_fallback;
    options.fuse_unk = true;
    options.unk = unk;
    SLUICE_TRY(parts.model, bpe_of_pieces(vocabulary, model.pieces, options));
  } else {
    UnigramOptions options;
    options.byte_fallback = model.byte_fallback;
    options.unk = unk;
    SLUICE_TRY(parts.model, unigram_of_pieces(vocabulary, model.pieces, options));
  }
  SentencePieceRules rules{model.charsmap,           model.add_dummy_prefix,     model.remove_extra_whitespaces,
                           model.escape_whitespaces, model.whitespace_as_suffix, {}};
  for (const auto& piece : model.pieces) {
    if (piece.type == PieceType::kUserDefined) rules.verbatim.push_back(piece.text);
  }
  SLUICE_TRY(parts.normalizer, make_sentencepiece_normalizer(std::move(rules)));
  parts.added = added_of_pieces(model.pieces, true);
  parts.decoder = Decoder::sentencepiece(model.add_dummy_prefix && !model.whitespace_as_suffix);
  if (exists(model.bos)) parts.bos = model.bos;
  if (exists(model.eos)) parts.eos = model.eos;
  add_tokens(config.added, parts);
  TokenizerConfig with_defaults = config;
  const bool t5 = config.tokenizer_class.starts_with("T5");
  if (!config.add_bos) with_defaults.add_bos = model.kind == Kind::kBpe && !t5;
  if (!config.add_eos) with_defaults.add_eos = t5;
  apply_config(with_defaults, parts);
  if (config.tokenizer_class.starts_with("ChatGLM")) SLUICE_RETURN_IF_ERROR(frame_as_chatglm(parts));
  return parts;
}

}  // namespace sluice::text
