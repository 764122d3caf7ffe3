#pragma once
// Upper, title and folded case; the tables are written by tools/goldens/templates_upper_tables.py. All are sorted by
// character.

#include <cstddef>
#include <cstdint>

namespace sluice::text::jinja {

// Characters first, first + step, …, last become themselves + shift.
struct UpperRange {
  char32_t first, last;
  int32_t shift;
  uint32_t step;
};
extern const UpperRange kUpperRanges[];
extern const size_t kUpperRangeCount;

// Characters that become several ("ß" → "SS"), those whose title case is not their upper case, and those whose folded
// case is not their lower case.
struct CaseText {
  char32_t code;
  const char* text;
};
extern const CaseText kUpperTexts[];
extern const size_t kUpperTextCount;
extern const CaseText kTitleTexts[];
extern const size_t kTitleTextCount;
extern const CaseText kFoldTexts[];
extern const size_t kFoldTextCount;

}  // namespace sluice::text::jinja
