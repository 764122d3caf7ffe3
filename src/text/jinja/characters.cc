#include "text/jinja/characters.h"

#include <algorithm>
#include <span>

#include "text/jinja/upper_tables.h"
#include "text/unicode.h"

namespace sluice::text::jinja {
namespace {

constexpr char32_t kFinalSigma = 0x3C2;
constexpr char32_t kCapitalSigma = 0x3A3;

bool in_categories(char32_t code, uint32_t mask) { return (category_mask(code) & mask) != 0; }

const char* find_text(const CaseText* table, size_t count, char32_t code) {
  const CaseText* found =
      std::lower_bound(table, table + count, code, [](const CaseText& entry, char32_t c) { return entry.code < c; });
  return found != table + count && found->code == code ? found->text : nullptr;
}

char32_t simple_upper(char32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  // Ranges are sorted by their first character but those of step 2 may interleave, so neighbours are looked at too.
  const UpperRange* end = std::upper_bound(kUpperRanges, kUpperRanges + kUpperRangeCount, code,
                                           [](char32_t c, const UpperRange& range) { return c < range.first; });
  for (const UpperRange* range = end; range != kUpperRanges && end - range < 4;) {
    --range;
    if (code > range->last || (code - range->first) % range->step != 0) continue;
    return static_cast<char32_t>(static_cast<int32_t>(code) + range->shift);
  }
  return code;
}

struct Interval {
  char32_t first, last;
};

bool is_in(char32_t code, std::span<const Interval> intervals) {
  return std::ranges::any_of(intervals, [&](const Interval& each) { return each.first <= code && code <= each.last; });
}

bool is_cased(char32_t code) {
  return is_lower(code) || is_upper(code) || in_categories(code, category_bit(Category::kLt));
}

void append_upper(std::string& out, char32_t code) {
  if (const char* text = code < 0x80 ? nullptr : find_text(kUpperTexts, kUpperTextCount, code)) {
    out += text;
  } else {
    append_character(out, simple_upper(code));
  }
}

void append_title(std::string& out, char32_t code) {
  if (const char* text = code < 0x80 ? nullptr : find_text(kTitleTexts, kTitleTextCount, code)) {
    out += text;
  } else {
    append_upper(out, code);
  }
}

// Walks `text`, calling `each(out, code, byte position)`; bytes that are not UTF-8 are copied.
template <class Each>
std::string map_characters(std::string_view text, Each each) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    if (c.length == 1 && c.code >= 0x80) {
      out.push_back(text[i]);
    } else {
      each(out, c.code, i);
    }
    i += c.length;
  }
  return out;
}

// Characters that are passed over when it is asked whether a letter stands at a word's end.
bool is_case_ignorable(char32_t code) {
  if (code < 0x80) return code == '\'' || code == '.' || code == ':' || code == '^' || code == '`';
  constexpr uint32_t kIgnorable = category_bit(Category::kMn) | category_bit(Category::kMe) |
                                  category_bit(Category::kCf) | category_bit(Category::kLm) |
                                  category_bit(Category::kSk);
  return code == 0xB7 || code == 0x2018 || code == 0x2019 || code == 0x2024 || code == 0x2027 ||
         in_categories(code, kIgnorable);
}

// Σ at the end of a word is ς: preceded by a cased letter and not followed by one.
bool ends_word(std::string_view text, size_t position) {
  bool cased_before = false;
  for (size_t i = position; i > 0;) {
    --i;
    if ((static_cast<uint8_t>(text[i]) & 0xC0) == 0x80) continue;
    const char32_t code = character_at(text, i).code;
    if (is_case_ignorable(code)) continue;
    cased_before = is_cased(code);
    break;
  }
  if (!cased_before) return false;
  for (size_t i = position + 2; i < text.size();) {
    const Character c = character_at(text, i);
    if (!is_case_ignorable(c.code)) return !is_cased(c.code);
    i += c.length;
  }
  return true;
}

void append_lower_at(std::string& out, char32_t code, std::string_view text, size_t position) {
  if (code == kCapitalSigma && ends_word(text, position)) {
    append_character(out, kFinalSigma);
  } else {
    text::append_lower(out, code);
  }
}

}  // namespace

Character character_at(std::string_view text, size_t position) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[position + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
  if (length == 1 || lead > 0xF4 || position + length > text.size()) return {lead, 1};
  char32_t code = lead & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {lead, 1};
    code = (code << 6) | (byte(i) & 0x3F);
  }
  return {code, length};
}

std::string_view first_character(std::string_view text) {
  return text.empty() ? text : text.substr(0, character_at(text, 0).length);
}

