#pragma once
// Precompiled character maps: SentencePiece's table of replacements (a Darts double array and the texts it points to).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/normalizer.h"

namespace sluice::text {

// The table of a SentencePiece model's precompiled_charsmap: uint32 size of the array, the array, NUL-ended texts.
class CharsMap {
 public:
  static Result<CharsMap> parse(std::string_view blob);

  struct Match {
    size_t length = 0;  // bytes of the input
    std::string_view replacement;
  };
  // The shortest and the longest key that `text` begins with; nothing when there is none.
  std::optional<Match> shortest(std::string_view text) const { return find(text, true); }
  std::optional<Match> longest(std::string_view text) const { return find(text, false); }
  // Whether a key begins with `prefix`; may say so wrongly of a damaged map, but never deny it.
  bool may_begin_with(std::string_view prefix) const;

 private:
  std::optional<Match> find(std::string_view text, bool first) const;
  template <class Visit>
  void walk(std::string_view text, Visit visit) const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

// Hugging Face's "Precompiled" normalizer; `base64` is the member "precompiled_charsmap".
Result<NormalizerPtr> make_precompiled(std::string_view base64);

}  // namespace sluice::text
