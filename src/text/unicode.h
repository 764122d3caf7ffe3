#pragma once
// Unicode as tokenizers need it: code points, properties, normal forms, lower case. Tables: unicode_tables.cc
// (generated). All text here is valid UTF-8 (the tokenizer replaces what is not before anything else sees it). Pure
// functions.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "text/unicode_tables.h"

namespace sluice::text {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // "▁", which stands for a space in vocabularies

// General categories, in the order of the tables.
enum class Category : uint8_t {
  kCn,
  kCc,
  kCf,
  kCo,
  kCs,
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp
};
inline constexpr int kCategoryCount = 30;

// One bit per category, for sets of them.
constexpr uint32_t category_bit(Category category) { return uint32_t{1} << static_cast<int>(category); }
inline constexpr uint32_t kLetterMask = 0x1f << 5;
inline constexpr uint32_t kMarkMask = 0x7 << 10;
inline constexpr uint32_t kNumberMask = 0x7 << 13;
inline constexpr uint32_t kPunctuationMask = 0x7f << 16;
inline constexpr uint32_t kSymbolMask = 0xf << 23;
inline constexpr uint32_t kSeparatorMask = 0x7u << 27;
inline constexpr uint32_t kOtherMask = 0x1f;

// Flags of a property record.
enum UnicodeFlag : uint32_t {
  kFlagSpace = 1u << 8,        // White_Space
  kFlagWord = 1u << 9,         // \w of Oniguruma
  kFlagRustWord = 1u << 10,    // \w of Rust's regex crate
  kFlagAlphabetic = 1u << 11,  // Alphabetic
  kFlagNumeric = 1u << 12,     // Rust's char::is_numeric
  kFlagPunct = 1u << 13,       // punctuation as BertPreTokenizer and Punctuation have it
  kFlagMark = 1u << 14,        // what StripAccents removes
  kFlagAccent = 1u << 15,      // what BertNormalizer's strip_accents removes
  kFlagControl = 1u << 16,     // what BertNormalizer's clean_text removes
};

// Grapheme break classes, as far as clusters of fewer than six bytes need them.
enum class GraphemeClass : uint8_t { kOther, kCr, kLf, kControl, kExtend, kPrepend };

inline uint32_t unicode_record(char32_t c) {
  if (c >= 0x110000) return kPropertyRecords[kPropertyStage2[0]];
  return kPropertyRecords[kPropertyStage2[size_t{kPropertyStage1[c >> 7]} * 128 + (c & 127)]];
}
inline uint32_t category_mask(char32_t c) { return uint32_t{1} << (unicode_record(c) & 31); }
inline bool has_flag(char32_t c, uint32_t flag) { return (unicode_record(c) & flag) != 0; }
inline bool is_space(char32_t c) { return has_flag(c, kFlagSpace); }
inline GraphemeClass grapheme_class(char32_t c) { return static_cast<GraphemeClass>(unicode_record(c) >> 5 & 7); }

// The code point at *p, which is moved behind it. The text is valid UTF-8 and *p is not at its end.
inline char32_t next_code_point(const char*& p) {
  const auto* u = reinterpret_cast<const unsigned char*>(p);
  if (u[0] < 0x80) {
    p += 1;
    return u[0];
  }
  if (u[0] < 0xE0) {
    p += 2;
    return (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
  }
  if (u[0] < 0xF0) {
    p += 3;
    return (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
  }
  p += 4;
  return (u[0] & 0x07u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
}
// Bytes of the character that begins with `lead`.
inline size_t utf8_length(char lead) {
  const auto u = static_cast<unsigned char>(lead);
  return u < 0x80 ? 1 : u < 0xE0 ? 2 : u < 0xF0 ? 3 : 4;
}
inline bool is_ascii(char c) { return static_cast<unsigned char>(c) < 128; }
inline bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
// The start of the character that ends before `p`; `p` is not at the text's start.
inline const char* previous_start(const char* p) {
  do --p;
  while (is_continuation(*p));
  return p;
}
void append_utf8(std::string& out, char32_t c);
std::u32string to_code_points(std::string_view text);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string normalize_unicode(std::string_view text, NormalForm form);

// Lower case of each character by itself (no rule looks at its neighbours), as Rust's char::to_lowercase.
void append_lower(std::string& out, char32_t c);
// Characters equal to `c` when case is ignored, without `c`.
std::span<const uint32_t> case_variants(char32_t c);

// Index of a script by name ("Han", any case), or -1.
int find_script(std::string_view name);
bool in_script(char32_t c, int script);

}  // namespace sluice::text
