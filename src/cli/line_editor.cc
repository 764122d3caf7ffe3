#include "cli/line_editor.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/strings.h"

namespace sluice::cli {
namespace {

constexpr size_t kHistoryMax = 1000;
constexpr size_t kSequenceMax = 32;
constexpr std::string_view kLineBreak = "↵";  // how a pasted line's end is shown

struct Range {
  char32_t first, last;
};
// The blocks of Unicode that matter in conversations; ascending.
constexpr std::array kWide = {
    Range{0x1100, 0x115F},   Range{0x231A, 0x231B},   Range{0x23E9, 0x23EC},   Range{0x2614, 0x2615},
    Range{0x2648, 0x2653},   Range{0x26C4, 0x26C5},   Range{0x2705, 0x2705},   Range{0x270A, 0x270B},
    Range{0x2728, 0x2728},   Range{0x274C, 0x274C},   Range{0x2753, 0x2755},   Range{0x2795, 0x2797},
    Range{0x2B50, 0x2B50},   Range{0x2E80, 0x303E},   Range{0x3041, 0xA4CF},   Range{0xA960, 0xA97F},
    Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},
    Range{0xFFE0, 0xFFE6},   Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1F9FF},
    Range{0x1FA70, 0x1FAFF}, Range{0x20000, 0x3FFFD}};
constexpr std::array kNone = {Range{0x0300, 0x036F}, Range{0x0483, 0x0489},   Range{0x0591, 0x05BD},
                              Range{0x064B, 0x065F}, Range{0x1AB0, 0x1AFF},   Range{0x1DC0, 0x1DFF},
                              Range{0x200B, 0x200F}, Range{0x202A, 0x202E},   Range{0x2060, 0x2064},
                              Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F},   Range{0xFE20, 0xFE2F},
                              Range{0xFEFF, 0xFEFF}, Range{0x1F3FB, 0x1F3FF}, Range{0xE0100, 0xE01EF}};

template <size_t N>
bool within(const std::array<Range, N>& ranges, char32_t c) {
  return std::ranges::any_of(ranges, [c](const Range& range) { return c >= range.first && c <= range.last; });
}

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
size_t bytes_of(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xC0 ? 0 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : byte < 0xF8 ? 4 : 0;
}

// The character at `at` of valid UTF-8; moves `at` behind it.
char32_t character_at(std::string_view text, size_t& at) {
  const size_t size = std::max<size_t>(1, bytes_of(text[at]));
  const auto lead = static_cast<unsigned char>(text[at]);
  char32_t c = size == 1 ? lead : lead & (0x7F >> size);
  for (size_t i = 1; i < size && at + i < text.size(); ++i)
    c = c << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3F);
  at = std::min(at + size, text.size());
  return c;
}

int columns_of(char32_t c) {
  if (c == '\n') return 1;  // shown as kLineBreak
  if (c < 0x300) return 1;
  return within(kNone, c) ? 0 : within(kWide, c) ? 2 : 1;
}

std::string as_shown(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += kLineBreak;
    } else {
      out += c;
    }
  }
  return out;
}

int terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Keys one by one, none of them a signal, as long as it lives.
class RawMode {
 public:
  RawMode() { enter(); }
  ~RawMode() { leave(); }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

  void enter() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    raw.c_iflag &= ~static_cast<tcflag_t>(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | IEXTEN | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    changed_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    std::fputs("\x1b[?2004h", stdout);  // pasted text comes in brackets
  }
  void leave() {
    if (!changed_) return;
    std::fputs("\x1b[?2004l", stdout);
    std::fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    changed_ = false;
  }

 private:
  termios before_{};
  bool changed_ = false;
};

}  // namespace

int display_columns(std::string_view text) {
  int columns = 0;
  for (size_t at = 0; at < text.size();) columns += columns_of(character_at(text, at));
  return columns;
}

ScreenPlace place_on_screen(int prompt_columns, std::string_view text, int width) {
  width = std::max(width, 2);
  ScreenPlace place = {prompt_columns / width, prompt_columns % width};
  for (size_t at = 0; at < text.size();) {
    const int columns = columns_of(character_at(text, at));
    if (place.column + columns > width) place = {place.row + 1, 0};  // a wide one does not fit in the last column
    place.column += columns;
    if (place.column == width) place = {place.row + 1, 0};
  }
  return place;
}

// What keys do
// ---------------------------------------------------------------------------------------------------------------------

EditedLine::EditedLine(const std::vector<std::string>& history, std::vector<std::string> words)
    : lines_(history), line_(history.size()), words_(std::move(words)) {
  lines_.emplace_back();
}

bool EditedLine::only_appended() { return std::exchange(appended_, true); }

size_t EditedLine::before(size_t place) const {
  while (place > 0) {
    do --place;
    while (place > 0 && continues(text_[place]));
    size_t at = place;
    if (columns_of(character_at(text_, at)) > 0) break;  // a combining mark goes with what it marks
  }
  return place;
}

