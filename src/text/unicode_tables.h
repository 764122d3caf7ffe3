#pragma once
// The raw tables behind unicode.h; written by tools/make_unicode_tables.py. Use unicode.h.

#include <cstddef>
#include <cstdint>

namespace sluice::text {

// Two-stage look-up: kPropertyRecords[kPropertyStage2[kPropertyStage1[c >> 7] * 128 + (c & 127)]].
// A record: bits 0-4 general category (unicode.h), 5-7 grapheme class, from bit 8 the flags of unicode.h.
extern const uint32_t kPropertyRecords[];
extern const uint16_t kPropertyStage1[];
extern const uint8_t kPropertyStage2[];

// Maps from a code point to one or more: sorted keys, count + 1 starts into the pool.
extern const uint32_t kCanonicalKeys[], kCanonicalPool[];
extern const uint16_t kCanonicalStarts[];
extern const size_t kCanonicalCount;
extern const uint32_t kCompatibleKeys[], kCompatiblePool[];
extern const uint16_t kCompatibleStarts[];
extern const size_t kCompatibleCount;
extern const uint32_t kLowerKeys[], kLowerPool[];
extern const uint16_t kLowerStarts[];
extern const size_t kLowerCount;
extern const uint32_t kCaseVariantKeys[], kCaseVariantPool[];
extern const uint16_t kCaseVariantStarts[];
extern const size_t kCaseVariantCount;

extern const uint32_t kCombiningKeys[];
extern const uint8_t kCombiningClasses[];
extern const size_t kCombiningCount;
extern const uint32_t kCompose[];  // sorted triples: first, second, composed
extern const size_t kComposeCount;

extern const uint32_t kScriptRanges[];  // pairs first, last
extern const uint16_t kScriptStarts[];  // per script, in ranges
extern const char* const kScriptNames[];
extern const size_t kScriptCount;

}  // namespace sluice::text
