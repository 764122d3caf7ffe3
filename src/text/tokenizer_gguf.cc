// Tokenizers from the vocabulary arrays of a GGUF file. The names in "pre" and what they stand for are llama.cpp's
// (src/llama-vocab.cpp); where it approximates a model's own pattern, the model's own is used.

#include <map>

#include "base/json.h"
#include "base/strings.h"
#include "text/bpe.h"
#include "text/tokenizer_gguf_patterns.h"
#include "text/tokenizer_loaders.h"
#include "text/tokenizer_pieces.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

using Piece = SentencePieceModel::Piece;

Result<std::vector<Piece>> pieces_of(GgufVocabulary& vocabulary) {
  const size_t size = vocabulary.tokens.size();
  if (size == 0) return corrupt_data("tokenizer.ggml.tokens is empty or missing");
  if (!vocabulary.scores.empty() && vocabulary.scores.size() < size) {
    return corrupt_data(cat("tokenizer.ggml.scores has ", vocabulary.scores.size(), " entries for ", size, " tokens"));
  }
  if (!vocabulary.types.empty() && vocabulary.types.size() < size) {
    return corrupt_data(
        cat("tokenizer.ggml.token_type has ", vocabulary.types.size(), " entries for ", size, " tokens"));
  }
  std::vector<Piece> pieces(size);
  for (size_t i = 0; i < size; ++i) {
    pieces[i].text =
        utf8_valid(vocabulary.tokens[i]) ? std::move(vocabulary.tokens[i]) : utf8_sanitize(vocabulary.tokens[i]);
    if (!vocabulary.scores.empty()) pieces[i].score = vocabulary.scores[i];
    const int32_t type = vocabulary.types.empty() ? 1 : vocabulary.types[i];
    pieces[i].type = type >= 1 && type <= 6 ? static_cast<PieceType>(type) : PieceType::kNormal;
    if (pieces[i].text.empty()) {
      pieces[i].text = cat("[EMPTY_", i, "]");
      pieces[i].type = PieceType::kUnused;
    }
  }
  return pieces;
}

// Drops a special id that the vocabulary does not have, as llama.cpp does.
std::optional<TokenId> checked(std::optional<TokenId> id, size_t size) {
  return id && *id >= 0 && static_cast<size_t>(*id) < size ? id : std::nullopt;
}

void set_frame(const GgufVocabulary& vocabulary, bool add_bos, bool add_eos, TokenizerParts& parts) {
  parts.bos = checked(vocabulary.bos, static_cast<size_t>(parts.vocabulary->size()));
  parts.eos = checked(vocabulary.eos, static_cast<size_t>(parts.vocabulary->size()));
  if (vocabulary.add_bos.value_or(add_bos) && parts.bos) parts.frame.push_back(parts.bos);
  parts.frame.push_back(std::nullopt);
  if (vocabulary.add_eos.value_or(add_eos) && parts.eos) parts.frame.push_back(parts.eos);
}

Result<TokenizerParts> sentencepiece_parts(GgufVocabulary& vocabulary) {
  SLUICE_TRY(const std::vector<Piece> pieces, pieces_of(vocabulary));
  TokenizerParts parts;
  SLUICE_TRY(auto words, vocabulary_of_pieces(pieces));
  parts.vocabulary = words;
  BpeOptions options;
  options.byte_fallback = true;
  options.fuse_unk = true;
  options.unk = checked(vocabulary.unk.value_or(0), pieces.size());
  SLUICE_TRY(parts.model, bpe_of_pieces(words, pieces, options));
  const bool prefix = vocabulary.add_space_prefix.value_or(true);
  std::vector<NormalizerPtr> steps;
  if (prefix) steps.push_back(make_prepend(" "));
  steps.push_back(make_replace(" ", std::string(kSpaceMark)));
  parts.normalizer = make_sequence(std::move(steps));
  parts.added = added_of_pieces(pieces, false);
  parts.decoder = Decoder::sentencepiece(prefix);
  set_frame(vocabulary, true, false, parts);
  return parts;
}

Result<TokenizerParts> unigram_parts(GgufVocabulary& vocabulary) {
  SLUICE_TRY(const std::vector<Piece> pieces, pieces_of(vocabulary));
  TokenizerParts parts;
  SLUICE_TRY(auto words, vocabulary_of_pieces(pieces));
  parts.vocabulary = words;
  UnigramOptions options;
  options.unk = checked(vocabulary.unk.value_or(2), pieces.size());
  options.byte_fallback = ByteTokens(*words).complete();
  SLUICE_TRY(parts.model, unigram_of_pieces(words, pieces, options));
  SentencePieceRules rules;
  rules.charsmap = vocabulary.precompiled_charsmap;
  rules.add_dummy_prefix = vocabulary.add_space_prefix.value_or(true);
  rules.remove_extra_whitespaces = vocabulary.remove_extra_whitespaces.value_or(true);
  for (const Piece& piece : pieces) {
    if (piece.type == PieceType::kUserDefined) rules.verbatim.push_back(piece.text);
  }
  parts.decoder = Decoder::sentencepiece(rules.add_dummy_prefix);
  SLUICE_TRY(parts.normalizer, make_sentencepiece_normalizer(std::move(rules)));
  parts.added = added_of_pieces(pieces, true);
  set_frame(vocabulary, false, true, parts);
  return parts;
}

