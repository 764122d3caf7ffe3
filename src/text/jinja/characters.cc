#include "text/jinja/characters.h"

#include <algorithm>
#include <array>
#include <optional>

namespace sluice::text::jinja {
namespace {

struct Range {
  char32_t first, last;
};
bool in_ranges(char32_t code, const auto& ranges) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code,
                                      [](char32_t c, const Range& range) { return c < range.first; });
  return after != ranges.begin() && code <= std::prev(after)->last;
}

// Characters from 0x80 up that are no letters, no numbers and no letter-like marks: punctuation, symbols, controls,
// combining marks, emoji, private use. Everything else there counts as a letter.
constexpr std::array kNoLetters = {
    Range{0x80, 0xA9},       Range{0xAB, 0xB4},       Range{0xB6, 0xB9},       Range{0xBB, 0xBF},
    Range{0xD7, 0xD7},       Range{0xF7, 0xF7},       Range{0x2C2, 0x2C5},     Range{0x2D2, 0x2DF},
    Range{0x2E5, 0x2EB},     Range{0x2ED, 0x2ED},     Range{0x2EF, 0x36F},     Range{0x375, 0x375},
    Range{0x37E, 0x37E},     Range{0x384, 0x385},     Range{0x387, 0x387},     Range{0x482, 0x489},
    Range{0x55A, 0x55F},     Range{0x589, 0x5CF},     Range{0x5F3, 0x61F},     Range{0x64B, 0x66D},
    Range{0x6D4, 0x6D4},     Range{0x6D6, 0x6E4},     Range{0x6E7, 0x6ED},     Range{0x6F0, 0x6F9},
    Range{0x900, 0x903},     Range{0x93A, 0x93C},     Range{0x93E, 0x94F},     Range{0x951, 0x957},
    Range{0x962, 0x970},     Range{0xE31, 0xE31},     Range{0xE34, 0xE3F},     Range{0xE47, 0xE5B},
    Range{0x1FBD, 0x1FBD},   Range{0x2000, 0x2070},   Range{0x2072, 0x207E},   Range{0x2080, 0x208F},
    Range{0x20A0, 0x2101},   Range{0x2103, 0x2106},   Range{0x2108, 0x2109},   Range{0x2114, 0x2114},
    Range{0x2116, 0x2118},   Range{0x211E, 0x2123},   Range{0x2150, 0x2182},   Range{0x2185, 0x2BFF},
    Range{0x2CE5, 0x2CEA},   Range{0x2E00, 0x2E2E},   Range{0x2E30, 0x3004},   Range{0x3007, 0x3030},
    Range{0x3036, 0x303A},   Range{0x303D, 0x3040},   Range{0x3097, 0x309C},   Range{0x30A0, 0x30A0},
    Range{0x30FB, 0x30FB},   Range{0x3190, 0x319F},   Range{0x31C0, 0x31EF},   Range{0x3200, 0x33FF},
    Range{0x4DC0, 0x4DFF},   Range{0xA490, 0xA4CF},   Range{0xD800, 0xF8FF},   Range{0xFB29, 0xFB29},
    Range{0xFD3E, 0xFD3F},   Range{0xFE00, 0xFE6F},   Range{0xFEFF, 0xFF20},   Range{0xFF3B, 0xFF40},
    Range{0xFF5B, 0xFF65},   Range{0xFFE0, 0xFFFF},   Range{0x1D000, 0x1D3FF}, Range{0x1F000, 0x1FBFF},
    Range{0xE0000, 0x10FFFF},
};

constexpr std::array kDecimals = {
    Range{'0', '9'},         Range{0x660, 0x669},     Range{0x6F0, 0x6F9},     Range{0x966, 0x96F},
    Range{0x9E6, 0x9EF},     Range{0xE50, 0xE59},     Range{0xFF10, 0xFF19},   Range{0x1D7CE, 0x1D7FF},
};

