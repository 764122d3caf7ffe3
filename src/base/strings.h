#pragma once
// Small string tools. cat(a, b, …) joins anything an ostream can print.

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

template <class... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return std::move(out).str();
}

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);  // ASCII white space at both ends
std::string to_lower_ascii(std::string_view text);

// "1.5 GiB", "12 KiB", "340 B".
std::string format_bytes(uint64_t bytes);
// "8GiB", "512M", "1.5g", "123" (bytes; K/M/G/T are powers of 1024, "iB"/"B" optional) → bytes, or nothing.
bool parse_bytes(std::string_view text, uint64_t* bytes);

// The candidate with the smallest edit distance to `word`, or "" when none is near (distance > 1/2 of the word).
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

// Length in bytes of the longest prefix of `text` that ends on a character border: bytes after it are the
// beginning of a UTF-8 character whose rest has not come yet. Bytes that can never become valid UTF-8 count as whole.
size_t utf8_complete_prefix(std::string_view text);
// Replaces every invalid UTF-8 sequence by U+FFFD, one per maximal subpart (as Python's errors="replace").
std::string utf8_sanitize(std::string_view text);
bool utf8_valid(std::string_view text);

}  // namespace sluice
