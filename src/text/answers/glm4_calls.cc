#include "base/strings.h"
#include "text/answers/dialects.h"
#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

class Glm4Calls final : public CallParser {
 public:
  explicit Glm4Calls(std::shared_ptr<const ToolSet> tools) : CallParser(std::move(tools)) {}

 private:
  const std::vector<std::string>& markers() const override { return markers_; }

  // At a line that is a function's name, or may become one; framing is left out wherever it stands.
  Opening find_opening(std::string_view text, const Place& place) const override {
    const MarkerMatch marker = find_marker(text, markers_);
    bool line_start = place.line_start;
    for (size_t at = 0; at < marker.at;) {
      const size_t line_end = std::min(text.find('\n', at), marker.at);
      if (line_start) {
        const std::string_view line = text.substr(at, line_end - at);
        const size_t indent = skip_space(line, 0);
        if (indent < line.size() && tools().may_become_name(line.substr(indent))) {
          const bool whole = line_end < marker.at;
          if (!whole && marker.marker < 0 && line_end == text.size()) return {.at = at + indent};
          if (whole && tools().has(trim(line))) return {.kind = Opening::Kind::kCall, .at = at + indent};
        }
      }
      line_start = true;
      at = line_end + 1;
    }
    if (marker.marker < 0) return {.at = marker.at};
    return {.kind = Opening::Kind::kFraming,
            .at = marker.at,
            .length = markers_[static_cast<size_t>(marker.marker)].size()};
  }

  Head read_head(std::string_view text, bool) const override {
    Head head;
    const std::string_view line = text.substr(0, kNameBytesMax + 1);
    const size_t line_end = line.find('\n');
    head.end = std::min(line_end, line.size());
    if (line_end == std::string_view::npos) {
      head.outcome = line.size() > kNameBytesMax ? Head::Outcome::kBad : Head::Outcome::kMore;
      return head;
    }
    head.name = trim(text.substr(0, line_end));
    const size_t body = skip_space(text, line_end);
    if (body == text.size()) {
      head.outcome = Head::Outcome::kMore;
    } else if (text[body] == '{') {
      head.outcome = Head::Outcome::kArguments;
      head.end = body;
    }
    return head;
  }

  Between read_between(std::string_view, bool) const override { return {}; }

  const std::vector<std::string> markers_ = {"<|assistant|>", "<|observation|>"};
};

}  // namespace

std::unique_ptr<CallParser> make_glm4_calls(std::shared_ptr<const ToolSet> tools) {
  return std::make_unique<Glm4Calls>(std::move(tools));
}

}  // namespace sluice::text::answers
