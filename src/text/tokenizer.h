#pragma once
// A tokenizer turns text into token ids and back exactly as the model's own (Hugging Face `tokenizers`, SentencePiece).
// Immutable after loading; any thread may use one object at the same time.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::text {

using TokenId = int32_t;

struct EncodeOptions {
  bool add_special = true;    // apply the post-processor: bos, eos as the model's own file says
  bool parse_special = true;  // special tokens written out in the text ("<|user|>") become their ids; false: they are
                              // text (added tokens that are not special, such as "<think>", are found either way)
};

// The vocabulary arrays of a GGUF file (tokenizer.ggml.*), so that text/ need not know the file format.
struct GgufVocabulary {
  std::string model;                // "llama" (SentencePiece BPE), "gpt2" (byte-level BPE), …
  std::string pre;                  // pre-tokenizer name: "llama-bpe", "qwen2", "glm4", "default", …
  std::vector<std::string> tokens;  // [vocab]
  std::vector<float> scores;        // [vocab] or empty
  std::vector<int32_t> types;  // [vocab] or empty: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges;  // "left right"
  std::optional<TokenId> bos, eos, unk, pad;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::optional<bool> remove_extra_whitespaces;  // "t5"
  std::optional<bool> lowercase;                 // "bert": tokenizer.ggml.normalizer.lowercase
  std::string precompiled_charsmap;              // "t5": the bytes of the array, or empty
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // From the files of a Hugging Face directory: tokenizer.json, else what it has (tokenizer.model, vocab.json +
  // merges.txt). kNotFound when there is none; kUnimplemented names an unknown component; kCorruptData says where a
  // file is wrong.
  static Result<std::unique_ptr<Tokenizer>> from_directory(const std::string& directory);
  // From one file, whose name and content tell its form: a tokenizer.json, a SentencePiece model, a tiktoken file or a
  // vocab.txt. A tokenizer_config.json beside it is read for all but the first.
  static Result<std::unique_ptr<Tokenizer>> from_file(const std::string& path);
  // From the text of a tokenizer.json.
  static Result<std::unique_ptr<Tokenizer>> from_json(std::string_view tokenizer_json);
  static Result<std::unique_ptr<Tokenizer>> from_gguf(GgufVocabulary vocabulary);

  // Any bytes are accepted; invalid UTF-8 is handled as Python's bytes.decode(errors="replace") would.
  virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  // The inverse for display, as tokenizers' decode(). skip_special leaves out tokens marked special (as transformers'
  // skip_special_tokens). The bytes may be invalid UTF-8 when the ids end inside a character.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;

  // The part of decode(ids) that stays as it is whatever ids follow, bytes as they are; StreamDecoder's question.
  virtual std::string decode_open(std::span<const TokenId> ids, bool skip_special) const {
    return decode(ids, skip_special);
  }

  virtual int vocab_size() const = 0;  // ids are in [0, vocab_size())
  // The token as its vocabulary file spells it ("▁the", "Ġthe", "<0x0A>"); "" for an id the vocabulary does not have.
  virtual std::string_view token_text(TokenId id) const = 0;
  // The bytes the token stands for inside a text ("the", "\n"); what an OpenAI logprob entry reports.
  virtual std::string token_bytes(TokenId id) const = 0;
  virtual bool is_special(TokenId id) const = 0;
  virtual std::optional<TokenId> token_id(std::string_view token_text) const = 0;
  virtual std::optional<TokenId> bos() const = 0;  // as far as the tokenizer's own files name one
  virtual std::optional<TokenId> eos() const = 0;
};

// Detokenises one sequence as its ids arrive. All push() results and flush() joined equal decode() of all ids (invalid
// UTF-8 replaced by U+FFFD), but tokens of single bytes ("<0x41>") stay where later ones show them to be no UTF-8. A
// character is never emitted in halves. One thread at a time. Only ids since the last emitted text are decoded again.
class StreamDecoder {
 public:
  // `tokenizer` must outlive it. `context` are the ids before the first pushed one (the prompt's tail), which decide
  // whether a leading space is printed; empty: the ids pushed are a text of their own.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true, std::span<const TokenId> context = {});

  // From now on this special token is printed although special tokens are skipped.
  void show(TokenId id) { shown_.push_back(id); }

  std::string push(TokenId id);  // text that is now complete; often ""
  std::string flush();           // what is left; half a character becomes U+FFFD

 private:
  bool counts(TokenId id) const;
  // The ids kept are only those that are printed, so with shown ones among them nothing need be skipped.
  bool skips() const { return skip_special_ && shown_.empty(); }

  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::vector<TokenId> shown_;
  std::vector<TokenId> ids_;  // the last ids: some that are emitted, then those whose text is not wholly emitted
  size_t emitted_ = 0;        // bytes of decode_open(ids_) that are emitted
};

}  // namespace sluice::text
