#pragma once
// Normalizer: the first stage of encoding rewrites the text (normal forms, lower case, "▁" for spaces …).
// Each is one of Hugging Face tokenizers' normalizers, or SentencePiece's own. Immutable; any thread.
// Text in and out is valid UTF-8.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Rewrites `text` in place.
  virtual void normalize(std::string& text) const = 0;
  // Of `text`, its first `start` bytes stand where the text as given begins: how many of the normalised text's do.
  virtual size_t start_after(std::string_view text, size_t start) const;
};

using NormalizerPtr = std::unique_ptr<const Normalizer>;

// From the "normalizer" value of a tokenizer.json. kUnimplemented names an unknown type.
Result<NormalizerPtr> make_normalizer(const Json& json);

NormalizerPtr make_sequence(std::vector<NormalizerPtr> parts);
// `from` is not empty.
NormalizerPtr make_replace(std::string from, std::string to);
NormalizerPtr make_prepend(std::string prefix);

}  // namespace sluice::text
