#include "text/answers/harmony_reader.h"

#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

using Kind = AnswerEvent::Kind;

constexpr size_t kHeaderBytesMax = 1024, kRecipientBytesMax = 256;
constexpr std::string_view kStartToken = "<|start|>", kChannelToken = "<|channel|>", kMessageToken = "<|message|>",
                           kConstrainToken = "<|constrain|>";

const std::vector<std::string>& endings() {
  static const std::vector<std::string> kEndings = {"<|end|>", "<|call|>", "<|return|>"};
  return kEndings;
}

// What a header begins with.
const std::vector<std::string>& beginnings() {
  static const std::vector<std::string> kBeginnings = {std::string(kStartToken), std::string(kChannelToken),
                                                       std::string(kMessageToken)};
  return kBeginnings;
}

// What ends a message's text: its own end (endings(), in their order), or the next header where that is missing.
const std::vector<std::string>& borders() {
  static const std::vector<std::string> kBorders = {"<|end|>", "<|call|>", "<|return|>", std::string(kStartToken),
                                                    std::string(kChannelToken)};
  return kBorders;
}

// The word at `at`: up to white space or a token.
std::string_view word_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && !is_space(text[end]) && text[end] != '<') ++end;
  return text.substr(at, end - at);
}

// Whether the text is a header that begins with its recipient, as after the prompt's "<|start|>assistant".
Prefix begins_with_recipient(std::string_view text) {
  constexpr std::string_view kTo = "to=";
  const Prefix to = begins_with(text, kTo);
  if (to != Prefix::kWhole) return to;
  if (text.starts_with("to=functions.")) return Prefix::kWhole;
  const size_t end = skip_space(text, kTo.size() + word_at(text, kTo.size()).size());
  if (end > kRecipientBytesMax) return Prefix::kNo;
  return begins_with(text.substr(end), kChannelToken);
}

}  // namespace

const std::vector<std::string>& harmony_tokens() {
  static const std::vector<std::string> kTokens = {std::string(kStartToken),
                                                   std::string(kChannelToken),
                                                   std::string(kMessageToken),
                                                   std::string(kConstrainToken),
                                                   "<|end|>",
                                                   "<|call|>",
                                                   "<|return|>"};
  return kTokens;
}

HarmonyReader::HarmonyReader(bool calls, bool reasoning, bool begun)
    : calls_wanted_(calls), reasoning_wanted_(reasoning) {
  if (!begun) return;
  state_ = State::kBody;
  kind_ = reasoning ? Kind::kReasoning : Kind::kContent;
}

void HarmonyReader::push(std::string_view text, std::vector<AnswerEvent>& events) {
  events_ = &events;
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_ += text;
  while (advance()) {
  }
  events_ = nullptr;
}

void HarmonyReader::finish(bool truncated, std::vector<AnswerEvent>& events) {
  events_ = &events;
  switch (state_) {
    case State::kStart:
      if (truncated || (skip_space(rest(), 0) == rest().size() && began_)) break;
      begin_message({});
      say(rest());
      break;
    case State::kHeader:
      // The beginning of a call is none of the text.
      if (!truncated && !is_call(read_header(rest()))) say(rest());
      break;
    case State::kBody:
      if (!truncated) say(rest());
      break;
    case State::kCall:
      if (!truncated) {
        if (span_.broken()) append(Kind::kArguments, calls_ - 1, rest());
        if (!argued_) append(Kind::kArguments, calls_ - 1, "{}");
      }
      end_call();
      break;
    case State::kAfterCall:
      break;
  }
  buffer_.clear();
  begin_ = 0;
  events_ = nullptr;
}

bool HarmonyReader::advance() {
  switch (state_) {
    case State::kStart:
      return advance_start();
    case State::kHeader:
      return advance_header();
    case State::kBody:
      return advance_body();
    case State::kCall:
    case State::kAfterCall:
      return advance_call();
  }
  return false;
}

// Between messages: a header, or text without one.
bool HarmonyReader::advance_start() {
  const size_t first = skip_space(rest(), 0);
  const std::string_view text = rest().substr(first);
  if (text.empty()) return false;
  const MarkerMatch ending = marker_at_start(text, endings());
  const MarkerMatch beginning = marker_at_start(text, beginnings());
  if (ending.marker >= 0) {
    consume(first + endings()[static_cast<size_t>(ending.marker)].size());
    began_ = true;
    return true;
  }
  const Prefix recipient = begins_with_recipient(text);
  if (beginning.marker >= 0 || recipient == Prefix::kWhole) {
    consume(first);
    began_ = true;
    state_ = State::kHeader;
    return true;
  }
  if (beginning.at == 0 || ending.at == 0 || recipient == Prefix::kPart) return false;
  if (began_) consume(first);
  begin_message({});
  return true;
}

