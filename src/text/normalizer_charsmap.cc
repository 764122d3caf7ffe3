#include "text/normalizer_charsmap.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "text/tokenizer_json_parts.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

// tokenizers' normalizers/precompiled.rs: a whole grapheme cluster of fewer than six bytes is looked up first, then its
// characters one by one; the shortest key found replaces all that was looked up.
class Precompiled : public Normalizer {
 public:
  explicit Precompiled(CharsMap map) : map_(std::move(map)) {}

  void normalize(std::string& text) const override {
    std::string out;
    out.reserve(text.size());
    const char* const end = text.data() + text.size();
    for (const char* p = text.data(); p < end;) {
      const char* stop = cluster_end(p, end);
      const std::string_view cluster(p, static_cast<size_t>(stop - p));
      if (cluster.size() < 6) {
        if (const auto match = map_.shortest(cluster)) {
          out += match->replacement;
          p = stop;
          continue;
        }
      }
      while (p < stop) {
        const std::string_view character(p, utf8_length(*p));
        const auto match = map_.shortest(character);
        out += match ? match->replacement : character;
        p += character.size();
      }
    }
    text = std::move(out);
  }
  // What disappears at the start leaves its place to what follows.
  size_t start_after(std::string_view text, size_t start) const override {
    return start == 0 ? 0 : std::max<size_t>(Normalizer::start_after(text, start), 1);
  }

 private:
  // The end of the extended grapheme cluster at `p`. Rules that only join clusters of six bytes and more (Hangul,
  // regional indicators, emoji sequences, conjuncts) are left out: those are taken character by character anyway.
  static const char* cluster_end(const char* p, const char* end) {
    GraphemeClass last = grapheme_class(next_code_point(p));
    while (p < end) {
      const char* after = p;
      const GraphemeClass next = grapheme_class(next_code_point(after));
      const bool last_control =
          last == GraphemeClass::kControl || last == GraphemeClass::kCr || last == GraphemeClass::kLf;
      const bool next_control =
          next == GraphemeClass::kControl || next == GraphemeClass::kCr || next == GraphemeClass::kLf;
      const bool joined =
          (last == GraphemeClass::kCr && next == GraphemeClass::kLf) ||
          (!last_control && !next_control && (next == GraphemeClass::kExtend || last == GraphemeClass::kPrepend));
      if (!joined) break;
      p = after;
      last = next;
    }
    return p;
  }

  CharsMap map_;
};

}  // namespace

Result<CharsMap> CharsMap::parse(std::string_view blob) {
  CharsMap map;
  if (blob.empty()) return map;
  uint32_t bytes = 0;
  if (blob.size() < sizeof bytes) return corrupt_data("precompiled_charsmap: shorter than its header");
  std::memcpy(&bytes, blob.data(), sizeof bytes);
  if (bytes % 4 != 0 || bytes > blob.size() - sizeof bytes) {
    return corrupt_data(cat("precompiled_charsmap: an array of ", bytes, " bytes in a map of ", blob.size()));
  }
  map.units_.resize(bytes / 4);
  if (bytes > 0) std::memcpy(map.units_.data(), blob.data() + sizeof bytes, bytes);
  map.texts_ = std::string(blob.substr(sizeof bytes + bytes));
  if (!utf8_valid(map.texts_)) return corrupt_data("precompiled_charsmap: the replacements are not UTF-8");
  return map;
}

// The walk of Darts-clone: unit = label | has-leaf bit | offset. Calls visit(length, leaf) at every byte of `text` that
// has a node; `leaf` is the place of the replacement of the key that ends there, or nothing. visit says whether to go
// on.
template <class Visit>
void CharsMap::walk(std::string_view text, Visit visit) const {
  if (units_.empty()) return;
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  size_t node = offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte == 0) return;
    node ^= byte;
    if (node >= units_.size()) return;
    const uint32_t unit = units_[node];
    if ((unit & ((1u << 31) | 0xFF)) != byte) return;
    node ^= offset(unit);
    std::optional<size_t> leaf;
    if ((unit >> 8 & 1) != 0) {
      if (node >= units_.size() || (units_[node] & 0x7FFFFFFFu) > texts_.size()) return;
      leaf = units_[node] & 0x7FFFFFFFu;
    }
    if (!visit(i + 1, leaf)) return;
  }
}

std::optional<CharsMap::Match> CharsMap::find(std::string_view text, bool first) const {
  std::optional<Match> found;
  walk(text, [&](size_t length, std::optional<size_t> leaf) {
    if (!leaf) return true;
    const std::string_view replacement = std::string_view(texts_).substr(*leaf);
    found = Match{length, replacement.substr(0, replacement.find('\0'))};
    return !first;
  });
  return found;
}

bool CharsMap::may_begin_with(std::string_view prefix) const {
  size_t known = 0;
  walk(prefix, [&](size_t length, std::optional<size_t>) {
    known = length;
    return true;
  });
  return known == prefix.size();
}

Result<NormalizerPtr> make_precompiled(std::string_view base64) {
  SLUICE_TRY(const std::string blob, decode_base64(base64));
  SLUICE_TRY(CharsMap map, CharsMap::parse(blob));
  return NormalizerPtr(std::make_unique<Precompiled>(std::move(map)));
}

}  // namespace sluice::text