size_t EditedLine::after(size_t place) const {
  if (place == text_.size()) return place;
  character_at(text_, place);
  while (place < text_.size()) {
    size_t behind = place;
    if (columns_of(character_at(text_, behind)) > 0) break;
    place = behind;
  }
  return place;
}

size_t EditedLine::word_before(size_t place) const {
  while (place > 0 && text_[place - 1] == ' ') --place;
  while (place > 0 && text_[place - 1] != ' ') --place;
  return place;
}

size_t EditedLine::word_after(size_t place) const {
  while (place < text_.size() && text_[place] == ' ') ++place;
  while (place < text_.size() && text_[place] != ' ') ++place;
  return place;
}

void EditedLine::move_to(size_t place) {
  appended_ = appended_ && place == cursor_;
  cursor_ = place;
}

void EditedLine::erase(size_t begin, size_t end) {
  appended_ = appended_ && begin == end;
  text_.erase(begin, end - begin);
  cursor_ = begin;
}

void EditedLine::recall(int step) {
  if ((step < 0 && line_ == 0) || (step > 0 && line_ + 1 >= lines_.size())) return;
  lines_[line_] = text_;
  line_ = step < 0 ? line_ - 1 : line_ + 1;
  text_ = lines_[line_];
  cursor_ = text_.size();
  appended_ = false;
}

// As far as all words that begin like the line agree.
void EditedLine::complete() {
  if (cursor_ != text_.size() || text_.empty()) return;
  std::string common;
  bool found = false;
  for (const std::string& word : words_) {
    if (!word.starts_with(text_)) continue;
    const auto differs = std::ranges::mismatch(common, word);
    common = found ? std::string(common.begin(), differs.in1) : word;
    found = true;
  }
  for (size_t i = text_.size(); i < common.size(); ++i) insert(common[i]);
}

// One byte of a character; it joins the line when the character is whole.
void EditedLine::insert(char byte) {
  if (character_.empty() != !continues(byte)) character_.clear();
  if (character_.empty() && bytes_of(byte) == 0) return;
  character_ += byte;
  if (character_.size() < bytes_of(character_[0])) return;
  if (utf8_valid(character_)) {
    appended_ = appended_ && cursor_ == text_.size();
    text_.insert(cursor_, character_);
    cursor_ += character_.size();
  }
  character_.clear();
}

EditedLine::Event EditedLine::take(char byte) {
  if (!escape_.empty()) {
    take_escape(byte);
    return Event::kNone;
  }
  if (byte == '\x1b') {
    escape_ = byte;
    return Event::kNone;
  }
  if (pasting_) {
    if (byte == '\r') byte = '\n';
    if (byte == '\t') byte = ' ';
    if (byte == '\n' || static_cast<unsigned char>(byte) >= 0x20) insert(byte);
    return Event::kNone;
  }
  switch (byte) {
    case '\r':
    case '\n':
      return Event::kEnter;
    case 0x01:
      move_to(0);
      break;
    case 0x02:
      move_to(before(cursor_));
      break;
    case 0x03:
      return Event::kInterrupt;
    case 0x04:
      if (text_.empty()) return Event::kEnd;
      erase(cursor_, after(cursor_));
      break;
    case 0x05:
      move_to(text_.size());
      break;
    case 0x06:
      move_to(after(cursor_));
      break;
    case 0x08:
    case 0x7F:
      erase(before(cursor_), cursor_);
      break;
    case '\t':
      complete();
      break;
    case 0x0B:
      erase(cursor_, text_.size());
      break;
    case 0x0C:
      return Event::kClear;
    case 0x0E:
      recall(1);
      break;
    case 0x10:
      recall(-1);
      break;
    case 0x15:
      erase(0, cursor_);
      break;
    case 0x17:
      erase(word_before(cursor_), cursor_);
      break;
    case 0x1A:
      return Event::kSuspend;
    default:
      if (static_cast<unsigned char>(byte) >= 0x20) insert(byte);
  }
  return Event::kNone;
}

// ESC [ parameters final, ESC O final, ESC key.
void EditedLine::take_escape(char byte) {
  if (escape_.size() == 1 && (byte == '[' || byte == 'O')) {
    escape_ += byte;
    return;
  }
  if (escape_.size() == 1) {
    escape_.clear();
    if (byte == 'b') move_to(word_before(cursor_));
    if (byte == 'f') move_to(word_after(cursor_));
    if (byte == '\r' || byte == '\n') insert('\n');
    return;
  }
  const bool final = byte >= 0x40 && byte <= 0x7E;
  if (!final && escape_.size() < kSequenceMax) {
    escape_ += byte;
    return;
  }
  const std::string sequence = std::exchange(escape_, {});
  if (final) run_sequence(std::string_view(sequence).substr(2), byte);
}