bool HarmonyReader::advance_header() {
  const std::string_view text = rest().substr(0, kHeaderBytesMax + kMessageToken.size());
  const size_t end = text.find(kMessageToken);
  if (end == std::string_view::npos) {
    if (text.size() < kHeaderBytesMax + kMessageToken.size()) return false;
    // No header after all: the text goes on where it was.
    say(text.substr(0, 1));
    consume(1);
    state_ = State::kBody;
    return true;
  }
  const Header header = read_header(text.substr(0, end));
  consume(end + kMessageToken.size());
  begin_message(header);
  return true;
}

// The last channel and recipient count: a header that was begun twice is read as the second one.
HarmonyReader::Header HarmonyReader::read_header(std::string_view text) {
  Header header;
  if (const size_t at = text.rfind(kChannelToken); at != std::string_view::npos)
    header.channel = word_at(text, skip_space(text, at + kChannelToken.size()));
  constexpr std::string_view kTo = "to=";
  for (size_t at = text.rfind(kTo); at != std::string_view::npos; at = text.substr(0, at).rfind(kTo)) {
    if (at > 0 && !is_space(text[at - 1]) && text[at - 1] != '>') continue;
    std::string_view recipient = word_at(text, at + kTo.size());
    constexpr std::string_view kNamespace = "functions.";
    if (recipient.starts_with(kNamespace)) recipient.remove_prefix(kNamespace.size());
    header.recipient = recipient;
    break;
  }
  return header;
}

bool HarmonyReader::is_call(const Header& header) const {
  return calls_wanted_ && !header.recipient.empty() && header.recipient != "user" && header.recipient != "all";
}

void HarmonyReader::begin_message(const Header& header) {
  began_ = true;
  if (is_call(header)) {
    events_->push_back({.kind = Kind::kCallBegin, .text = header.recipient, .call = calls_, .id = {}});
    ++calls_;
    span_ = JsonSpan();
    argued_ = false;
    state_ = State::kCall;
    return;
  }
  const bool reasoning = reasoning_wanted_ && header.channel == "analysis";
  kind_ = reasoning ? Kind::kReasoning : Kind::kContent;
  joint_due_ = reasoning ? said_reasoning_ : said_content_;
  state_ = State::kBody;
}

bool HarmonyReader::advance_body() {
  const MarkerMatch match = find_marker(rest(), borders());
  say(rest().substr(0, match.at));
  consume(match.at);
  if (match.marker < 0) return false;
  const auto border = static_cast<size_t>(match.marker);
  const bool ending = border < endings().size();
  if (ending) consume(borders()[border].size());
  state_ = ending ? State::kStart : State::kHeader;
  return true;
}

// Arguments are one JSON value; what is none goes on to the message's end.
bool HarmonyReader::advance_call() {
  if (state_ == State::kCall && !argued_) {
    consume(skip_space(rest(), 0));
    const MarkerMatch match = marker_at_start(rest(), borders());
    if (rest().empty() || (match.at == 0 && match.marker < 0)) return false;
    if (match.marker >= 0) append(Kind::kArguments, calls_ - 1, "{}");
    argued_ = true;
  }
  if (state_ == State::kCall && !span_.broken()) {
    std::string piece;
    consume(span_.read(rest(), piece));
    append(Kind::kArguments, calls_ - 1, piece);
    if (span_.done()) {
      end_call();
      return true;
    }
    if (!span_.broken()) return false;
  }
  const MarkerMatch match = find_marker(rest(), borders());
  if (state_ == State::kCall) append(Kind::kArguments, calls_ - 1, rest().substr(0, match.at));
  consume(match.at);
  if (match.marker < 0) return false;
  if (state_ == State::kCall) end_call();
  state_ = State::kStart;
  return true;
}

void HarmonyReader::end_call() {
  events_->push_back({.kind = Kind::kCallEnd, .text = {}, .call = calls_ - 1, .id = {}});
  state_ = State::kAfterCall;
}

void HarmonyReader::say(std::string_view text) {
  if (text.empty()) return;
  if (joint_due_) append(kind_, 0, "\n\n");
  joint_due_ = false;
  append(kind_, 0, text);
  (kind_ == Kind::kReasoning ? said_reasoning_ : said_content_) = true;
}

void HarmonyReader::append(Kind kind, int call, std::string_view text) {
  if (text.empty()) return;
  if (!events_->empty() && events_->back().kind == kind && events_->back().call == call) {
    events_->back().text += text;
  } else {
    events_->push_back({.kind = kind, .text = std::string(text), .call = call, .id = {}});
  }
}

}  // namespace sluice::text::answers
