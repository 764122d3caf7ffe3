#include "text/answers/json_call_head.h"

#include <optional>

#include "base/json.h"
#include "base/strings.h"
#include "text/answers/call_parser.h"
#include "text/answers/json_span.h"
#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

class HeadReader {
  using Outcome = JsonCallHead::Outcome;

 public:
  HeadReader(std::string_view text, bool strict) : text_(text), strict_(strict) {}

  JsonCallHead read() {
    head_.outcome = object();
    if (head_.outcome == Outcome::kWhole) finish_whole();
    return std::move(head_);
  }

 private:
  bool ended() const { return at_ >= text_.size(); }
  void space() { at_ = skip_space(text_, at_); }

  Outcome object() {
    ++at_;
    head_.open += '}';
    for (bool first = true;; first = false) {
      space();
      if (ended()) return Outcome::kMore;
      if (text_[at_] == '}') return close();
      if (!first) {
        if (text_[at_] != ',') return Outcome::kBad;
        ++at_;
        space();
        if (ended()) return Outcome::kMore;
      }
      std::string key;
      if (const auto bad = string(key)) return *bad;
      space();
      if (ended()) return Outcome::kMore;
      if (text_[at_] != ':') return Outcome::kBad;
      ++at_;
      space();
      if (ended()) return Outcome::kMore;
      if (const auto decided = member(key)) return *decided;
    }
  }

  // A bracket closes; the whole call when it was the outermost.
  Outcome close() {
    ++at_;
    head_.open.pop_back();
    while (!head_.open.empty()) {
      space();
      if (ended()) return Outcome::kMore;
      if (text_[at_] == ',') {  // further members of the wrapping object
        JsonSpan rest(head_.open);
        std::string dropped;
        at_ += rest.read(text_.substr(at_), dropped);
        if (!rest.done()) return rest.broken() ? Outcome::kBad : Outcome::kMore;
        break;
      }
      if (text_[at_] != '}') return Outcome::kBad;
      ++at_;
      head_.open.pop_back();
    }
    return Outcome::kWhole;
  }

  // Nothing: go on with the next member.
  std::optional<Outcome> member(const std::string& key) {
    const bool is_string = text_[at_] == '"';
    if (key == "name" || (key == "function" && is_string) || key == "tool_name") {
      if (!is_string) return Outcome::kBad;
      if (const auto bad = string(head_.name)) return bad;
      return head_.name.empty() || head_.name.size() > kNameBytesMax ? std::optional(Outcome::kBad) : std::nullopt;
    }
    if (key == "function" && text_[at_] == '{' && head_.open.size() == 1) return object();
    if (key == "arguments" || key == "parameters") return arguments();
    if (is_string && (key == "id" || key == "call_id" || key == "tool_call_id")) return string(head_.id);
    if (strict_ && key != "type") return Outcome::kBad;
    std::string dropped;
    return value(dropped);
  }

  std::optional<Outcome> arguments() {
    if (text_[at_] == '{' && !head_.name.empty()) {
      head_.end = at_;
      return Outcome::kArguments;
    }
    if (strict_ && text_[at_] != '{' && text_[at_] != '"') return Outcome::kBad;
    given_.clear();
    return value(given_);
  }

  std::optional<Outcome> string(std::string& out) {
    if (text_[at_] != '"') return Outcome::kBad;
    std::string written;
    if (const auto bad = value(written)) return bad;
    const auto parsed = parse_json(written);
    if (!parsed.ok() || !parsed->is_string()) return Outcome::kBad;
    out = parsed->get<std::string>();
    return std::nullopt;
  }

  // Any value, whole.
  std::optional<Outcome> value(std::string& written) {
    const char first = text_[at_];
    if (first == '{' || first == '[' || first == '"') {
      JsonSpan span;
      at_ += span.read(text_.substr(at_), written);
      if (span.done()) return std::nullopt;
      return span.broken() ? Outcome::kBad : Outcome::kMore;
    }
    const size_t end = text_.find_first_of(",}] \n\r\t", at_);
    if (end == std::string_view::npos) return Outcome::kMore;
    written = text_.substr(at_, end - at_);
    if (!parse_json(written).ok()) return Outcome::kBad;
    at_ = end;
    return std::nullopt;
  }

  void finish_whole() {
    if (head_.name.empty() || (strict_ && given_.empty())) {
      head_.outcome = Outcome::kBad;
      return;
    }
    head_.end = at_;
    head_.arguments = given_.empty() || given_ == "null" ? "{}" : given_;
    if (!head_.arguments.starts_with('"')) return;
    // Arguments as a string of JSON, as OpenAI's API has them.
    const auto text = parse_json(head_.arguments);
    if (!text.ok() || !text->is_string()) return;
    const auto inner = text->get<std::string>();
    if (const auto object = parse_json(inner); object.ok() && object->is_object()) head_.arguments = inner;
    if (trim(inner).empty()) head_.arguments = "{}";
  }

  std::string_view text_;
  const bool strict_;
  size_t at_ = 0;
  std::string given_;
  JsonCallHead head_;
};

}  // namespace

JsonCallHead read_json_call_head(std::string_view text, bool strict) { return HeadReader(text, strict).read(); }

}  // namespace sluice::text::answers
