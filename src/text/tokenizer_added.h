#pragma once
// Added tokens: strings that are found in the text before anything else and become one id each ("<|user|>").
// Immutable after build(); any thread.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_trie.h"

namespace sluice::text {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = true;    // is searched in the normalised text, itself normalised
  bool as_spelled = false;   // normalized: the content already has the form it takes in normalised text
  bool special = false;      // is left out by decode(skip_special)
};

class AddedTokens {
 public:
  AddedTokens() = default;
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer* normalizer);
  AddedTokens(const AddedTokens&) = delete;
  AddedTokens& operator=(const AddedTokens&) = delete;
  AddedTokens(AddedTokens&&) = default;
  AddedTokens& operator=(AddedTokens&&) = default;

  // A part of a text: an added token's id, or text between them.
  struct Part {
    size_t begin, end;
    std::optional<TokenId> id;
  };
  // Cuts `text`; longest token first at each place, from left to right. With `special` false, special tokens are text.
  // `normalized` chooses which of the two kinds of tokens is searched.
  void split(std::string_view text, bool normalized, bool special, std::vector<Part>& out) const;
  bool has_normalized() const { return !normalized_.empty(); }
  bool has_plain() const { return !plain_.empty(); }

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  // The text the token stands for when decoding: its content, normalised when it is a normalised token.
  const std::string& decoded_text(size_t index) const { return texts_[index]; }

 private:
  std::vector<AddedToken> tokens_;
  std::vector<std::string> texts_;  // [token]
  ByteTrie plain_, normalized_;     // text → index of token
};

}  // namespace sluice::text
