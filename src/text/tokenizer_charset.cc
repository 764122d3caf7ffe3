#include "text/tokenizer_charset.h"

#include <algorithm>

#include "text/unicode.h"

namespace sluice::text {

void CharSet::fold_case() {
  std::vector<std::pair<char32_t, char32_t>> extra;
  for (const auto& [first, last] : ranges_) {
    const uint32_t* keys_end = kCaseVariantKeys + kCaseVariantCount;
    for (const uint32_t* key = std::lower_bound(kCaseVariantKeys, keys_end, static_cast<uint32_t>(first));
         key != keys_end && *key <= last; ++key) {
      for (uint32_t variant : case_variants(*key)) extra.emplace_back(variant, variant);
    }
  }
  ranges_.insert(ranges_.end(), extra.begin(), extra.end());
}

void CharSet::finish() {
  std::sort(ranges_.begin(), ranges_.end());
  size_t out = 0;
  for (size_t i = 0; i < ranges_.size(); ++i) {
    if (out > 0 && ranges_[i].first <= ranges_[out - 1].second + 1) {
      ranges_[out - 1].second = std::max(ranges_[out - 1].second, ranges_[i].second);
    } else {
      ranges_[out++] = ranges_[i];
    }
  }
  ranges_.resize(out);
  for (char32_t c = 0; c < 128; ++c) {
    if (contains_slow(c)) ascii_[c >> 6] |= uint64_t{1} << (c & 63);
  }
}

bool CharSet::contains_slow(char32_t c) const {
  const uint32_t record = unicode_record(c);
  bool in = (record & flags_) != 0 || (categories_ >> (record & 31) & 1) != 0;
  if (!in && !ranges_.empty()) {
    auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                  [](char32_t value, const auto& range) { return value < range.first; });
    in = after != ranges_.begin() && c <= std::prev(after)->second;
  }
  for (size_t i = 0; !in && i < scripts_.size(); ++i) in = in_script(c, scripts_[i]);
  for (size_t i = 0; !in && i < nested_.size(); ++i) in = nested_[i].contains(c);
  for (size_t i = 0; in && i < intersect_.size(); ++i) in = intersect_[i].contains(c);
  return in != negated_;
}

}  // namespace sluice::text
