#include "base/strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace sluice {
namespace {

// Reads one UTF-8 sequence at text[i]. Returns its length when valid; otherwise 0 and *bad = length of the maximal
// invalid subpart; *truncated says that the subpart is a correct beginning cut off by the end of the text.
// Source: Unicode 15, table 3-7 "Well-Formed UTF-8 Byte Sequences".
size_t utf8_sequence(std::string_view text, size_t i, size_t* bad, bool* truncated) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  *truncated = false;
  const unsigned char lead = byte(i);
  if (lead < 0x80) return 1;
  size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    *bad = 1;
    return 0;
  }
  for (size_t k = 1; k < length; ++k) {
    if (i + k >= text.size()) {
      *bad = k;
      *truncated = true;
      return 0;
    }
    if (byte(i + k) < low || byte(i + k) > high) {
      *bad = k;
      return 0;
    }
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

}  // namespace

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (true) {
    const size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string to_lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, unit == 0 || value >= 100 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
  return buffer;
}

bool parse_bytes(std::string_view text, uint64_t* bytes) {
  text = trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value >= 0)) return false;
  std::string unit = to_lower_ascii(trim(text.substr(end - text.data())));
  if (unit.size() > 1 && unit.back() == 'b') unit.pop_back();
  if (unit.size() > 1 && unit.back() == 'i') unit.pop_back();
  static constexpr std::string_view kUnits[] = {"k", "m", "g", "t"};
  if (!unit.empty() && unit != "b") {
    const auto* found = std::find(std::begin(kUnits), std::end(kUnits), unit);
    if (found == std::end(kUnits)) return false;
    value *= std::pow(1024.0, found - std::begin(kUnits) + 1);
  }
  if (value >= 1.8e19) return false;
  *bytes = static_cast<uint64_t>(value);
  return true;
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  const auto distance = [](std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= b.size(); ++j) {
        const size_t up = row[j];
        row[j] = std::min({up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
        diagonal = up;
      }
    }
    return row[b.size()];
  };
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const size_t d = distance(word, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

size_t utf8_complete_prefix(std::string_view text) {
  // Only the last three bytes can belong to an unfinished character.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t i = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) break;
    if (byte >= 0xC0) {
      size_t bad = 0;
      bool truncated = false;
      const size_t length = utf8_sequence(text, i, &bad, &truncated);
      return length == 0 && truncated && i + bad == text.size() ? i : text.size();
    }
  }
  return text.size();
}

std::string utf8_sanitize(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t bad = 0;
    bool truncated = false;
    const size_t length = utf8_sequence(text, i, &bad, &truncated);
    if (length > 0) {
      out.append(text, i, length);
      i += length;
    } else {
      out += "\xEF\xBF\xBD";
      i += bad;
    }
  }
  return out;
}

bool utf8_valid(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    uint64_t eight = 0x80;
    if (text.size() - i >= sizeof eight) std::memcpy(&eight, text.data() + i, sizeof eight);
    if ((eight & 0x8080808080808080u) == 0) {
      i += sizeof eight;
      continue;
    }
    size_t bad = 0;
    bool truncated = false;
    const size_t length = utf8_sequence(text, i, &bad, &truncated);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

}  // namespace sluice
