#include <algorithm>

#include "base/json.h"
#include "text/answers/dialects.h"
#include "text/answers/json_call_head.h"
#include "text/answers/markers.h"
#include "text/answers/python_literal.h"

namespace sluice::text::answers {
namespace {

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.' || c == ':' || c == '/';
}

class JsonCalls final : public CallParser {
 public:
  JsonCalls(JsonCallForm form, std::shared_ptr<const ToolSet> tools)
      : CallParser(std::move(tools)), form_(std::move(form)), markers_(form_.openers) {
    markers_.insert(markers_.end(), form_.closers.begin(), form_.closers.end());
  }

 private:
  const std::vector<std::string>& markers() const override { return markers_; }

  Opening find_opening(std::string_view text, const Place& place) const override {
    if (form_.bare && place.at_start) {
      const size_t first = skip_space(text, 0);
      if (first == text.size()) return {.at = first};
      if (text[first] == '{') return {.kind = Opening::Kind::kCall, .at = first};
    }
    return find_call_marker(text, form_.openers, form_.closers);
  }

  Head read_head(std::string_view text, bool ended) const override {
    Head head;
    size_t at = 0;
    if (const MarkerMatch match = marker_at_start(text, form_.openers); match.marker >= 0) {
      at = form_.openers[static_cast<size_t>(match.marker)].size();
      head.explicit_marker = true;
    }
    const size_t marker_end = at;
    at = skip_space(text, at);
    if (head.explicit_marker && at < text.size() && text[at] == '[') {
      head.array = true;
      at = skip_space(text, at + 1);
    }
    head.outcome = Head::Outcome::kMore;
    if (at < text.size() && text[at] == '{') {
      read_object(text, at, head);
    } else if (at < text.size() && !head.array && form_.named && is_name_byte(text[at])) {
      read_named(text, at, head);
    } else if (at < text.size() && !head.array && form_.python && head.explicit_marker) {
      read_python(text, at, ended, head);
    } else if (at < text.size()) {
      head.outcome = Head::Outcome::kBad;
    }
    if (head.outcome == Head::Outcome::kBad) head.end = marker_end;
    return head;
  }

  void read_object(std::string_view text, size_t at, Head& head) const {
    JsonCallHead json = read_json_call_head(text.substr(at), !head.explicit_marker);
    head.outcome = static_cast<Head::Outcome>(json.outcome);
    head.end = at + json.end;
    head.name = std::move(json.name);
    if (!form_.counts) head.id = std::move(json.id);
    head.arguments = std::move(json.arguments);
    head.open = std::move(json.open);
  }

  // Mistral's newer form: name, then [CALL_ID]id and [ARGS] or neither, then the object.
  static void read_named(std::string_view text, size_t at, Head& head) {
    size_t end = at;
    while (end < text.size() && is_name_byte(text[end])) ++end;
    head.outcome = end - at > kNameBytesMax ? Head::Outcome::kBad : Head::Outcome::kMore;
    if (end == text.size() || head.outcome == Head::Outcome::kBad) return;
    head.name = text.substr(at, end - at);
    at = skip_space(text, end);
    constexpr std::string_view kCallId = "[CALL_ID]", kArguments = "[ARGS]";
    if (const Prefix id = begins_with(text.substr(at), kCallId); id == Prefix::kPart) {
      return;
    } else if (id == Prefix::kWhole) {
      at += kCallId.size();
      end = at;
      while (end < text.size() && is_name_byte(text[end])) ++end;
      if (end == text.size()) return;
      head.id = text.substr(at, end - at);
      at = skip_space(text, end);
    }
    if (const Prefix arguments = begins_with(text.substr(at), kArguments); arguments == Prefix::kPart) {
      return;
    } else if (arguments == Prefix::kWhole) {
      at = skip_space(text, at + kArguments.size());
    }
    if (at == text.size()) return;
    head.outcome = text[at] == '{' ? Head::Outcome::kArguments : Head::Outcome::kBad;
    head.end = at;
  }

  // Llama's tools of its own: brave_search.call(query="…"); else code for an interpreter, if there is a tool for it.
  void read_python(std::string_view text, size_t at, bool ended, Head& head) const {
    const PythonRead name = read_python_name(text, at);
    if (name.outcome == PythonRead::Outcome::kValue) {
      if (name.end == text.size() && !ended) return;
      std::string_view function = text.substr(at, name.end - at);
      const bool is_call = function.ends_with(".call");
      if (is_call) function.remove_suffix(5);
      if (is_call || tools().has(function)) {
        head.name = function;
        const PythonRead arguments = read_python_arguments(text, name.end, head.arguments);
        head.end = arguments.end;
        if (arguments.outcome == PythonRead::Outcome::kValue) head.outcome = Head::Outcome::kWhole;
        if (arguments.outcome != PythonRead::Outcome::kBad) return;
      }
    }
    head.name.clear();
    head.arguments.clear();
    for (const char* interpreter : {"code_interpreter", "python", "ipython"}) {
      if (tools().has(interpreter)) head.name = interpreter;
    }
    if (head.name.empty()) {
      head.outcome = Head::Outcome::kBad;
    } else if (ended) {  // code goes on to the answer's end
      head.outcome = Head::Outcome::kWhole;
      head.end = text.size();
      head.arguments = R"({"code": )";
      append_json_string(head.arguments, text.substr(at));
      head.arguments += '}';
    }
  }

  Between read_between(std::string_view text, bool in_array) const override {
    const size_t at = skip_space(text, 0);
    const auto answer = [&](Between::Outcome outcome, size_t end, bool array) {
      return Between{.outcome = outcome, .end = end, .array = array};
    };
    if (at == text.size()) return answer(Between::Outcome::kMore, 0, in_array);
    if (in_array && text[at] == ']') return answer(Between::Outcome::kFraming, at + 1, false);
    if (text[at] == ',' || text[at] == ';') {
      const size_t next = skip_space(text, at + 1);
      if (next == text.size()) return answer(Between::Outcome::kMore, 0, in_array);
      if (text[next] == '{') return answer(Between::Outcome::kCall, next, in_array);
      const MarkerMatch match = marker_at_start(text.substr(next), form_.openers);
      if (match.at == 0) {
        return answer(match.marker >= 0 ? Between::Outcome::kCall : Between::Outcome::kMore, next, in_array);
      }
      return answer(Between::Outcome::kText, 0, false);
    }
    // A bracket too many, as small models write them.
    if ((text[at] == '}' || text[at] == ']') && !form_.closers.empty())
      return answer(Between::Outcome::kFraming, at + 1, in_array);
    if (text[at] == '{' && form_.bare) return answer(Between::Outcome::kCall, at, false);
    const MarkerMatch match = marker_at_start(text.substr(at), markers_);
    if (match.at != 0) return answer(Between::Outcome::kText, 0, false);
    if (match.marker < 0) return answer(Between::Outcome::kMore, 0, in_array);
    const auto marker = static_cast<size_t>(match.marker);
    if (marker < form_.openers.size()) return answer(Between::Outcome::kCall, at, false);
    return answer(Between::Outcome::kFraming, at + markers_[marker].size(), false);
  }

  const JsonCallForm form_;
  std::vector<std::string> markers_;  // openers, then closers
};

}  // namespace

std::unique_ptr<CallParser> make_json_calls(JsonCallForm form, std::shared_ptr<const ToolSet> tools) {
  return std::make_unique<JsonCalls>(std::move(form), std::move(tools));
}

}  // namespace sluice::text::answers
