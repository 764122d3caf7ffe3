#pragma once
// Lines typed at a terminal: editing in place with UTF-8 and wide characters, history by the arrows, pasted text of
// several lines as one message. EditedLine is what the keys do to a line and knows no terminal.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cli {

// Columns that a terminal gives to the text: two to an ideograph or emoji, none to a combining mark.
int display_columns(std::string_view text);

class EditedLine {
 public:
  enum class Event { kNone, kEnter, kInterrupt, kEnd, kSuspend, kClear };

  // `history`: earlier lines, oldest first. `words`: what Tab completes at the line's beginning.
  explicit EditedLine(const std::vector<std::string>& history = {}, std::vector<std::string> words = {});

  // One byte as the terminal sends it. Unknown escape sequences are swallowed.
  Event take(char byte);

  const std::string& text() const { return text_; }  // valid UTF-8, '\n' where lines were pasted
  size_t cursor() const { return cursor_; }          // bytes before it
  // Whether the bytes taken since the last call at most added to the end of the line.
  bool only_appended();

 private:
  void take_escape(char byte);
  void run_sequence(std::string_view parameters, char final);
  void insert(char byte);
  void move_to(size_t place);
  void erase(size_t begin, size_t end);
  void recall(int step);
  void complete();
  size_t before(size_t place) const;
  size_t after(size_t place) const;
  size_t word_before(size_t place) const;
  size_t word_after(size_t place) const;

  std::vector<std::string> lines_;  // history and, last, the line being written
  size_t line_;                     // of them, the one shown
  const std::vector<std::string> words_;
  std::string text_;
  size_t cursor_ = 0;
  std::string character_;  // the beginning of one of several bytes
  std::string escape_;     // an escape sequence under way
  bool pasting_ = false;
  bool appended_ = true;
};

// Where text of `columns` after a prompt ends on a terminal of `width` columns: the row, counted from the prompt's, and
// the column, which is below `width`.
struct ScreenPlace {
  int row = 0, column = 0;
};
ScreenPlace place_on_screen(int prompt_columns, std::string_view text, int width);

class LineEditor {
 public:
  enum class Outcome { kLine, kInterrupted, kEnd };

  // `wait_for_input` returns false when the wait was interrupted. The terminal is standard input and output.
  LineEditor(std::vector<std::string> words, std::function<bool()> wait_for_input);

  // Both are terminals that can be edited on.
  static bool usable();
  // Prints the prompt and reads a line. A line that is not empty joins the history.
  Outcome read(std::string_view prompt, bool bold, std::string& line);

 private:
  void show(EditedLine& line);
  void show_all(const EditedLine& line);
  void leave(EditedLine& line);

  const std::vector<std::string> words_;
  const std::function<bool()> wait_for_input_;
  std::vector<std::string> history_;
  // What the terminal shows.
  std::string prompt_, shown_;
  int prompt_columns_ = 0;
  size_t shown_cursor_ = 0;
  int shown_row_ = 0;  // the cursor's, counted from the prompt's
};

}  // namespace sluice::cli
