#include "text/unicode.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace sluice::text {
namespace {

constexpr char32_t kHangulS = 0xAC00, kHangulL = 0x1100, kHangulV = 0x1161, kHangulT = 0x11A7;
constexpr int kHangulLCount = 19, kHangulVCount = 21, kHangulTCount = 28;
constexpr int kHangulSCount = kHangulLCount * kHangulVCount * kHangulTCount;

struct Mapping {
  const uint32_t* keys;
  const uint16_t* starts;
  const uint32_t* pool;
  size_t count;

  std::span<const uint32_t> find(char32_t c) const {
    const uint32_t* at = std::lower_bound(keys, keys + count, static_cast<uint32_t>(c));
    if (at == keys + count || *at != c) return {};
    const size_t i = static_cast<size_t>(at - keys);
    return {pool + starts[i], size_t{starts[i + 1]} - starts[i]};
  }
};

Mapping canonical() { return {kCanonicalKeys, kCanonicalStarts, kCanonicalPool, kCanonicalCount}; }
Mapping compatible() { return {kCompatibleKeys, kCompatibleStarts, kCompatiblePool, kCompatibleCount}; }

uint8_t combining_class(char32_t c) {
  if (c < 0x300) return 0;
  const uint32_t* at = std::lower_bound(kCombiningKeys, kCombiningKeys + kCombiningCount, static_cast<uint32_t>(c));
  return at != kCombiningKeys + kCombiningCount && *at == c ? kCombiningClasses[at - kCombiningKeys] : 0;
}

void decompose(char32_t c, bool compatibility, std::u32string& out) {
  if (c < 0x80) {
    out.push_back(c);
    return;
  }
  if (c >= kHangulS && c < kHangulS + kHangulSCount) {
    const char32_t s = c - kHangulS;
    out.push_back(kHangulL + s / (kHangulVCount * kHangulTCount));
    out.push_back(kHangulV + s % (kHangulVCount * kHangulTCount) / kHangulTCount);
    if (s % kHangulTCount != 0) out.push_back(kHangulT + s % kHangulTCount);
    return;
  }
  std::span<const uint32_t> parts;
  if (compatibility) parts = compatible().find(c);
  if (parts.empty()) parts = canonical().find(c);
  if (parts.empty()) {
    out.push_back(c);
    return;
  }
  for (uint32_t part : parts) out.push_back(part);
}

// Canonical ordering: runs of non-starters sorted stably by combining class.
void order_marks(std::u32string& text) {
  std::vector<std::pair<uint64_t, char32_t>> run;  // class and place, character
  for (size_t i = 0; i < text.size(); ++i) {
    if (combining_class(text[i]) == 0) continue;
    run.clear();
    size_t end = i;
    for (; end < text.size() && combining_class(text[end]) != 0; ++end) {
      run.emplace_back(uint64_t{combining_class(text[end])} << 56 | end, text[end]);
    }
    std::sort(run.begin(), run.end());
    for (const auto& [key, c] : run) text[i++] = c;
  }
}

char32_t compose_pair(char32_t a, char32_t b) {
  if (a >= kHangulL && a < kHangulL + kHangulLCount && b >= kHangulV && b < kHangulV + kHangulVCount) {
    return kHangulS + ((a - kHangulL) * kHangulVCount + (b - kHangulV)) * kHangulTCount;
  }
  if (a >= kHangulS && a < kHangulS + kHangulSCount && (a - kHangulS) % kHangulTCount == 0 && b > kHangulT &&
      b < kHangulT + kHangulTCount) {
    return a + (b - kHangulT);
  }
  size_t low = 0, high = kComposeCount;
  while (low < high) {
    const size_t mid = (low + high) / 2;
    const uint32_t* entry = kCompose + mid * 3;
    if (entry[0] < a || (entry[0] == a && entry[1] < b)) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  const uint32_t* entry = kCompose + low * 3;
  return low < kComposeCount && entry[0] == a && entry[1] == b ? entry[2] : 0;
}

void compose(std::u32string& text) {
  size_t out = 0;
  ptrdiff_t starter = -1;
  int last_class = -1;  // of the character before, among those after the starter; -1: none between
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    const int ccc = combining_class(c);
    if (starter >= 0 && (last_class < ccc || last_class == -1)) {
      if (const char32_t made = compose_pair(text[static_cast<size_t>(starter)], c)) {
        text[static_cast<size_t>(starter)] = made;
        continue;
      }
    }
    if (ccc == 0) {
      starter = static_cast<ptrdiff_t>(out);
      last_class = -1;
    } else {
      last_class = ccc;
    }
    text[out++] = c;
  }
  text.resize(out);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Characters that NFC leaves alone whatever stands beside them: a text of nothing else is in NFC.
class ComposedAlready {
 public:
  ComposedAlready() : bits_(0x110000 / 64, ~uint64_t{0}) {
    const auto clear = [&](char32_t c) { bits_[c >> 6] &= ~(uint64_t{1} << (c & 63)); };
    for (size_t i = 0; i < kCombiningCount; ++i) clear(kCombiningKeys[i]);
    for (size_t i = 0; i < kComposeCount; ++i) clear(kCompose[i * 3 + 1]);
    for (char32_t c = kHangulV; c < kHangulV + kHangulVCount; ++c) clear(c);
    for (char32_t c = kHangulT; c < kHangulT + kHangulTCount; ++c) clear(c);
    for (size_t i = 0; i < kCanonicalCount; ++i) {
      std::u32string parts;
      decompose(kCanonicalKeys[i], false, parts);
      compose(parts);
      if (parts.size() != 1 || parts[0] != kCanonicalKeys[i]) clear(kCanonicalKeys[i]);
    }
  }
  bool holds(char32_t c) const { return c < 0x110000 && (bits_[c >> 6] >> (c & 63) & 1) != 0; }

 private:
  std::vector<uint64_t> bits_;
};

bool is_composed(std::string_view text) {
  static const ComposedAlready kComposed;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    if (static_cast<unsigned char>(*p) < 0x80) {
      ++p;
    } else if (!kComposed.holds(next_code_point(p))) {
      return false;
    }
  }
  return true;
}

std::string loose(std::string_view name) {
  std::string out;
  for (char c : to_lower_ascii(name)) {
    if (c != ' ' && c != '_' && c != '-') out += c;
  }
  return out;
}

}  // namespace

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

