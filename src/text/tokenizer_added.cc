#include "text/tokenizer_added.h"

#include <algorithm>

#include "text/unicode.h"

namespace sluice::text {
namespace {

bool word_before(std::string_view text, size_t at) {
  if (at == 0) return false;
  const char* p = previous_start(text.data() + at);
  return has_flag(next_code_point(p), kFlagRustWord);
}
bool word_after(std::string_view text, size_t at) {
  if (at == text.size()) return false;
  const char* p = text.data() + at;
  return has_flag(next_code_point(p), kFlagRustWord);
}
size_t spaces_before(std::string_view text, size_t at, size_t from) {
  while (at > from) {
    const char* start = previous_start(text.data() + at);
    const char* p = start;
    if (!is_space(next_code_point(p))) break;
    at = static_cast<size_t>(start - text.data());
  }
  return at;
}
size_t spaces_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const char* p = text.data() + at;
    if (!is_space(next_code_point(p))) break;
    at = static_cast<size_t>(p - text.data());
  }
  return at;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer* normalizer) : tokens_(std::move(tokens)) {
  texts_.reserve(tokens_.size());
  std::vector<std::pair<std::string_view, int32_t>> plain, normalized;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    texts_.push_back(tokens_[i].content);
    if (tokens_[i].normalized && !tokens_[i].as_spelled && normalizer != nullptr) normalizer->normalize(texts_[i]);
  }
  for (size_t i = 0; i < tokens_.size(); ++i) {
    (tokens_[i].normalized ? normalized : plain).emplace_back(texts_[i], static_cast<int32_t>(i));
  }
  plain_ = ByteTrie(std::move(plain));
  normalized_ = ByteTrie(std::move(normalized));
}

// As added_vocabulary.rs, find_matches: matches are found first, from left to right without overlap; those that do not
// qualify are dropped afterwards (their bytes are not searched again).
void AddedTokens::split(std::string_view text, bool normalized, bool special, std::vector<Part>& out) const {
  const ByteTrie& trie = normalized ? normalized_ : plain_;
  size_t done = 0;
  size_t strip_begin = 1, strip_end = 0;  // the white space last found behind a token
  for (size_t at = 0; at < text.size() && !trie.empty();) {
    if (!trie.begins(text[at])) {
      ++at;
      continue;
    }
    int32_t index = 0;
    const size_t length = trie.longest(text.substr(at), &index);
    if (length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(index)];
    size_t begin = at, end = at + length;
    at = end;
    if (token.special && !special) continue;
    if (token.single_word && (word_before(text, begin) || word_after(text, end))) continue;
    if (token.lstrip) begin = std::max(spaces_before(text, begin, std::min(done, begin)), done);
    if (token.rstrip) {
      if (end < strip_begin || end > strip_end) {
        strip_begin = end;
        strip_end = spaces_after(text, end);
      }
      end = strip_end;
    }
    if (done < begin) out.push_back({done, begin, std::nullopt});
    // White space that the token before it has taken may be all of this one.
    if (begin < end) out.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) out.push_back({done, text.size(), std::nullopt});
}

}  // namespace sluice::text