// Lower-case letters and what is added to reach the upper-case one; step 2: upper and lower alternate.
struct CaseRange {
  char32_t first, last;  // lower-case letters
  int32_t to_upper;
  uint8_t step;
};
constexpr std::array kCaseRanges = {
    CaseRange{'a', 'z', -32, 1},         CaseRange{0xE0, 0xF6, -32, 1},       CaseRange{0xF8, 0xFE, -32, 1},
    CaseRange{0xFF, 0xFF, 121, 1},       CaseRange{0x101, 0x12F, -1, 2},      CaseRange{0x133, 0x137, -1, 2},
    CaseRange{0x13A, 0x148, -1, 2},      CaseRange{0x14B, 0x177, -1, 2},      CaseRange{0x17A, 0x17E, -1, 2},
    CaseRange{0x183, 0x185, -1, 2},      CaseRange{0x1A1, 0x1A5, -1, 2},      CaseRange{0x1CE, 0x1DC, -1, 2},
    CaseRange{0x1DF, 0x1EF, -1, 2},      CaseRange{0x1F9, 0x21F, -1, 2},      CaseRange{0x223, 0x233, -1, 2},
    CaseRange{0x247, 0x24F, -1, 2},      CaseRange{0x3AC, 0x3AC, -38, 1},     CaseRange{0x3AD, 0x3AF, -37, 1},
    CaseRange{0x3B1, 0x3C1, -32, 1},     CaseRange{0x3C3, 0x3CB, -32, 1},     CaseRange{0x3CC, 0x3CC, -64, 1},
    CaseRange{0x3CD, 0x3CE, -63, 1},     CaseRange{0x3D9, 0x3EF, -1, 2},      CaseRange{0x430, 0x44F, -32, 1},
    CaseRange{0x450, 0x45F, -80, 1},     CaseRange{0x461, 0x481, -1, 2},      CaseRange{0x48B, 0x4BF, -1, 2},
    CaseRange{0x4C2, 0x4CE, -1, 2},      CaseRange{0x4CF, 0x4CF, -15, 1},     CaseRange{0x4D1, 0x52F, -1, 2},
    CaseRange{0x561, 0x586, -48, 1},     CaseRange{0x1E01, 0x1E95, -1, 2},    CaseRange{0x1EA1, 0x1EFF, -1, 2},
    CaseRange{0x1F00, 0x1F07, 8, 1},     CaseRange{0x1F10, 0x1F15, 8, 1},     CaseRange{0x1F20, 0x1F27, 8, 1},
    CaseRange{0x1F30, 0x1F37, 8, 1},     CaseRange{0x1F40, 0x1F45, 8, 1},     CaseRange{0x1F60, 0x1F67, 8, 1},
    CaseRange{0x1F70, 0x1F71, 74, 1},    CaseRange{0x1F72, 0x1F75, 86, 1},    CaseRange{0x1F76, 0x1F77, 100, 1},
    CaseRange{0x1F78, 0x1F79, 128, 1},   CaseRange{0x1F7A, 0x1F7B, 112, 1},   CaseRange{0x1F7C, 0x1F7D, 126, 1},
    CaseRange{0x2170, 0x217F, -16, 1},   CaseRange{0x24D0, 0x24E9, -26, 1},   CaseRange{0x2C30, 0x2C5F, -48, 1},
    CaseRange{0x2C81, 0x2CE3, -1, 2},    CaseRange{0xA641, 0xA66D, -1, 2},    CaseRange{0xA681, 0xA69B, -1, 2},
    CaseRange{0xA723, 0xA72F, -1, 2},    CaseRange{0xA733, 0xA76F, -1, 2},    CaseRange{0xFF41, 0xFF5A, -32, 1},
    CaseRange{0x10428, 0x1044F, -40, 1},
};

constexpr char32_t kFinalSigma = 0x3C2;
constexpr char32_t kCapitalSigma = 0x3A3;

char32_t simple_upper(char32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  if (code == 0xB5) return 0x39C;
  if (code == 0x131) return 'I';
  if (code == 0x17F) return 'S';
  if (code == kFinalSigma) return kCapitalSigma;
  for (const CaseRange& range : kCaseRanges) {
    if (code < range.first || code > range.last || (code - range.first) % range.step != 0) continue;
    return static_cast<char32_t>(static_cast<int32_t>(code) + range.to_upper);
  }
  return code;
}

char32_t simple_lower(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  if (code == 0x1E9E) return 0xDF;
  if (code == 0x2126) return 0x3C9;
  if (code == 0x212A) return 'k';
  if (code == 0x212B) return 0xE5;
  for (const CaseRange& range : kCaseRanges) {
    const int64_t lower = static_cast<int64_t>(code) - range.to_upper;
    if (lower < range.first || lower > range.last || (lower - range.first) % range.step != 0) continue;
    return static_cast<char32_t>(lower);
  }
  return code;
}

