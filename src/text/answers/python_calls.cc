#include "text/answers/dialects.h"
#include "text/answers/markers.h"
#include "text/answers/python_literal.h"

namespace sluice::text::answers {
namespace {

class PythonCalls final : public CallParser {
 public:
  PythonCalls(PythonCallForm form, std::shared_ptr<const ToolSet> tools)
      : CallParser(std::move(tools)), form_(std::move(form)), markers_(form_.openers) {
    markers_.insert(markers_.end(), form_.closers.begin(), form_.closers.end());
  }

 private:
  const std::vector<std::string>& markers() const override { return markers_; }

  Opening find_opening(std::string_view text, const Place& place) const override {
    if (place.at_start) {
      const size_t first = skip_space(text, 0);
      if (first == text.size()) return {.at = first};
      if (text[first] == '[') return {.kind = Opening::Kind::kCall, .at = first};
    }
    return find_call_marker(text, form_.openers, form_.closers);
  }

  // A call is read whole: only then is it known to be one.
  Head read_head(std::string_view text, bool) const override {
    Head head;
    size_t at = 0;
    if (const MarkerMatch match = marker_at_start(text, form_.openers); match.marker >= 0) {
      at = form_.openers[static_cast<size_t>(match.marker)].size();
      head.explicit_marker = true;
    }
    head.end = at;
    head.outcome = Head::Outcome::kMore;
    at = skip_space(text, at);
    if (at < text.size() && text[at] == '[') {
      head.array = true;
      at = skip_space(text, at + 1);
    }
    if (at == text.size()) return head;
    const PythonRead name = read_python_name(text, at);
    if (name.outcome == PythonRead::Outcome::kBad) {
      head.outcome = Head::Outcome::kBad;
      return head;
    }
    const size_t name_end =
        text.find_first_not_of("-_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", at);
    if (name_end == std::string_view::npos) return head;
    head.name = text.substr(at, name_end - at);
    const PythonRead arguments = read_python_arguments(text, name_end, head.arguments);
    if (arguments.outcome == PythonRead::Outcome::kBad) head.outcome = Head::Outcome::kBad;
    if (arguments.outcome != PythonRead::Outcome::kValue) return head;
    head.outcome = Head::Outcome::kWhole;
    head.end = arguments.end;
    return head;
  }

  Between read_between(std::string_view text, bool in_array) const override {
    const size_t at = skip_space(text, 0);
    if (at == text.size()) return {.outcome = Between::Outcome::kMore, .array = in_array};
    if (in_array && text[at] == ']') return {.outcome = Between::Outcome::kFraming, .end = at + 1};
    if (in_array && text[at] == ',') {
      const size_t next = skip_space(text, at + 1);
      if (next == text.size()) return {.outcome = Between::Outcome::kMore, .array = true};
      if (text[next] == ']') return {.outcome = Between::Outcome::kFraming, .end = next + 1};
      return {.outcome = Between::Outcome::kCall, .end = next, .array = true};
    }
    const MarkerMatch match = marker_at_start(text.substr(at), markers_);
    if (match.at != 0) {
      const bool list = !in_array && text[at] == '[';
      return {.outcome = list ? Between::Outcome::kCall : Between::Outcome::kText, .end = list ? at : 0};
    }
    if (match.marker < 0) return {.outcome = Between::Outcome::kMore, .array = in_array};
    const auto marker = static_cast<size_t>(match.marker);
    if (marker < form_.openers.size()) return {.outcome = Between::Outcome::kCall, .end = at};
    return {.outcome = Between::Outcome::kFraming, .end = at + markers_[marker].size()};
  }

  const PythonCallForm form_;
  std::vector<std::string> markers_;  // openers, then closers
};

}  // namespace

std::unique_ptr<CallParser> make_python_calls(PythonCallForm form, std::shared_ptr<const ToolSet> tools) {
  return std::make_unique<PythonCalls>(std::move(form), std::move(tools));
}

}  // namespace sluice::text::answers
