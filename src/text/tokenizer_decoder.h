#pragma once
// Decoder: from token texts back to text. Steps are those of Hugging Face tokenizers' decoders; unlike there, bytes
// that are no UTF-8 are kept as they are (StreamDecoder and callers replace them), so that decoding only ever appends;
// decode_replacing() does it as there. Immutable; any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "text/tokenizer_regex.h"

namespace sluice::text {

class Decoder {
 public:
  // Without steps: token texts joined by one space, as tokenizers does without a decoder.
  Decoder() = default;
  // From the "decoder" value of a tokenizer.json. kUnimplemented names an unknown type.
  static Result<Decoder> from_json(const Json& json);
  static Decoder byte_level();
  // "▁" is a space, <0x..> a byte; `strip_first` takes one space off the start of the text.
  static Decoder sentencepiece(bool strip_first);
  static Decoder word_piece(std::string prefix);

  std::string decode(std::vector<std::string> tokens) const;
  // The same, but where tokens of bytes ("<0xE4>") follow one another and are not UTF-8 together, each is U+FFFD.
  std::string decode_replacing(std::vector<std::string> tokens) const;
  static bool has_broken_bytes(const std::vector<std::string>& tokens);
  bool has_byte_tokens() const;
  // The text when other tokens follow; differs from decode() only where last_differs().
  std::string decode_before_more(std::vector<std::string> tokens) const;
  bool last_differs() const { return last_differs_; }  // BPEDecoder: the last token's suffix is no space

  // For decoders that treat each token alone but for spaces stripped at the start (all but WordPiece, BPEDecoder,
  // CTC and odd chains): decode(tokens) is the joined token_bytes() of each, without `leading_strip` characters
  // `strip_text` at the start.
  bool per_token() const { return per_token_; }
  int leading_strip() const { return leading_strip_; }
  const std::string& strip_text() const { return strip_text_; }
  // A Metaspace decoder drops the marks of the first token: its text there.
  bool first_differs() const { return first_differs_; }

  // What the token stands for inside a text.
  std::string token_bytes(std::string_view token) const;
  std::string first_token_bytes(std::string_view token) const;

 private:
  enum class Place : uint8_t { kWhole, kReplacing, kBeginning, kInside };  // what of a text the tokens are
  enum class Kind : uint8_t { kByteLevel, kReplace, kByteFallback, kFuse, kStrip, kMetaspace, kWordPiece, kBpe, kCtc };
  struct Step {
    Kind kind;
    std::string text;            // replacement, mark, prefix, suffix or padding
    std::optional<Regex> regex;  // kReplace
    size_t start = 0, stop = 0;  // kStrip
    bool flag = false;           // kMetaspace: drops the first token's marks; kWordPiece, kCtc: cleans up
    std::string delimiter = {};  // kCtc: stands between words
  };

  Result<void> add(const Json& json, int depth);
  void settle();
  void run(std::vector<std::string>& tokens, Place place) const;
  static void apply(const Step& step, std::vector<std::string>& tokens, Place place);
  static void apply_one(const Step& step, std::string& token, bool first, bool last);

  std::vector<Step> steps_;
  bool per_token_ = false;
  bool first_differs_ = false;
  bool last_differs_ = false;
  int leading_strip_ = 0;
  std::string strip_text_;
};

}  // namespace sluice::text
