#pragma once
// PreTokenizer: cuts normalised text into the pieces that the model encodes one by one.
// Source of every rule: Hugging Face tokenizers, pre_tokenizers/. Immutable; any thread.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "text/pre_tokenizer_patterns.h"

namespace sluice::text {

// What lies between stages: a text and the pieces of it that go on.
struct Pieces {
  struct Range {
    size_t begin, end;
  };
  std::string_view text;
  std::string storage;  // holds `text` once a stage has rewritten it
  std::vector<Range> ranges;
  size_t start_end = 0;  // what begins before it begins where the whole input begins: its first character became this
};

class PreTokenizer {
 public:
  class Stage {
   public:
    virtual ~Stage() = default;
    virtual void apply(Pieces& pieces) const = 0;
    // A stage that only cuts, always at the matches of one known pattern.
    virtual PatternFunction pattern() const { return nullptr; }
    // The stage that rewrites bytes in GPT-2's alphabet.
    virtual bool is_byte_alphabet() const { return false; }
  };

  PreTokenizer() = default;
  // From the "pre_tokenizer" value of a tokenizer.json. kUnimplemented names an unknown type.
  static Result<PreTokenizer> from_json(const Json& json);
  // Cuts at the matches of each pattern in turn, then ends at the byte level (GGUF, tiktoken).
  static Result<PreTokenizer> byte_level(const std::vector<std::string>& patterns);
  // The same without the byte level.
  static Result<PreTokenizer> patterns_only(const std::vector<std::string>& patterns);

  // The whole chain. `pieces` comes with one range.
  void apply(Pieces& pieces) const;

  // When the last stage is the byte alphabet, removes it and says true: a byte-level model takes the bytes themselves.
  bool drop_byte_alphabet();
  // The one pattern that is all the chain does, or null.
  PatternFunction only_pattern() const { return stages_.size() == 1 ? stages_[0]->pattern() : nullptr; }
  bool empty() const { return stages_.empty(); }

 private:
  Result<void> add(const Json& json, int depth);

  std::vector<std::unique_ptr<const Stage>> stages_;
};

}  // namespace sluice::text
