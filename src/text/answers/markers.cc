#include "text/answers/markers.h"

#include <algorithm>

namespace sluice::text::answers {

Prefix begins_with(std::string_view text, std::string_view word) {
  const size_t shared = std::min(text.size(), word.size());
  if (text.substr(0, shared) != word.substr(0, shared)) return Prefix::kNo;
  return shared == word.size() ? Prefix::kWhole : Prefix::kPart;
}

MarkerMatch marker_at_start(std::string_view text, const std::vector<std::string>& markers) {
  MarkerMatch match;
  size_t longest = 0;
  bool part = false;
  for (size_t i = 0; i < markers.size(); ++i) {
    const Prefix prefix = begins_with(text, markers[i]);
    part |= prefix == Prefix::kPart;
    if (prefix == Prefix::kWhole && markers[i].size() > longest) {
      longest = markers[i].size();
      match.marker = static_cast<int>(i);
    }
  }
  if (match.marker < 0 && !part) match.at = 1;
  return match;
}

MarkerMatch find_marker(std::string_view text, const std::vector<std::string>& markers) {
  std::string firsts;
  for (const std::string& marker : markers) firsts += marker.front();
  for (size_t at = text.find_first_of(firsts); at < text.size(); at = text.find_first_of(firsts, at + 1)) {
    const MarkerMatch match = marker_at_start(text.substr(at), markers);
    if (match.at == 0) return {.at = at, .marker = match.marker};
  }
  return {.at = text.size(), .marker = -1};
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\v'; }

size_t skip_space(std::string_view text, size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

}  // namespace sluice::text::answers