// Words begin with "▁" in the file and their continuations are bare; the tokenizer's own spelling is bare and "##".
Result<TokenizerParts> word_piece_parts(GgufVocabulary& vocabulary) {
  SLUICE_TRY(std::vector<Piece> pieces, pieces_of(vocabulary));
  for (Piece& piece : pieces) {
    if (piece.text.starts_with(kSpaceMark)) {
      piece.text.erase(0, kSpaceMark.size());
    } else if (piece.type == PieceType::kNormal && !(piece.text.starts_with('[') && piece.text.ends_with(']'))) {
      piece.text.insert(0, "##");
    }
  }
  TokenizerParts parts;
  auto words = std::make_shared<Vocabulary>();
  for (size_t id = 0; id < pieces.size(); ++id) words->add_if_new(pieces[id].text, static_cast<TokenId>(id));
  parts.vocabulary = words;
  WordPieceOptions options;
  if (const auto unk = checked(vocabulary.unk, pieces.size()))
    options.unk_token = pieces[static_cast<size_t>(*unk)].text;
  SLUICE_TRY(parts.model, make_word_piece(words, options));
  const Json normalizer = {{"type", "BertNormalizer"}, {"lowercase", vocabulary.lowercase.value_or(true)}};
  SLUICE_TRY(parts.normalizer, make_normalizer(normalizer));
  SLUICE_TRY(parts.pre_tokenizer, PreTokenizer::from_json({{"type", "BertPreTokenizer"}}));
  parts.decoder = Decoder::word_piece("##");
  parts.added = added_of_pieces(pieces, false);
  if (!vocabulary.bos) vocabulary.bos = words->find("[CLS]");
  if (!vocabulary.eos) vocabulary.eos = words->find("[SEP]");
  set_frame(vocabulary, true, true, parts);
  return parts;
}

Result<TokenizerParts> byte_level_parts(GgufVocabulary& vocabulary) {
  const PreRule* rule = find_pre_rule(vocabulary.pre.empty() ? "default" : vocabulary.pre);
  if (rule == nullptr) return unimplemented(cat("GGUF: the pre-tokenizer \"", vocabulary.pre, "\" is not known"));
  SLUICE_TRY(const std::vector<Piece> pieces, pieces_of(vocabulary));
  TokenizerParts parts;
  SLUICE_TRY(auto words, vocabulary_of_pieces(pieces));
  parts.vocabulary = words;
  MergeReader merges(*words, 0);
  merges.reserve(vocabulary.merges.size());
  for (const std::string& line : vocabulary.merges) {
    if (!utf8_valid(line)) return corrupt_data("tokenizer.ggml.merges: an entry is not UTF-8");
    const size_t space = line.find(' ', 1);
    if (space == std::string::npos)
      return corrupt_data(cat("tokenizer.ggml.merges: expected \"left right\", found \"", line, "\""));
    SLUICE_RETURN_IF_ERROR(
        merges.add(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1)));
  }
  BpeOptions options;
  options.ignore_merges = rule->ignore_merges;
  if (rule->escape_spaces) {  // characters, not bytes: "▁" for spaces, <0x..> for what is unknown
    options.byte_fallback = true;
    options.unk = checked(vocabulary.unk, pieces.size());
    options.fuse_unk = true;
    parts.normalizer = make_replace(" ", std::string(kSpaceMark));
    parts.decoder = Decoder::sentencepiece(false);
    SLUICE_TRY(parts.pre_tokenizer, PreTokenizer::patterns_only(rule->patterns));
  } else {
    SLUICE_TRY(parts.pre_tokenizer, PreTokenizer::byte_level(rule->patterns));
    options.byte_level = parts.pre_tokenizer.drop_byte_alphabet();
    parts.decoder = Decoder::byte_level();
    if (rule->nfc) {
      SLUICE_TRY(parts.normalizer, make_normalizer({{"type", "NFC"}}));
    }
  }
  SLUICE_TRY(parts.model, Bpe::create(words, merges.take(), options));
  parts.added = added_of_pieces(pieces, false);
  set_frame(vocabulary, rule->add_bos, false, parts);
  return parts;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_gguf(GgufVocabulary vocabulary) {
  const auto build = [&]() -> Result<TokenizerParts> {
    if (vocabulary.model == "llama") return sentencepiece_parts(vocabulary);
    if (vocabulary.model == "gpt2") return byte_level_parts(vocabulary);
    if (vocabulary.model == "gemma4") {
      vocabulary.pre = "gemma4";
      return byte_level_parts(vocabulary);
    }
    if (vocabulary.model == "bert") return word_piece_parts(vocabulary);
    if (vocabulary.model == "t5") return unigram_parts(vocabulary);
    return unimplemented(cat("GGUF: the tokenizer model \"", vocabulary.model,
                             "\" is not known; known are llama, gpt2, gemma4, bert, t5"));
  };
  SLUICE_TRY(TokenizerParts parts, build());
  return PipelineTokenizer::create(std::move(parts));
}

}  // namespace sluice::text
