#pragma once
// Appends values as JSON text, without a tree: for answers and streamed chunks. Strings: append_json_string
// (base/json.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/generate.h"

namespace sluice::openai {

void append_integer(std::string& out, int64_t value);
// The shortest text that reads back as the same float, always with a point or an exponent. Not a number: null;
// infinities: ±9999.0, OpenAI's value for "very unlikely".
void append_float(std::string& out, float value);
void append_ids(std::string& out, const std::vector<api::TokenId>& ids);  // [1,2]
void append_bytes(std::string& out, std::string_view bytes);              // [240,159]
// {"prompt_tokens":…,"completion_tokens":…,"total_tokens":…,"prompt_tokens_details":{"cached_tokens":…}}
void append_usage(std::string& out, const api::Usage& usage);
std::string base64(std::string_view bytes);

// A token's text for a person: itself when it is whole UTF-8, else its bytes as \xf0\x9f (OpenAI's way).
std::string token_text(std::string_view bytes);
int64_t count_characters(std::string_view bytes);  // Unicode code points, each counted at its first byte

}  // namespace sluice::openai