bool is_cased(char32_t code) { return is_lower(code) || is_upper(code); }

void append_upper(std::string& out, char32_t code) {
  if (code == 0xDF) {
    out += "SS";
  } else if (code == 0x149) {
    append_character(out, 0x2BC);
    out.push_back('N');
  } else if (code >= 0xFB00 && code <= 0xFB04) {
    constexpr std::array<std::string_view, 5> kLigatures = {"FF", "FI", "FL", "FFI", "FFL"};
    out += kLigatures[code - 0xFB00];
  } else {
    append_character(out, simple_upper(code));
  }
}

void append_lower(std::string& out, char32_t code) {
  if (code == 0x130) {
    out.push_back('i');
    append_character(out, 0x307);
  } else {
    append_character(out, simple_lower(code));
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

// Σ at the end of a word is ς: preceded by a cased letter and not followed by one.
bool ends_word(std::string_view text, size_t position) {
  bool cased_before = false;
  for (size_t i = position; i > 0;) {
    --i;
    if ((static_cast<uint8_t>(text[i]) & 0xC0) == 0x80) continue;
    cased_before = is_cased(character_at(text, i).code);
    break;
  }
  const size_t next = position + 2;
  return cased_before && (next >= text.size() || !is_cased(character_at(text, next).code));
}

void append_lower_at(std::string& out, char32_t code, std::string_view text, size_t position) {
  if (code == kCapitalSigma && ends_word(text, position)) {
    append_character(out, kFinalSigma);
  } else {
    append_lower(out, code);
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
    const bool start = c.code == '_' || is_letter(c.code);
    if (!start && (i == 0 || !is_decimal(c.code))) break;
    i += c.length;
  }
  return i;
}

bool is_letter(char32_t code) {
  if (code < 0x80) return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
  return !in_ranges(code, kNoLetters) && !is_decimal(code);
}
bool is_decimal(char32_t code) { return in_ranges(code, kDecimals); }
bool is_lower(char32_t code) {
  return simple_upper(code) != code || code == 0xDF || code == 0xAA || code == 0xBA || code == 0x138 || code == 0x149;
}
bool is_upper(char32_t code) { return simple_lower(code) != code || code == 0x130; }
bool is_printable(char32_t code) {
  if (code < 0x7F) return code >= 0x20;
  if (code < 0xA1 || code == 0xAD || is_space(code)) return false;
  if (code >= 0xD800 && code <= 0xF8FF) return false;
  return !(code >= 0x200B && code <= 0x200F) && !(code >= 0x202A && code <= 0x202E) &&
         !(code >= 0x2060 && code <= 0x206F) && code != 0xFEFF && !(code >= 0xFFF0 && code <= 0xFFFB) &&
         !(code >= 0xE0000 && code <= 0x10FFFF);
}

std::string to_upper(std::string_view text) {
  return map_characters(text, [](std::string& out, char32_t code, size_t) { append_upper(out, code); });
}

std::string to_lower(std::string_view text) {
  return map_characters(
      text, [&](std::string& out, char32_t code, size_t i) { append_lower_at(out, code, text, i); });
}

std::string capitalize(std::string_view text) {
  return map_characters(text, [&](std::string& out, char32_t code, size_t i) {
    if (i > 0) return append_lower_at(out, code, text, i);
    if (code == 0xDF) {
      out += "Ss";
    } else {
      append_character(out, simple_upper(code));
    }
  });
}

std::string title_case(std::string_view text) {
  bool inside_word = false;
  return map_characters(text, [&](std::string& out, char32_t code, size_t i) {
    if (inside_word) {
      append_lower_at(out, code, text, i);
    } else {
      append_character(out, simple_upper(code));
    }
    inside_word = is_cased(code);
  });
}

std::string swap_case(std::string_view text) {
  return map_characters(text, [&](std::string& out, char32_t code, size_t i) {
    if (is_upper(code)) {
      append_lower_at(out, code, text, i);
    } else {
      append_upper(out, code);
    }
  });
}

}  // namespace sluice::text::jinja
