#include "text/tokenizer_json_parts.h"

#include "base/json.h"
#include "base/strings.h"
#include "text/unicode.h"

namespace sluice::text {

Result<Regex> pattern_of(const Json& json, std::string* source) {
  const Json* pattern = json_find(json, "pattern");
  if (pattern == nullptr) return corrupt_data("tokenizer.json: a Replace or Split has no \"pattern\"");
  if (pattern->is_string()) return Regex::literal(pattern->get_ref<const std::string&>());
  if (json_find(*pattern, "String") != nullptr) {
    SLUICE_TRY(const std::string text, json_string(*pattern, "String", ""));
    return Regex::literal(text);
  }
  if (json_find(*pattern, "Regex") == nullptr) {
    return unimplemented("tokenizer.json: a \"pattern\" that is neither \"String\" nor \"Regex\" is not known");
  }
  SLUICE_TRY(const std::string text, json_string(*pattern, "Regex", ""));
  if (source != nullptr) *source = text;
  return Regex::compile(text);
}

Result<char32_t> json_character(const Json& json, std::string_view key, char32_t fallback) {
  SLUICE_TRY(const std::string text, json_string(json, key, ""));
  if (text.empty()) return fallback;
  const char* p = text.data();
  const char32_t c = next_code_point(p);
  if (p != text.data() + text.size())
    return corrupt_data(cat("tokenizer.json: \"", key, "\" must be one character, not \"", text, "\""));
  return c;
}

Result<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int count = 0;
  if (text.size() % 4 != 0) return corrupt_data(cat("base64: ", text.size(), " characters are no multiple of four"));
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) return corrupt_data(cat("base64: byte ", i, " is not of its alphabet"));
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (++count == 4) {
      out += static_cast<char>(bits >> 16);
      out += static_cast<char>(bits >> 8 & 0xFF);
      out += static_cast<char>(bits & 0xFF);
      bits = 0;
      count = 0;
    }
  }
  if (count == 1) return corrupt_data("base64: the text is cut short");
  if (count >= 2) out += static_cast<char>(bits >> (count == 2 ? 4 : 10) & 0xFF);
  if (count == 3) out += static_cast<char>(bits >> 2 & 0xFF);
  return out;
}

}  // namespace sluice::text
