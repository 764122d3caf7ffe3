#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "text/answers/dialects.h"
#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         text.find_first_of(" \t\r\n<>{}[]\"'") == std::string_view::npos;
}

class TaggedCalls final : public CallParser {
 public:
  TaggedCalls(TaggedCallForm form, std::shared_ptr<const ToolSet> tools)
      : CallParser(std::move(tools)), form_(std::move(form)) {
    if (!form_.opener.empty()) openers_.push_back(form_.opener);
    if (!form_.name_open.empty()) openers_.push_back(form_.name_open);
    markers_ = openers_;
    markers_.insert(markers_.end(), form_.closers.begin(), form_.closers.end());
    next_ = form_.closers;
    next_.push_back(form_.key_open);
  }

 private:
  enum class Phase { kNext, kKey, kValueOpen, kText, kLiteral };

  const std::vector<std::string>& markers() const override { return markers_; }

  Opening find_opening(std::string_view text, const Place&) const override {
    return find_call_marker(text, openers_, form_.closers);
  }

  Head read_head(std::string_view text, bool) const override {
    Head head;
    head.explicit_marker = true;
    head.outcome = Head::Outcome::kMore;
    size_t at = 0;
    if (!form_.opener.empty() && begins_with(text, form_.opener) == Prefix::kWhole) at = form_.opener.size();
    head.end = at;
    at = skip_space(text, at);
    const Prefix open = begins_with(text.substr(at), form_.name_open);
    if (open == Prefix::kPart || at == text.size()) return head;
    if (open == Prefix::kNo) {
      head.outcome = Head::Outcome::kBad;
      return head;
    }
    at += form_.name_open.size();
    const size_t end = form_.name_close.empty() ? text.find_first_of("\n<", at) : text.find(form_.name_close, at);
    if (end == std::string_view::npos) {
      if (text.size() - at > kNameBytesMax) head.outcome = Head::Outcome::kBad;
      return head;
    }
    head.name = trim(text.substr(at, end - at));
    if (!is_name(head.name)) {
      head.outcome = Head::Outcome::kBad;
      return head;
    }
    head.end = end + form_.name_close.size();
    head.outcome = Head::Outcome::kArguments;
    return head;
  }

  Between read_between(std::string_view text, bool) const override {
    const size_t at = skip_space(text, 0);
    if (at == text.size()) return {.outcome = Between::Outcome::kMore};
    const MarkerMatch match = marker_at_start(text.substr(at), markers_);
    if (match.at != 0) return {};
    if (match.marker < 0) return {.outcome = Between::Outcome::kMore};
    const auto marker = static_cast<size_t>(match.marker);
    if (marker < openers_.size()) return {.outcome = Between::Outcome::kCall, .end = at};
    return {.outcome = Between::Outcome::kFraming, .end = at + markers_[marker].size()};
  }

  void begin_arguments(const Head& head) override {
    CallParser::begin_arguments(head);
    function_ = head.name;
    phase_ = Phase::kNext;
    any_ = false;
  }

  void complete_arguments() override {
    if (phase_ == Phase::kNext) argument_text(any_ ? "}" : "{}");
  }

  bool read_arguments(std::string_view text, size_t& taken) override {
    while (true) {
      const std::string_view rest = text.substr(taken);
      size_t used = 0;
      bool going = false;
      switch (phase_) {
        case Phase::kNext:
          if (read_next(rest, used, going)) {
            taken += used;
            return true;
          }
          break;
        case Phase::kKey:
          going = read_key(rest, used);
          break;
        case Phase::kValueOpen:
          going = read_value_open(rest, used);
          break;
        case Phase::kText:
          going = read_text(rest, used);
          break;
        case Phase::kLiteral:
          going = read_literal(rest, used);
          break;
      }
      taken += used;
      if (!going) return false;
    }
  }