void EditedLine::run_sequence(std::string_view parameters, char final) {
  if (final == '~' && (parameters == "200" || parameters == "201")) {
    pasting_ = parameters == "200";
    return;
  }
  if (pasting_) return;
  const bool by_word = parameters.ends_with(";5") || parameters.ends_with(";3");
  switch (final) {
    case 'A':
      return recall(-1);
    case 'B':
      return recall(1);
    case 'C':
      return move_to(by_word ? word_after(cursor_) : after(cursor_));
    case 'D':
      return move_to(by_word ? word_before(cursor_) : before(cursor_));
    case 'H':
      return move_to(0);
    case 'F':
      return move_to(text_.size());
    case '~':
      if (parameters == "1" || parameters == "7") move_to(0);
      if (parameters == "4" || parameters == "8") move_to(text_.size());
      if (parameters == "3") erase(cursor_, after(cursor_));
      return;
    default:
      return;
  }
}

// The terminal
// ---------------------------------------------------------------------------------------------------------------------

LineEditor::LineEditor(std::vector<std::string> words, std::function<bool()> wait_for_input)
    : words_(std::move(words)), wait_for_input_(std::move(wait_for_input)) {}

bool LineEditor::usable() {
  const char* kind = std::getenv("TERM");
  return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0 && kind != nullptr && std::string_view(kind) != "dumb";
}

void LineEditor::show_all(const EditedLine& line) {
  const int width = terminal_width();
  const ScreenPlace end = place_on_screen(prompt_columns_, line.text(), width);
  const ScreenPlace cursor =
      place_on_screen(prompt_columns_, std::string_view(line.text()).substr(0, line.cursor()), width);
  std::string out = "\r";
  if (shown_row_ > 0) out += cat("\x1b[", shown_row_, "A");
  out += cat("\x1b[J", prompt_, as_shown(line.text()));
  if (end.row > 0 && end.column == 0) out += "\r\n";  // terminals wrap only with the next character
  if (end.row > cursor.row) out += cat("\x1b[", end.row - cursor.row, "A");
  out += "\r";
  if (cursor.column > 0) out += cat("\x1b[", cursor.column, "C");
  std::fputs(out.c_str(), stdout);
  shown_row_ = cursor.row;
}

void LineEditor::show(EditedLine& line) {
  const bool appended = line.only_appended();
  if (line.text() == shown_ && line.cursor() == shown_cursor_) return;
  if (appended && place_on_screen(prompt_columns_, line.text(), terminal_width()).row == shown_row_) {
    std::fputs(as_shown(std::string_view(line.text()).substr(shown_.size())).c_str(), stdout);
  } else {
    show_all(line);
  }
  shown_ = line.text();
  shown_cursor_ = line.cursor();
  std::fflush(stdout);
}

// To the row below the line, whatever its length and wherever the cursor.
void LineEditor::leave(EditedLine& line) {
  show(line);
  const ScreenPlace end = place_on_screen(prompt_columns_, line.text(), terminal_width());
  if (end.row > shown_row_) std::fputs(cat("\x1b[", end.row - shown_row_, "B").c_str(), stdout);
  std::fputs("\r\n", stdout);
  std::fflush(stdout);
}

LineEditor::Outcome LineEditor::read(std::string_view prompt, bool bold, std::string& line) {
  RawMode raw;
  EditedLine edited(history_, words_);
  prompt_ = bold ? cat("\x1b[1m", prompt, "\x1b[0m") : std::string(prompt);
  prompt_columns_ = display_columns(prompt);
  shown_.clear();
  shown_cursor_ = 0;
  shown_row_ = 0;
  std::fputs(prompt_.c_str(), stdout);
  std::fflush(stdout);
  while (true) {
    if (!wait_for_input_()) {
      leave(edited);
      return Outcome::kInterrupted;
    }
    // Byte by byte: what is typed behind a line's end belongs to the next one.
    char byte = 0;
    const ssize_t size = ::read(STDIN_FILENO, &byte, 1);
    if (size < 0 && errno == EINTR) continue;
    switch (size == 1 ? edited.take(byte) : EditedLine::Event::kEnd) {
      case EditedLine::Event::kEnter:
        leave(edited);
        line = edited.text();
        if (!trim(line).empty() && (history_.empty() || history_.back() != line)) history_.push_back(line);
        if (history_.size() > kHistoryMax) history_.erase(history_.begin());
        return Outcome::kLine;
      case EditedLine::Event::kInterrupt:
        leave(edited);
        return Outcome::kInterrupted;
      case EditedLine::Event::kEnd:
        leave(edited);
        return Outcome::kEnd;
      case EditedLine::Event::kSuspend:
        leave(edited);
        raw.leave();
        raise(SIGTSTP);
        raw.enter();
        shown_row_ = 0;
        show_all(edited);
        std::fflush(stdout);
        break;
      case EditedLine::Event::kClear:
        std::fputs("\x1b[H\x1b[2J", stdout);
        shown_row_ = 0;
        show_all(edited);
        std::fflush(stdout);
        break;
      case EditedLine::Event::kNone: {
        pollfd more = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
        if (poll(&more, 1, 0) <= 0) show(edited);  // pasted text is shown once
        break;
      }
    }
  }
}

}  // namespace sluice::cli
