#include "text/normalizer.h"

#include <algorithm>
#include <functional>

#include "base/json.h"
#include "base/strings.h"
#include "text/bpe.h"
#include "text/normalizer_charsmap.h"
#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_regex.h"
#include "text/unicode.h"

namespace sluice::text {
namespace {

constexpr size_t kGrowthMax = 64;
constexpr size_t kContentMax = 256;

// A match of several characters stands where its last one stood. Of the first match in a text.
bool leaves_start(std::string_view text, size_t begin, size_t end, size_t start) {
  return begin < start && begin < end && static_cast<size_t>(previous_start(text.data() + end) - text.data()) >= start;
}

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<NormalizerPtr> parts) : parts_(std::move(parts)) {}
  void normalize(std::string& text) const override {
    const size_t limit = text.size() * kGrowthMax + (size_t{1} << 20);
    for (const NormalizerPtr& part : parts_) {
      if (text.size() > limit) return;  // a file made to fill the memory: no honest chain grows a text like this
      part->normalize(text);
    }
  }
  size_t start_after(std::string_view text, size_t start) const override {
    std::string current(text);
    for (const NormalizerPtr& part : parts_) {
      start = part->start_after(current, start);
      part->normalize(current);
    }
    return start;
  }

 private:
  std::vector<NormalizerPtr> parts_;
};

class NormalForms : public Normalizer {
 public:
  explicit NormalForms(NormalForm form) : form_(form) {}
  void normalize(std::string& text) const override { text = normalize_unicode(text, form_); }

 private:
  NormalForm form_;
};

// Appends to `out` what becomes of one character.
using CharacterRule = std::function<void(char32_t c, std::string& out)>;

class PerCharacter : public Normalizer {
 public:
  explicit PerCharacter(CharacterRule rule) : rule_(std::move(rule)) {}
  void normalize(std::string& text) const override {
    std::string out;
    out.reserve(text.size());
    for (const char *p = text.data(), *end = p + text.size(); p < end;) rule_(next_code_point(p), out);
    text = std::move(out);
  }

 private:
  CharacterRule rule_;
};

NormalizerPtr per_character(CharacterRule rule) { return std::make_unique<PerCharacter>(std::move(rule)); }

NormalizerPtr without(uint32_t flag) {
  return per_character([flag](char32_t c, std::string& out) {
    if (!has_flag(c, flag)) append_utf8(out, c);
  });
}

