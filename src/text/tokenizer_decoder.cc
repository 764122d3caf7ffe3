#include "text/tokenizer_decoder.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "text/bpe.h"
#include "text/tokenizer_json_parts.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// As Rust's str::replace: an empty `from` stands before, between and behind all characters.
void replace_rust(std::string& text, std::string_view from, std::string_view to) {
  if (!from.empty()) return replace_all(text, from, to);
  std::string out(to);
  for (size_t i = 0; i < text.size();) {
    const size_t length = std::min(utf8_length(text[i]), text.size() - i);
    out.append(text, i, length);
    out += to;
    i += length;
  }
  text = std::move(out);
}

void clean_up(std::string& text) {
  static constexpr std::string_view kRules[][2] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

// "<0x41>" → 0x41, else -1.
int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

void strip(std::string& text, std::string_view character, size_t start, size_t stop) {
  if (character.empty()) return;
  size_t begin = 0, end = text.size();
  for (size_t i = 0; i < start && std::string_view(text).substr(begin).starts_with(character); ++i)
    begin += character.size();
  for (size_t i = 0;
       i < stop && end >= begin + character.size() && std::string_view(text).substr(0, end).ends_with(character); ++i) {
    end -= character.size();
  }
  text = text.substr(begin, end - begin);
}

// Tokens "<0x..>" become bytes; those that follow one another one token where they are UTF-8 together. Where they are
// not, each becomes what `broken` makes of it.
template <class Broken>
void join_bytes(std::vector<std::string>& tokens, const Broken& broken) {
  std::vector<std::string> joined;
  for (size_t i = 0; i < tokens.size();) {
    std::string bytes;
    size_t end = i;
    for (int byte = 0; end < tokens.size() && (byte = byte_of_token(tokens[end])) >= 0; ++end)
      bytes += static_cast<char>(byte);
    if (end == i) {
      joined.push_back(std::move(tokens[i++]));
      continue;
    }
    if (utf8_valid(bytes)) {
      joined.push_back(std::move(bytes));
    } else {
      for (const char byte : bytes) joined.push_back(broken(byte));
    }
    i = end;
  }
  tokens = std::move(joined);
}

}  // namespace

// One token of a step that looks at each token alone.
void Decoder::apply_one(const Step& step, std::string& token, bool first, bool last) {
  switch (step.kind) {
    case Kind::kByteLevel:
      if (auto bytes = bytes_of_alphabet(token)) token = std::move(*bytes);
      break;
    case Kind::kReplace: {
      // The expression sees characters only; the beginning of one at the end may yet become whole.
      const size_t complete = utf8_valid(token) ? token.size() : utf8_complete_prefix(token);
      const std::string rest = token.substr(complete);
      token.resize(complete);
      if (!utf8_valid(token)) token = utf8_sanitize(token);
      std::string out;
      size_t done = 0, begin = 0, end = 0;
      Regex::Search search(*step.regex, token);
      while (search.next(&begin, &end)) {
        out.append(token, done, begin - done);
        out += step.text;
        done = end;
      }
      out.append(token, done);
      token = std::move(out) + rest;
      break;
    }
    case Kind::kByteFallback:
      if (const int byte = byte_of_token(token); byte >= 0) token = std::string(1, static_cast<char>(byte));
      break;
    case Kind::kStrip:
      strip(token, step.text, step.start, step.stop);
      break;
    case Kind::kMetaspace:
      replace_all(token, step.text, first && step.flag ? "" : " ");
      break;
    case Kind::kWordPiece:
      if (!first) {
        if (token.starts_with(step.text)) {
          token.erase(0, step.text.size());
        } else {
          token.insert(0, " ");
        }
      }
      if (step.flag) clean_up(token);
      break;
    case Kind::kBpe:
      replace_rust(token, step.text, last ? "" : " ");
      break;
    case Kind::kCtc:
      replace_all(token, step.text, "");
      if (step.flag) {
        clean_up(token);
        replace_rust(token, step.delimiter, " ");
      }
      break;
    case Kind::kFuse:
      break;
  }
}

