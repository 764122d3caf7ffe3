#pragma once
// PipelineTokenizer: the Tokenizer made of parts: added tokens, normalizer, pre-tokenizer, model, template, decoder.
// Each loader (tokenizer.json, GGUF, SentencePiece, tiktoken …) fills TokenizerParts.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_added.h"
#include "text/tokenizer_decoder.h"
#include "text/tokenizer_model.h"
#include "text/tokenizer_vocab.h"

namespace sluice::text {

struct TokenizerParts {
  std::shared_ptr<const Vocabulary> vocabulary;  // the model's
  std::unique_ptr<TokenModel> model;
  NormalizerPtr normalizer;  // null: text is taken as it is
  PreTokenizer pre_tokenizer;
  Decoder decoder;
  std::vector<AddedToken> added;  // their ids may be the model's own or new ones
  // What add_special makes of a text: ids, and nullopt where the text stands. Empty: as without it.
  std::vector<std::optional<TokenId>> frame;
  size_t repeats = 1;  // of the text, without add_special
  std::optional<TokenId> bos, eos;
};

class PipelineTokenizer : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> create(TokenizerParts parts);

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::string decode_open(std::span<const TokenId> ids, bool skip_special) const override;
  int vocab_size() const override { return size_; }
  std::string_view token_text(TokenId id) const override;
  std::string token_bytes(TokenId id) const override;
  bool is_special(TokenId id) const override;
  std::optional<TokenId> token_id(std::string_view token_text) const override;
  std::optional<TokenId> bos() const override { return parts_.bos; }
  std::optional<TokenId> eos() const override { return parts_.eos; }

 private:
  explicit PipelineTokenizer(TokenizerParts parts);
  void fill_bytes();
  void encode_text(std::string_view text, bool special, std::vector<TokenId>& out) const;
  void encode_segment(std::string_view text, bool at_start, bool special, std::vector<TokenId>& out) const;
  void encode_piece(std::string_view text, size_t start_end, std::vector<TokenId>& out) const;
  std::string decode_bytes(std::span<const TokenId> ids, bool skip_special) const;
  std::vector<std::string> texts_of(std::span<const TokenId> ids, bool skip_special) const;
  std::string_view decoded_text(TokenId id) const;
  bool has(TokenId id) const { return id >= 0 && id < size_ && (parts_.vocabulary->has(id) || added_text_.has(id)); }

  TokenizerParts parts_;
  AddedTokens added_;
  Vocabulary added_text_;              // contents of the added tokens
  std::vector<int32_t> added_index_;   // [vocab] index of the added token, or -1
  std::vector<bool> special_;          // [vocab]
  PatternFunction pattern_ = nullptr;  // all the pre-tokenizer does, when it is one known pattern
  int size_ = 0;
  // [vocab] token_bytes() of every id, when the decoder treats tokens one by one: all bytes, and where each ends.
  std::string bytes_;
  std::vector<uint32_t> bytes_end_;
};

}  // namespace sluice::text
