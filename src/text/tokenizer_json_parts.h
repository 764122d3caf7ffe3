#pragma once
// Small readers shared by the parts of a tokenizer.json.

#include <string>

#include "base/json_fwd.h"
#include "base/result.h"
#include "text/tokenizer_regex.h"

namespace sluice::text {

// The "pattern" member of a Replace or Split: {"String": …} or {"Regex": …}. `source` receives a regex's own text.
Result<Regex> pattern_of(const Json& json, std::string* source = nullptr);
// A member that holds exactly one character, as a code point; `fallback` when absent.
Result<char32_t> json_character(const Json& json, std::string_view key, char32_t fallback);
// Standard base64 with its padding.
Result<std::string> decode_base64(std::string_view text);

}  // namespace sluice::text