void Decoder::apply(const Step& step, std::vector<std::string>& tokens, Place place) {
  if (step.kind == Kind::kFuse) {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens = {std::move(all)};
    return;
  }
  if (step.kind == Kind::kByteFallback && place != Place::kInside) {
    return join_bytes(tokens, [&](char byte) { return place == Place::kReplacing ? "\uFFFD" : std::string(1, byte); });
  }
  if (step.kind == Kind::kCtc) tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  for (size_t i = 0; i < tokens.size(); ++i) {
    apply_one(step, tokens[i], i == 0 && place != Place::kInside,
              i + 1 == tokens.size() && (place == Place::kWhole || place == Place::kReplacing));
  }
  if (step.kind == Kind::kCtc) std::erase(tokens, std::string());
}

void Decoder::run(std::vector<std::string>& tokens, Place place) const {
  bool fused = false;
  for (const Step& step : steps_) {
    fused = fused || step.kind == Kind::kFuse || step.kind == Kind::kByteLevel;
    if (place == Place::kInside && fused && step.kind == Kind::kStrip) continue;
    apply(step, tokens, fused && step.kind == Kind::kBpe ? Place::kWhole : place);  // the one token is the last
    if (step.kind == Kind::kByteLevel) apply({Kind::kFuse, {}, {}}, tokens, place);
  }
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  if (tokens.empty()) return {};
  if (steps_.empty()) return join(tokens, " ");
  run(tokens, Place::kWhole);
  return join(tokens, "");
}

std::string Decoder::decode_replacing(std::vector<std::string> tokens) const {
  run(tokens, Place::kReplacing);
  return join(tokens, "");
}

bool Decoder::has_broken_bytes(const std::vector<std::string>& tokens) {
  bool broken = false;
  std::string bytes;
  for (const std::string& token : tokens) {
    const int byte = byte_of_token(token);
    if (byte >= 0) {
      bytes += static_cast<char>(byte);
    } else if (!bytes.empty()) {
      broken = broken || !utf8_valid(bytes);
      bytes.clear();
    }
  }
  return broken || !utf8_valid(bytes);
}

bool Decoder::has_byte_tokens() const {
  return std::ranges::any_of(steps_, [](const Step& step) { return step.kind == Kind::kByteFallback; });
}

std::string Decoder::decode_before_more(std::vector<std::string> tokens) const {
  run(tokens, Place::kBeginning);
  return join(tokens, "");
}

std::string Decoder::token_bytes(std::string_view token) const {
  std::vector<std::string> tokens = {std::string(token)};
  run(tokens, Place::kInside);
  return join(tokens, "");
}

std::string Decoder::first_token_bytes(std::string_view token) const {
  std::vector<std::string> tokens = {std::string(token)};
  for (const Step& step : steps_) {
    for (std::string& t : tokens) {
      if (step.kind != Kind::kStrip) apply_one(step, t, true, false);
    }
  }
  return join(tokens, "");
}

// Finds out whether the chain allows the short way (per_token()).
void Decoder::settle() {
  per_token_ = !steps_.empty();
  bool fused = false, bytes = false;  // bytes: a token may be a part of a character
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Kind::kByteLevel:
      case Kind::kByteFallback:
        if (fused || bytes) per_token_ = false;
        (step.kind == Kind::kByteLevel ? fused : bytes) = true;
        break;
      case Kind::kReplace:
        if (fused || bytes) per_token_ = false;
        break;
      case Kind::kFuse:
        fused = true;
        break;
      case Kind::kMetaspace:
        if (fused || bytes || leading_strip_ > 0) per_token_ = false;
        first_differs_ = first_differs_ || step.flag;
        break;
      case Kind::kStrip:
        if (!fused || step.stop > 0 || leading_strip_ > 0 || step.start > 1000) per_token_ = false;
        leading_strip_ = static_cast<int>(step.start);
        strip_text_ = step.text;
        break;
      case Kind::kBpe:
        last_differs_ = last_differs_ || !fused;
        [[fallthrough]];
      case Kind::kWordPiece:
      case Kind::kCtc:
        per_token_ = false;
        break;
    }
  }
}

Decoder Decoder::byte_level() {
  Decoder decoder;
  decoder.steps_.push_back({Kind::kByteLevel, {}, {}});
  decoder.settle();
  return decoder;
}

