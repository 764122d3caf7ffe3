#include "text/answers/json_span.h"

#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

constexpr size_t kDepthMax = 512;

// Letters of true, false, null, of numbers and of NaN and Infinity, which Python writes.
bool is_scalar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' || c == '.';
}

void append_escaped_control(std::string& copy, char byte) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (byte) {
    case '\n':
      copy += "\\n";
      return;
    case '\r':
      copy += "\\r";
      return;
    case '\t':
      copy += "\\t";
      return;
    default:
      copy += "\\u00";
      copy += kHex[static_cast<unsigned char>(byte) >> 4];
      copy += kHex[static_cast<unsigned char>(byte) & 15];
  }
}

}  // namespace

void JsonSpan::read_plain(char byte) {
  if (byte == '{' || byte == '[') {
    if (due_.size() >= kDepthMax) {
      state_ = State::kBroken;
    } else {
      due_ += byte == '{' ? '}' : ']';
    }
  } else if (byte == '}' || byte == ']') {
    if (due_.empty() || due_.back() != byte) {
      state_ = State::kBroken;
    } else {
      due_.pop_back();
      if (due_.empty()) state_ = State::kDone;
    }
  } else if (byte == '"') {
    state_ = State::kString;
  } else if (!is_space(byte) && !is_scalar(byte) && byte != ',' && byte != ':') {
    state_ = State::kBroken;
  }
}

size_t JsonSpan::read(std::string_view text, std::string& copy) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char byte = text[i];
    switch (state_) {
      case State::kPlain:
        read_plain(byte);
        break;
      case State::kString:
        if (byte == '"') {
          state_ = due_.empty() ? State::kDone : State::kPlain;
        } else if (byte == '\\') {
          state_ = State::kEscape;
          continue;
        } else if (static_cast<unsigned char>(byte) < 0x20) {
          append_escaped_control(copy, byte);
          continue;
        }
        break;
      case State::kEscape:
        state_ = State::kString;
        // A backslash before a control character is no escape of JSON's; the character alone can be one.
        if (static_cast<unsigned char>(byte) < 0x20) {
          append_escaped_control(copy, byte);
          continue;
        }
        copy += '\\';
        break;
      case State::kDone:
      case State::kBroken:
        return i;
    }
    if (state_ == State::kBroken) return i;
    copy += byte;
    if (state_ == State::kDone) return i + 1;
  }
  return text.size();
}

}  // namespace sluice::text::answers