class Replace : public Normalizer {
 public:
  Replace(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void normalize(std::string& text) const override {
    std::string out;
    size_t copied = 0, begin = 0, end = 0;
    Regex::Search search(pattern_, text);
    bool any = false;
    while (search.next(&begin, &end)) {
      out.append(text, copied, begin - copied);
      out += content_;
      copied = end;
      any = true;
    }
    if (!any) return;
    out.append(text, copied);
    text = std::move(out);
  }
  size_t start_after(std::string_view text, size_t start) const override {
    size_t begin = 0, end = 0;
    Regex::Search search(pattern_, text);
    if (search.next(&begin, &end) && leaves_start(text, begin, end, start)) return begin;
    return Normalizer::start_after(text, start);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class ReplaceText : public Normalizer {
 public:
  ReplaceText(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void normalize(std::string& text) const override {
    size_t at = text.find(from_);
    if (at == std::string::npos) return;
    std::string out;
    out.reserve(text.size() + text.size() / 2);
    size_t copied = 0;
    for (; at != std::string::npos; at = from_.size() == 1 ? text.find(from_[0], copied) : text.find(from_, copied)) {
      out.append(text, copied, at - copied);
      out += to_;
      copied = at + from_.size();
    }
    out.append(text, copied);
    text = std::move(out);
  }
  size_t start_after(std::string_view text, size_t start) const override {
    const size_t begin = text.find(from_);
    if (begin != std::string_view::npos && leaves_start(text, begin, begin + from_.size(), start)) return begin;
    return Normalizer::start_after(text, start);
  }

 private:
  std::string from_, to_;  // from_ is not empty
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void normalize(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void normalize(std::string& text) const override {
    const char* begin = text.data();
    const char* end = begin + text.size();
    while (left_ && begin < end) {
      const char* p = begin;
      if (!is_space(next_code_point(p))) break;
      begin = p;
    }
    while (right_ && begin < end) {
      const char* last = previous_start(end);
      const char* p = last;
      if (!is_space(next_code_point(p))) break;
      end = last;
    }
    text = std::string(begin, end);
  }

 private:
  bool left_, right_;
};

bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// Removed and replaced characters as in tokenizers' normalizers/unicode.rs.
void nmt_rule(char32_t c, std::string& out) {
  const bool removed =
      (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
  if (removed) return;
  const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                     c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  append_utf8(out, space ? U' ' : c);
}

Result<NormalizerPtr> make_bert(const Json& json) {
  SLUICE_TRY(const bool clean, json_bool(json, "clean_text", true));
  SLUICE_TRY(const bool chinese, json_bool(json, "handle_chinese_chars", true));
  SLUICE_TRY(const bool lowercase, json_bool(json, "lowercase", true));
  SLUICE_TRY(const bool accents, json_bool(json, "strip_accents", lowercase));
  std::vector<NormalizerPtr> parts;
  if (clean) {
    parts.push_back(per_character([](char32_t c, std::string& out) {
      if (has_flag(c, kFlagControl)) return;
      append_utf8(out, is_space(c) ? U' ' : c);
    }));
  }
  if (chinese) {
    parts.push_back(per_character([](char32_t c, std::string& out) {
      if (is_chinese(c)) out += ' ';
      append_utf8(out, c);
      if (is_chinese(c)) out += ' ';
    }));
  }
  if (accents) {
    parts.push_back(std::make_unique<NormalForms>(NormalForm::kNfd));
    parts.push_back(without(kFlagAccent));
  }
  if (lowercase) parts.push_back(per_character([](char32_t c, std::string& out) { append_lower(out, c); }));
  return make_sequence(std::move(parts));
}

Result<NormalizerPtr> make_normalizer_at(const Json& json, int depth) {
  if (depth > 16) return corrupt_data("normalizer: sequences are nested too deeply");
  SLUICE_TRY(const std::string type, json_string(json, "type", ""));
  if (type == "Sequence") {
    const Json* list = json_find(json, "normalizers");
    if (list == nullptr || !list->is_array())
      return corrupt_data("normalizer Sequence: \"normalizers\" must be an array");
    std::vector<NormalizerPtr> parts;
    for (const Json& part : *list) {
      SLUICE_TRY(NormalizerPtr made, make_normalizer_at(part, depth + 1));
      parts.push_back(std::move(made));
    }
    return make_sequence(std::move(parts));
  }
  if (type == "NFC") return NormalizerPtr(std::make_unique<NormalForms>(NormalForm::kNfc));
  if (type == "NFD") return NormalizerPtr(std::make_unique<NormalForms>(NormalForm::kNfd));
  if (type == "NFKC") return NormalizerPtr(std::make_unique<NormalForms>(NormalForm::kNfkc));
  if (type == "NFKD") return NormalizerPtr(std::make_unique<NormalForms>(NormalForm::kNfkd));
  if (type == "Lowercase") return per_character([](char32_t c, std::string& out) { append_lower(out, c); });
  if (type == "StripAccents") return without(kFlagMark);
  if (type == "BertNormalizer") return make_bert(json);
  if (type == "Nmt") return per_character(nmt_rule);
  if (type == "ByteLevel") {
    return per_character([](char32_t c, std::string& out) {
      std::string bytes;
      append_utf8(bytes, c);
      out += alphabet_of_bytes(bytes);
    });
  }
  if (type == "Prepend") {
    SLUICE_TRY(std::string prefix, json_string(json, "prepend", ""));
    if (prefix.size() > kContentMax) return corrupt_data("normalizer Prepend: the prefix is longer than 256 bytes");
    return make_prepend(std::move(prefix));
  }
  if (type == "Strip") {
    SLUICE_TRY(const bool left, json_bool(json, "strip_left", true));
    SLUICE_TRY(const bool right, json_bool(json, "strip_right", true));
    return NormalizerPtr(std::make_unique<Strip>(left, right));
  }
  if (type == "Replace") {
    SLUICE_TRY(Regex pattern, pattern_of(json));
    SLUICE_TRY(std::string content, json_string(json, "content", ""));
    if (content.size() > kContentMax) return corrupt_data("normalizer Replace: the content is longer than 256 bytes");
    if (const auto text = pattern.literal_text()) return make_replace(std::string(*text), std::move(content));
    return NormalizerPtr(std::make_unique<Replace>(std::move(pattern), std::move(content)));
  }
  if (type == "Precompiled") {
    SLUICE_TRY(const std::string map, json_string(json, "precompiled_charsmap", ""));
    return make_precompiled(map);
  }
  return unimplemented(cat("tokenizer.json: the normalizer \"", type, "\" is not known"));
}

}  // namespace

// What stays the same whatever follows.
size_t Normalizer::start_after(std::string_view text, size_t start) const {
  if (start == 0) return 0;
  std::string shared = cat(text.substr(0, start), "q");
  normalize(shared);
  for (const char follower : {'7', 'b', 'X'}) {
    std::string other = cat(text.substr(0, start), std::string_view(&follower, 1));
    normalize(other);
    shared.resize(static_cast<size_t>(std::ranges::mismatch(shared, other).in1 - shared.begin()));
  }
  return shared.size();
}

Result<NormalizerPtr> make_normalizer(const Json& json) { return make_normalizer_at(json, 0); }

NormalizerPtr make_sequence(std::vector<NormalizerPtr> parts) { return std::make_unique<Sequence>(std::move(parts)); }
NormalizerPtr make_replace(std::string from, std::string to) {
  return std::make_unique<ReplaceText>(std::move(from), std::move(to));
}
NormalizerPtr make_prepend(std::string prefix) { return std::make_unique<Prepend>(std::move(prefix)); }

}  // namespace sluice::text
