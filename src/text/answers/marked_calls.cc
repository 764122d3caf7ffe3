#include "base/strings.h"
#include "text/answers/dialects.h"
#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

constexpr std::string_view kFence = "```";

class MarkedCalls final : public CallParser {
 public:
  MarkedCalls(MarkedCallForm form, std::shared_ptr<const ToolSet> tools)
      : CallParser(std::move(tools)),
        form_(std::move(form)),
        openers_{form_.section_open, form_.call_open},
        closers_{form_.call_close, form_.section_close},
        markers_{form_.section_open, form_.call_open, form_.call_close, form_.section_close} {}

 private:
  const std::vector<std::string>& markers() const override { return markers_; }

  Opening find_opening(std::string_view text, const Place&) const override {
    return find_call_marker(text, openers_, closers_);
  }

  Head read_head(std::string_view text, bool) const override {
    Head head{.outcome = Head::Outcome::kMore};
    head.explicit_marker = true;
    size_t at = text.starts_with(form_.section_open) ? skip_space(text, form_.section_open.size()) : 0;
    const Prefix open = begins_with(text.substr(at), form_.call_open);
    if (open == Prefix::kPart) return head;
    if (open == Prefix::kNo) return bad(at);
    at += form_.call_open.size();
    const std::string_view named = text.substr(at, kNameBytesMax + form_.separator.size());
    const size_t name_end = named.find(form_.separator);
    if (name_end == std::string_view::npos)
      return named.size() == kNameBytesMax + form_.separator.size() ? bad(at) : head;
    const size_t separator = at + name_end;
    head.name = trim(text.substr(at, separator - at));
    const size_t body = skip_space(text, separator + form_.separator.size());
    if (body == text.size()) return head;
    return text[body] == '{' || !form_.fenced ? with_arguments(text, body, std::move(head))
                                              : read_fenced(text, body, std::move(head));
  }

  static Head bad(size_t end) { return {.outcome = Head::Outcome::kBad, .end = end}; }

  // What stood before the separator was the kind; here the name, and the arguments as a block of code.
  Head read_fenced(std::string_view text, size_t at, Head head) const {
    const std::string_view line = text.substr(at, kNameBytesMax + 1);
    if (line.find('\n') == std::string_view::npos) return line.size() > kNameBytesMax ? bad(at) : head;
    const size_t line_end = at + line.find('\n');
    head.name = trim(text.substr(at, line_end - at));
    size_t body = skip_space(text, line_end);
    constexpr std::string_view kJsonFence = "```json";
    const Prefix fence = begins_with(text.substr(body), kJsonFence);
    if (fence == Prefix::kPart) return head;
    if (fence == Prefix::kWhole) body = skip_space(text, body + kJsonFence.size());
    return body == text.size() ? head : with_arguments(text, body, std::move(head));
  }

  Head with_arguments(std::string_view text, size_t body, Head head) const {
    if (text[body] != '{' || head.name.empty() || head.name.size() > kNameBytesMax) return bad(body);
    if (form_.numbered) read_number(head);
    head.outcome = Head::Outcome::kArguments;
    head.end = body;
    return head;
  }

  // "functions.f:0" is the call's id and holds the name.
  static void read_number(Head& head) {
    constexpr std::string_view kNamespace = "functions.";
    const size_t colon = head.name.rfind(':');
    const bool counted = colon != std::string::npos && colon + 1 < head.name.size() &&
                         head.name.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    if (counted) {
      head.id = head.name;
      head.name.resize(colon);
    }
    if (head.name.starts_with(kNamespace)) head.name.erase(0, kNamespace.size());
  }

  Between read_between(std::string_view text, bool) const override {
    const size_t at = skip_space(text, 0);
    if (at == text.size()) return {.outcome = Between::Outcome::kMore};
    if (form_.fenced) {
      const Prefix fence = begins_with(text.substr(at), kFence);
      if (fence == Prefix::kPart) return {.outcome = Between::Outcome::kMore};
      if (fence == Prefix::kWhole) return {.outcome = Between::Outcome::kFraming, .end = at + kFence.size()};
    }
    const MarkerMatch match = marker_at_start(text.substr(at), markers_);
    if (match.at != 0) return {};
    if (match.marker < 0) return {.outcome = Between::Outcome::kMore};
    const auto marker = static_cast<size_t>(match.marker);
    if (marker < openers_.size()) return {.outcome = Between::Outcome::kCall, .end = at};
    return {.outcome = Between::Outcome::kFraming, .end = at + markers_[marker].size()};
  }

  const MarkedCallForm form_;
  const std::vector<std::string> openers_, closers_;
  const std::vector<std::string> markers_;  // openers, then closers
};

}  // namespace

std::unique_ptr<CallParser> make_marked_calls(MarkedCallForm form, std::shared_ptr<const ToolSet> tools) {
  return std::make_unique<MarkedCalls>(std::move(form), std::move(tools));
}

}  // namespace sluice::text::answers
