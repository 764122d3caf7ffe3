#include "text/pre_tokenizer_patterns.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"

namespace sluice::text {
namespace {

enum Class : uint8_t { kLetter, kNumber, kSpace, kOther };

Class class_of(char32_t c) {
  const uint32_t record = unicode_record(c);
  const uint32_t category = uint32_t{1} << (record & 31);
  if ((category & kLetterMask) != 0) return kLetter;
  if ((category & kNumberMask) != 0) return kNumber;
  return (record & kFlagSpace) != 0 ? kSpace : kOther;
}

constexpr std::array<uint8_t, 128> kAsciiClass = [] {
  std::array<uint8_t, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    classes[static_cast<size_t>(c)] = letter ? kLetter : c >= '0' && c <= '9' ? kNumber : space ? kSpace : kOther;
  }
  return classes;
}();

// The class of the character at p; *next is set behind it.
inline Class peek(const char* p, const char** next) {
  const auto byte = static_cast<uint8_t>(*p);
  if (byte < 128) {
    *next = p + 1;
    return static_cast<Class>(kAsciiClass[byte]);
  }
  *next = p;
  return class_of(next_code_point(*next));
}

inline const char* run(const char* p, const char* end, Class wanted) {
  const char* next = nullptr;
  while (p < end && peek(p, &next) == wanted) p = next;
  return p;
}

// 's 't 're 've 'm 'll 'd at p, or null. Ignoring case, "ſ" is an s.
const char* contraction(const char* p, const char* end, bool ignore_case) {
  if (*p != '\'' || p + 1 == end) return nullptr;
  const auto lower = [&](const char* q) {
    const char c = q < end ? *q : '\0';
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = lower(p + 1), second = lower(p + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
    return p + 3;
  if (ignore_case && end - p >= 3 && p[1] == '\xC5' && p[2] == '\xBF') return p + 3;
  return nullptr;
}

// \s+(?!\S)|\s+ : white space but its last character, unless the text ends or there is only one.
inline const char* spaces(const char* p, const char* end) {
  const char* const stop = run(p, end, kSpace);
  if (stop == end) return stop;
  const char* const last = previous_start(stop);
  return last > p ? last : stop;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
inline const char* lines_or_spaces(const char* p, const char* end) {
  const char* newline = nullptr;
  const char* next = nullptr;
  const char* q = p;
  for (; q < end && peek(q, &next) == kSpace; q = next) {
    if (*q == '\n' || *q == '\r') newline = next;
  }
  if (newline != nullptr) return newline;
  if (q == end) return q;
  const char* const last = previous_start(q);
  return last > p ? last : q;
}

inline const char* newlines(const char* p, const char* end, bool slash) {
  while (p < end && (*p == '\n' || *p == '\r' || (slash && *p == '/'))) ++p;
  return p;
}

const char* match_gpt2(const char* p, const char* end) {
  const char* next = nullptr;
  Class first = peek(p, &next);
  if (*p == '\'') {
    if (const char* stop = contraction(p, end, false)) return stop;
  }
  if (*p == ' ' && next < end) {
    const char* after = nullptr;
    const Class second = peek(next, &after);
    if (second != kSpace) return run(after, end, second);
  }
  if (first == kSpace) return spaces(p, end);
  return run(next, end, first);
}

template <int kDigits>
const char* match_llama3(const char* p, const char* end) {
  const char* next = nullptr;
  const Class first = peek(p, &next);
  if (*p == '\'') {
    if (const char* stop = contraction(p, end, true)) return stop;
  }
  if (first == kLetter) return run(next, end, kLetter);
  if (first == kNumber) {
    for (int i = 1; i < kDigits && next < end; ++i) {
      const char* after = nullptr;
      if (peek(next, &after) != kNumber) break;
      next = after;
    }
    return next;
  }
  const char* after = nullptr;
  const Class second = next < end ? peek(next, &after) : kSpace;
  if (second == kLetter && *p != '\n' && *p != '\r') return run(after, end, kLetter);
  if (first == kOther) return newlines(run(next, end, kOther), end, false);
  if (*p == ' ' && second == kOther) return newlines(run(after, end, kOther), end, false);
  return lines_or_spaces(p, end);
}

constexpr uint32_t kUpperSide = category_bit(Category::kLu) | category_bit(Category::kLt) |
                                category_bit(Category::kLm) | category_bit(Category::kLo) | kMarkMask;
constexpr uint32_t kLowerSide =
    category_bit(Category::kLl) | category_bit(Category::kLm) | category_bit(Category::kLo) | kMarkMask;

inline uint32_t category_at(const char* p, const char** next) {
  *next = p;
  return category_mask(next_code_point(*next));
}

// [upper]*[lower]+ from p, or null.
const char* lower_word(const char* p, const char* end) {
  const char* next = nullptr;
  const char* q = p;
  const char* last_both = nullptr;  // behind the last character of the upper run that is also of the lower side
  for (; q < end; q = next) {
    const uint32_t category = category_at(q, &next);
    if ((category & kUpperSide) == 0) break;
    if ((category & kLowerSide) != 0) last_both = next;
  }
  const char* const upper_end = q;
  while (q < end && (category_at(q, &next) & kLowerSide) != 0) q = next;
  return q > upper_end ? q : last_both;
}

// [upper]+[lower]* from p where lower_word() is null, so that no character of the lower side follows; or null.
const char* upper_word(const char* p, const char* end) {
  const char* next = nullptr;
  const char* q = p;
  while (q < end && (category_at(q, &next) & kUpperSide) != 0) q = next;
  return q > p ? q : nullptr;
}

const char* match_o200k(const char* p, const char* end) {
  const char* next = nullptr;
  const Class first = peek(p, &next);
  const bool may_lead = first != kLetter && first != kNumber && *p != '\n' && *p != '\r';
  const bool may_begin = first != kNumber && first != kSpace;
  const char* word = may_lead ? lower_word(next, end) : nullptr;
  if (word == nullptr && may_begin) word = lower_word(p, end);
  if (word == nullptr && may_lead) word = upper_word(next, end);
  if (word == nullptr && may_begin) word = upper_word(p, end);
  if (word != nullptr) {
    if (word < end) {
      if (const char* stop = contraction(word, end, true)) return stop;
    }
    return word;
  }
  if (first == kNumber) return match_llama3<3>(p, end);
  const char* after = nullptr;
  if (first == kOther) return newlines(run(next, end, kOther), end, true);
  if (*p == ' ' && next < end && peek(next, &after) == kOther) return newlines(run(after, end, kOther), end, true);
  return lines_or_spaces(p, end);
}

}  // namespace

PatternFunction known_pattern(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return match_gpt2;
  if (pattern == kLlama3Pattern) return match_llama3<3>;
  if (pattern == kQwen2Pattern) return match_llama3<1>;
  if (pattern == kO200kPattern) return match_o200k;
  return nullptr;
}

}  // namespace sluice::text
