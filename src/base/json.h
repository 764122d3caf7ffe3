#pragma once
// The one JSON of the program: nlohmann's ordered value (keys keep their order, as templates and clients expect),
// behind functions that do not throw and that limit what outside text may ask of us.
// Headers that only name the type include base/json_fwd.h.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "nlohmann/json.hpp"

namespace sluice {

struct JsonLimits {
  size_t bytes_max = size_t{512} << 20;
  int depth_max = 64;  // nested arrays and objects
  // Inside so many arrays and objects an integer beyond 64 bits (signed) is an error that names it; elsewhere it is
  // read as the nearest floating-point number.
  int exact_integers_depth = std::numeric_limits<int>::max();
};

// Parses one JSON text. kCorruptData with line, column and what was expected; kTooLarge past a limit. An integer that
// is too large has its outermost key as the error's param. Duplicate keys: the last one wins, as in Python and
// JavaScript.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// Compact text; bytes that are not UTF-8 become U+FFFD. indent < 0: one line.
std::string dump_json(const Json& value, int indent = -1);

// Appends `text` to `out` as a quoted, escaped JSON string (for hot paths that write JSON by hand).
void append_json_string(std::string& out, std::string_view text);

// Typed look-ups for config files. Absent or null gives `fallback`; a wrong type is an Error naming `key`.
Result<int64_t> json_int(const Json& object, std::string_view key, int64_t fallback);
Result<double> json_number(const Json& object, std::string_view key, double fallback);
Result<bool> json_bool(const Json& object, std::string_view key, bool fallback);
Result<std::string> json_string(const Json& object, std::string_view key, std::string fallback);
// Member `key` of `object`, or null when `object` is no object or has no such member.
const Json* json_find(const Json& object, std::string_view key);

}  // namespace sluice