  // Between values. True: the arguments have ended; a closer stays, as does what is no tag.
  bool read_next(std::string_view rest, size_t& used, bool& going) {
    const size_t at = skip_space(rest, 0);
    if (at == rest.size()) return false;
    const MarkerMatch match = marker_at_start(rest.substr(at), next_);
    if (match.at == 0 && match.marker < 0) return false;
    if (match.at != 0 || static_cast<size_t>(match.marker) < form_.closers.size()) {
      complete_arguments();
      return true;
    }
    used = at + form_.key_open.size();
    phase_ = Phase::kKey;
    going = true;
    return false;
  }

  bool read_key(std::string_view rest, size_t& used) {
    const size_t end = rest.find(form_.key_close);
    if (end == std::string_view::npos) return false;
    key_ = trim(rest.substr(0, end));
    used = end + form_.key_close.size();
    phase_ = Phase::kValueOpen;
    return true;
  }

  bool read_value_open(std::string_view rest, size_t& used) {
    const size_t at = form_.value_open.empty() ? 0 : skip_space(rest, 0);
    const Prefix open = begins_with(rest.substr(at), form_.value_open);
    if (open == Prefix::kPart) return false;
    used = at + (open == Prefix::kWhole ? form_.value_open.size() : 0);
    std::string begin = any_ ? ", " : "{";
    append_json_string(begin, key_);
    begin += ": ";
    any_ = true;
    const bool text = is_string_only(tools().parameter(function_, key_));
    if (text) begin += '"';
    argument_text(begin);
    phase_ = text ? Phase::kText : Phase::kLiteral;
    value_begun_ = false;
    searched_ = 0;
    return true;
  }

  // A string is handed on as it comes.
  bool read_text(std::string_view rest, size_t& used) {
    if (form_.trim_lines && !value_begun_) {
      if (rest.empty()) return false;
      if (rest.front() == '\n') used = 1;
    }
    value_begun_ = true;
    const std::string_view value = rest.substr(used);
    const MarkerMatch close = find_marker(value, {form_.value_close});
    size_t certain = close.at;
    if (form_.trim_lines && certain > 0 && value[certain - 1] == '\n') --certain;
    if (close.marker < 0) certain = utf8_complete_prefix(value.substr(0, certain));
    std::string piece;
    append_json_string(piece, value.substr(0, certain));
    argument_text(std::string_view(piece).substr(1, piece.size() - 2));
    used += certain;
    if (close.marker < 0) return false;
    used += close.at - certain + form_.value_close.size();
    argument_text("\"");
    phase_ = Phase::kNext;
    return true;
  }

  // Anything else is translated when it is whole.
  bool read_literal(std::string_view rest, size_t& used) {
    const size_t from = searched_ < form_.value_close.size() ? 0 : searched_ - form_.value_close.size();
    const size_t end = rest.find(form_.value_close, from);
    searched_ = rest.size();
    if (end == std::string_view::npos) return false;
    std::string_view value = rest.substr(0, end);
    if (form_.trim_lines && value.starts_with('\n')) value.remove_prefix(1);
    if (form_.trim_lines && value.ends_with('\n')) value.remove_suffix(1);
    argument_text(argument_json(value, tools().parameter(function_, key_)));
    used = end + form_.value_close.size();
    phase_ = Phase::kNext;
    return true;
  }

  const TaggedCallForm form_;
  std::vector<std::string> openers_;
  std::vector<std::string> markers_;  // openers, then closers
  std::vector<std::string> next_;     // closers, then key_open
  Phase phase_ = Phase::kNext;
  std::string function_, key_;
  bool any_ = false;          // a key has been written
  bool value_begun_ = false;  // of kText: the form's first line end is past
  size_t searched_ = 0;       // of kLiteral: no end in so many bytes
};

}  // namespace

std::unique_ptr<CallParser> make_tagged_calls(TaggedCallForm form, std::shared_ptr<const ToolSet> tools) {
  return std::make_unique<TaggedCalls>(std::move(form), std::move(tools));
}

}  // namespace sluice::text::answers
