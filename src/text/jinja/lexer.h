#pragma once
// Cuts a template's text into tokens, exactly as Jinja2's lexer does with trim_blocks and lstrip_blocks on and
// keep_trailing_newline off. Tokens are ranges of the normalised source; nothing is copied.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::text::jinja {

enum class TokenType : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kTilde,
  kLeftBracket,
  kRightBracket,
  kLeftParen,
  kRightParen,
  kLeftBrace,
  kRightBrace,
  kEqual,
  kNotEqual,
  kGreater,
  kGreaterEqual,
  kLess,
  kLessEqual,
  kAssign,
  kDot,
  kColon,
  kPipe,
  kComma,
  kSemicolon,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  int line = 1;
  uint32_t begin = 0;  // bytes in the source
  uint32_t end = 0;
};

// What Jinja2 lexes: line breaks become \n, one trailing line break goes, invalid UTF-8 becomes U+FFFD.
std::string normalize_source(std::string_view source);

// `source` is normalised. The last token is kEnd. kCorruptData names the line.
Result<std::vector<Token>> tokenize(std::string_view source);

// What a token is called in messages: "'}}'", "name", "end of template".
std::string_view describe(TokenType type);

}  // namespace sluice::text::jinja
