#include "text/jinja/text_search.h"

#include <algorithm>

#include "text/jinja/characters.h"

namespace sluice::text::jinja {
namespace {

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

size_t last_character_begin(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return character_at(text, begin).length == text.size() - begin ? begin : text.size() - 1;
}

}  // namespace

std::string_view strip(std::string_view text, Side side) {
  if (side != Side::kRight) text.remove_prefix(leading_space_length(text));
  if (side != Side::kLeft) text.remove_suffix(trailing_space_length(text));
  return text;
}

std::string_view strip(std::string_view text, Side side, std::string_view chars) {
  const auto listed = [&](std::string_view character) {
    for (size_t i = 0; i < chars.size();) {
      const size_t length = character_at(chars, i).length;
      if (chars.substr(i, length) == character) return true;
      i += length;
    }
    return false;
  };
  while (side != Side::kRight && !text.empty() && listed(first_character(text))) {
    text.remove_prefix(first_character(text).size());
  }
  while (side != Side::kLeft && !text.empty()) {
    const size_t begin = last_character_begin(text);
    if (!listed(text.substr(begin))) break;
    text = text.substr(0, begin);
  }
  return text;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends, size_t parts_max) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size() && lines.size() < parts_max;) {
    const Character c = character_at(text, i);
    size_t next = i + c.length;
    const bool ends = is_line_end(c.code) && !(c.length == 1 && c.code >= 0x80);
    if (ends) {
      if (c.code == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.push_back(text.substr(begin, (keep_ends ? next : i) - begin));
      begin = next;
    }
    i = next;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::vector<std::string_view> split_words(std::string_view text, int64_t splits, bool from_right, size_t parts_max) {
  std::vector<std::string_view> words;
  text = strip(text, from_right ? Side::kRight : Side::kLeft);
  while (!text.empty() && words.size() < parts_max) {
    if (splits == 0) {
      words.push_back(strip(text, from_right ? Side::kRight : Side::kLeft));
      break;
    }
    --splits;
    size_t i = from_right ? text.size() : 0;
    if (from_right) {
      while (i > 0) {
        const size_t begin = last_character_begin(text.substr(0, i));
        if (leading_space_length(text.substr(begin, i - begin)) > 0) break;
        i = begin;
      }
      words.push_back(text.substr(i));
      text = strip(text.substr(0, i), Side::kRight);
    } else {
      while (i < text.size() && leading_space_length(text.substr(i, character_at(text, i).length)) == 0) {
        i += character_at(text, i).length;
      }
      words.push_back(text.substr(0, i));
      text = strip(text.substr(i), Side::kLeft);
    }
  }
  if (from_right) std::reverse(words.begin(), words.end());
  return words;
}

Result<std::string> replace(Budget& budget, std::string_view text, std::string_view from, std::string_view to,
                            int64_t count) {
  SLUICE_RETURN_IF_ERROR(budget.scan(text.size()));
  TextBuilder out(budget);
  size_t begin = 0;
  if (from.empty()) {
    // Python puts `to` before every character and at the end.
    while (count != 0 && !out.full()) {
      out.append(to);
      --count;
      if (begin >= text.size()) return out.take();
      const size_t length = character_at(text, begin).length;
      out.append(text.substr(begin, length));
      begin += length;
    }
    out.append(text.substr(begin));
    return out.take();
  }
  for (size_t found = text.find(from); found != std::string_view::npos && count != 0 && !out.full();
       found = text.find(from, begin), --count) {
    out.append(text.substr(begin, found - begin));
    out.append(to);
    begin = found + from.size();
  }
  out.append(text.substr(begin));
  return out.take();
}

}  // namespace sluice::text::jinja
