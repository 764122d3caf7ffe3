#pragma once
// Finding markers ("<tool_call>") in a text that is not complete.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::text::answers {

struct MarkerMatch {
  size_t at = 0;    // where the marker stands; without one, where an unfinished one may begin, else the text's size
  int marker = -1;  // which one, or −1
};

// The first marker in `text`, the longest of those that begin there.
MarkerMatch find_marker(std::string_view text, const std::vector<std::string>& markers);

// The same for a marker that begins at the text's begin; `at` is 0 when one does or may, else not.
MarkerMatch marker_at_start(std::string_view text, const std::vector<std::string>& markers);

enum class Prefix { kNo, kWhole, kPart };
// Whether `text` begins with `word`, or ends before that can be said.
Prefix begins_with(std::string_view text, std::string_view word);

// ASCII white space.
bool is_space(char c);
size_t skip_space(std::string_view text, size_t at);

}  // namespace sluice::text::answers
