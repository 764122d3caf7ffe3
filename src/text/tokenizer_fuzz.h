#pragma once
// What every fuzz target of a tokenizer's files does with the tokenizer that came of them.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "text/tokenizer.h"
#include "text/tokenizer_pipeline.h"

namespace sluice::text {

// The input up to the next NUL byte, which is taken off it.
inline std::string_view next_part(std::string_view& input) {
  const std::string_view part = input.substr(0, input.find('\0'));
  input.remove_prefix(std::min(part.size() + 1, input.size()));
  return part;
}

// Any text gives ids of the vocabulary, and ids give text that is UTF-8.
inline void encode_and_decode(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.encode(text);
  for (const TokenId id : ids) {
    SLUICE_CHECK(id >= 0 && id < tokenizer.vocab_size());
    (void)tokenizer.token_bytes(id);
  }
  (void)tokenizer.encode(text, {.add_special = false, .parse_special = false});
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.push(id);
  streamed += stream.flush();
  SLUICE_CHECK(utf8_valid(streamed));
  (void)tokenizer.decode(ids, true);
}

inline void try_tokenizer(Result<std::unique_ptr<Tokenizer>> made, std::string_view text) {
  if (!made.ok()) {
    SLUICE_CHECK(!made.error().message.empty());
    return;
  }
  encode_and_decode(**made, text.empty() ? "The 12 foxes \xE2\x96\x81<s> \xF0\x9F\xA6\x8A\xFF" : text);
}

inline void try_parts(Result<TokenizerParts> parts, std::string_view text) {
  if (!parts.ok()) return try_tokenizer(std::move(parts).error(), text);
  try_tokenizer(PipelineTokenizer::create(std::move(parts).value()), text);
}

}  // namespace sluice::text