std::u32string to_code_points(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char *p = text.data(), *end = p + text.size(); p < end;) out.push_back(next_code_point(p));
  return out;
}

std::string normalize_unicode(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  if (form == NormalForm::kNfc && is_composed(text)) return std::string(text);
  const bool compatibility = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  std::u32string points;
  points.reserve(text.size());
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    decompose(next_code_point(p), compatibility, points);
  }
  order_marks(points);
  if (form == NormalForm::kNfc || form == NormalForm::kNfkc) compose(points);
  std::string out;
  out.reserve(text.size());
  for (char32_t c : points) append_utf8(out, c);
  return out;
}

void append_lower(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return;
  }
  const Mapping lower{kLowerKeys, kLowerStarts, kLowerPool, kLowerCount};
  const auto parts = lower.find(c);
  if (parts.empty()) append_utf8(out, c);
  for (uint32_t part : parts) append_utf8(out, part);
}

std::span<const uint32_t> case_variants(char32_t c) {
  return Mapping{kCaseVariantKeys, kCaseVariantStarts, kCaseVariantPool, kCaseVariantCount}.find(c);
}

int find_script(std::string_view name) {
  for (size_t i = 0; i < kScriptCount; ++i) {
    if (loose(kScriptNames[i]) == loose(name)) return static_cast<int>(i);
  }
  return -1;
}

bool in_script(char32_t c, int script) {
  size_t low = kScriptStarts[script], high = kScriptStarts[script + 1];
  while (low < high) {
    const size_t mid = (low + high) / 2;
    if (c > kScriptRanges[mid * 2 + 1]) {
      low = mid + 1;
    } else if (c < kScriptRanges[mid * 2]) {
      high = mid;
    } else {
      return true;
    }
  }
  return false;
}

}  // namespace sluice::text