void append_character(std::string& out, char32_t code) {
  const auto tail = [&](int shift) { out.push_back(static_cast<char>(0x80 | ((code >> shift) & 0x3F))); };
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) code = 0xFFFD;
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code >> 6)));
    tail(0);
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code >> 12)));
    tail(6);
    tail(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | (code >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

size_t character_count(std::string_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++count) i += character_at(text, i).length;
  return count;
}

size_t byte_offset(std::string_view text, size_t index) {
  size_t i = 0;
  for (; index > 0 && i < text.size(); --index) i += character_at(text, i).length;
  return i;
}

bool is_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

size_t leading_space_length(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const Character c = character_at(text, i);
    if (!is_space(c.code) || (c.length == 1 && c.code >= 0x80)) break;
    i += c.length;
  }
  return i;
}

size_t trailing_space_length(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    const Character c = character_at(text, begin);
    if (c.length != end - begin || !is_space(c.code) || (c.length == 1 && c.code >= 0x80)) break;
    end = begin;
  }
  return text.size() - end;
}

size_t identifier_length(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const Character c = character_at(text, i);
    const bool start =
        c.code == '_' || is_letter(c.code) || (c.code >= 0x80 && in_categories(c.code, category_bit(Category::kNl)));
    const bool inside = is_decimal(c.code) || (c.code >= 0x80 && in_categories(c.code, kMarkMask));
    if (!start && (i == 0 || !inside)) break;
    i += c.length;
  }
  return i;
}

bool is_letter(char32_t code) {
  if (code < 0x80) return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
  return in_categories(code, kLetterMask);
}
bool is_decimal(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  return in_categories(code, category_bit(Category::kNd));
}
bool is_digit(char32_t code) {
  const bool superscript = code == 0xB2 || code == 0xB3 || code == 0xB9 || code == 0x2070 ||
                           (code >= 0x2074 && code <= 0x2079) || (code >= 0x2080 && code <= 0x2089);
  const bool circled = (code >= 0x2460 && code <= 0x2468) || (code >= 0x2776 && code <= 0x277E);
  return superscript || circled || is_decimal(code);
}
bool is_numeric(char32_t code) { return is_decimal(code) || in_categories(code, kNumberMask); }
bool is_lower(char32_t code) {
  // Unicode's Other_Lowercase and Other_Uppercase: ordinals, modifier letters, Roman numerals, letters in circles.
  static constexpr Interval kOther[] = {{0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},     {0x2C0, 0x2C1},
                                        {0x2E0, 0x2E4},     {0x345, 0x345},     {0x37A, 0x37A},     {0x1D2C, 0x1D6A},
                                        {0x1D78, 0x1D78},   {0x1D9B, 0x1DBF},   {0x2071, 0x2071},   {0x207F, 0x207F},
                                        {0x2090, 0x209C},   {0x2170, 0x217F},   {0x24D0, 0x24E9},   {0x2C7C, 0x2C7D},
                                        {0xA69C, 0xA69D},   {0xA770, 0xA770},   {0xA7F8, 0xA7F9},   {0xAB5C, 0xAB5F},
                                        {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}};
  if (code < 0x80) return code >= 'a' && code <= 'z';
  return in_categories(code, category_bit(Category::kLl)) || is_in(code, kOther);
}
bool is_upper(char32_t code) {
  static constexpr Interval kOther[] = {
      {0x2160, 0x216F}, {0x24B6, 0x24CF}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
  if (code < 0x80) return code >= 'A' && code <= 'Z';
  return in_categories(code, category_bit(Category::kLu)) || is_in(code, kOther);
}
bool is_printable(char32_t code) {
  if (code < 0x80) return code >= 0x20 && code != 0x7F;
  return !in_categories(code, kOtherMask | kSeparatorMask);
}

std::string to_upper(std::string_view text) {
  return map_characters(text, [](std::string& out, char32_t code, size_t) { append_upper(out, code); });
}

std::string fold_case(std::string_view text) {
  return map_characters(text, [](std::string& out, char32_t code, size_t) {
    if (const char* folded = code < 0x80 ? nullptr : find_text(kFoldTexts, kFoldTextCount, code)) {
      out += folded;
    } else {
      text::append_lower(out, code);
    }
  });
}

std::string to_lower(std::string_view text) {
  return map_characters(text, [&](std::string& out, char32_t code, size_t i) { append_lower_at(out, code, text, i); });
}

std::string capitalize(std::string_view text) {
  return map_characters(text, [&](std::string& out, char32_t code, size_t i) {
    if (i > 0) return append_lower_at(out, code, text, i);
    append_title(out, code);
  });
}

std::string title_case(std::string_view text) {
  bool inside_word = false;
  return map_characters(text, [&](std::string& out, char32_t code, size_t i) {
    if (inside_word) {
      append_lower_at(out, code, text, i);
    } else {
      append_title(out, code);
    }
    inside_word = is_cased(code);
  });
}

std::string swap_case(std::string_view text) {
  return map_characters(text, [&](std::string& out, char32_t code, size_t i) {
    if (is_upper(code)) {
      append_lower_at(out, code, text, i);
    } else if (is_lower(code)) {
      append_upper(out, code);
    } else {
      append_utf8(out, code);
    }
  });
}

}  // namespace sluice::text::jinja
