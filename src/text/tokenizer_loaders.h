#pragma once
// The loaders behind Tokenizer's factory functions, one per kind of file.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/tokenizer_pipeline.h"

namespace sluice::text {

// What tokenizer_config.json, special_tokens_map.json and added_tokens.json say beyond tokenizer.json.
struct TokenizerConfig {
  std::string tokenizer_class;
  std::optional<std::string> bos, eos, unk, pad;  // token texts
  std::optional<bool> add_bos, add_eos;
  bool add_prefix_space = false;
  std::optional<bool> lowercase;
  std::vector<AddedToken> added;  // added_tokens_decoder, else added_tokens.json
};
// An absent file gives an empty config.
Result<TokenizerConfig> read_tokenizer_config(const std::string& directory);

Result<TokenizerParts> parts_from_json(std::string_view tokenizer_json);
Result<TokenizerParts> parts_from_sentencepiece(std::string_view model, const TokenizerConfig& config);
Result<TokenizerParts> parts_from_tiktoken(std::string_view ranks, const TokenizerConfig& config);
Result<TokenizerParts> parts_from_vocab_merges(std::string_view vocab_json, std::string_view merges_txt,
                                               const TokenizerConfig& config);
Result<TokenizerParts> parts_from_word_list(std::string_view vocab_txt, const TokenizerConfig& config);

// {"token": id, …}
Result<std::shared_ptr<Vocabulary>> read_vocab_object(std::string_view json);
// Merges by token text; `prefix` is the continuing_subword_prefix that the right side's text loses in the result.
class MergeReader {
 public:
  MergeReader(const Vocabulary& vocabulary, size_t prefix) : vocabulary_(vocabulary), prefix_(prefix) {}
  Result<void> add(std::string_view left, std::string_view right);
  // "left right"
  Result<void> add_line(std::string_view line);
  std::vector<BpeMerge> take() { return std::move(merges_); }
  void reserve(size_t count) { merges_.reserve(count); }

 private:
  const Vocabulary& vocabulary_;
  size_t prefix_;
  std::string joined_;
  std::vector<BpeMerge> merges_;
};

// What the tokenizer class ChatGLM… puts before a text: [gMASK] and <sop> (sop). kUnimplemented when the tokens are not
// there: then only the class's own code knows them.
Result<void> frame_as_chatglm(TokenizerParts& parts);

// Sets bos, eos from the config's names, and `frame` from add_bos / add_eos where they are given.
void apply_config(const TokenizerConfig& config, TokenizerParts& parts);

}  // namespace sluice::text