Decoder Decoder::sentencepiece(bool strip_first) {
  Decoder decoder;
  decoder.steps_.push_back({Kind::kReplace, " ", Regex::literal(kSpaceMark)});
  decoder.steps_.push_back({Kind::kByteFallback, {}, {}});
  decoder.steps_.push_back({Kind::kFuse, {}, {}});
  if (strip_first) decoder.steps_.push_back({Kind::kStrip, " ", {}, 1, 0});
  decoder.settle();
  return decoder;
}

Decoder Decoder::word_piece(std::string prefix) {
  Decoder decoder;
  decoder.steps_.push_back({Kind::kWordPiece, std::move(prefix), {}, 0, 0, true});
  decoder.settle();
  return decoder;
}

Result<Decoder> Decoder::from_json(const Json& json) {
  Decoder decoder;
  SLUICE_RETURN_IF_ERROR(decoder.add(json, 0));
  if (decoder.steps_.empty()) decoder.steps_.push_back({Kind::kFuse, {}, {}});  // a Sequence of nothing
  decoder.settle();
  return decoder;
}

Result<void> Decoder::add(const Json& json, int depth) {
  if (depth > 16) return corrupt_data("decoder: sequences are nested too deeply");
  SLUICE_TRY(const std::string type, json_string(json, "type", ""));
  if (type == "Sequence") {
    const Json* list = json_find(json, "decoders");
    if (list == nullptr || !list->is_array()) return corrupt_data("decoder Sequence: \"decoders\" must be an array");
    for (const Json& part : *list) SLUICE_RETURN_IF_ERROR(add(part, depth + 1));
  } else if (type == "ByteLevel") {
    steps_.push_back({Kind::kByteLevel, {}, {}});
  } else if (type == "ByteFallback") {
    steps_.push_back({Kind::kByteFallback, {}, {}});
  } else if (type == "Fuse") {
    steps_.push_back({Kind::kFuse, {}, {}});
  } else if (type == "Replace") {
    SLUICE_TRY(Regex regex, pattern_of(json));
    SLUICE_TRY(std::string content, json_string(json, "content", ""));
    if (content.size() > 256 || steps_.size() > 16)
      return corrupt_data("decoder Replace: the content or chain is too long");
    steps_.push_back({Kind::kReplace, std::move(content), std::move(regex)});
  } else if (type == "Strip") {
    SLUICE_TRY(const char32_t character, json_character(json, "content", U' '));
    SLUICE_TRY(const int64_t start, json_int(json, "start", 0));
    SLUICE_TRY(const int64_t stop, json_int(json, "stop", 0));
    if (start < 0 || stop < 0) return corrupt_data("decoder Strip: \"start\" and \"stop\" must not be negative");
    std::string text;
    append_utf8(text, character);
    steps_.push_back({Kind::kStrip, std::move(text), {}, static_cast<size_t>(start), static_cast<size_t>(stop)});
  } else if (type == "Metaspace") {
    SLUICE_TRY(const char32_t mark, json_character(json, "replacement", U'\u2581'));
    SLUICE_TRY(const std::string scheme, json_string(json, "prepend_scheme", "always"));
    SLUICE_TRY(const bool prefix, json_bool(json, "add_prefix_space", true));
    std::string text;
    append_utf8(text, mark);
    steps_.push_back({Kind::kMetaspace, std::move(text), {}, 0, 0, prefix && scheme != "never"});
  } else if (type == "WordPiece") {
    SLUICE_TRY(std::string prefix, json_string(json, "prefix", "##"));
    SLUICE_TRY(const bool clean, json_bool(json, "cleanup", true));
    steps_.push_back({Kind::kWordPiece, std::move(prefix), {}, 0, 0, clean});
  } else if (type == "BPEDecoder") {
    SLUICE_TRY(std::string suffix, json_string(json, "suffix", "</w>"));
    steps_.push_back({Kind::kBpe, std::move(suffix), {}});
  } else if (type == "CTC") {
    SLUICE_TRY(std::string padding, json_string(json, "pad_token", "<pad>"));
    SLUICE_TRY(std::string delimiter, json_string(json, "word_delimiter_token", "|"));
    SLUICE_TRY(const bool clean, json_bool(json, "cleanup", true));
    steps_.push_back({Kind::kCtc, std::move(padding), {}, 0, 0, clean, std::move(delimiter)});
  } else {
    return unimplemented(cat("tokenizer.json: the decoder \"", type, "\" is not known"));
  }
  return {};
}

}  // namespace sluice::text
