#include "cli/line_editor.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using Event = EditedLine::Event;

std::string typed(std::string_view keys, EditedLine line = EditedLine()) {
  for (const char key : keys) EXPECT_EQ(line.take(key), Event::kNone);
  return line.text().substr(0, line.cursor()) + "|" + line.text().substr(line.cursor());
}

TEST(EditedLine, KeysMoveAndErase) {
  const std::pair<std::string, std::string> cases[] = {
      {"hello", "hello|"},
      {"helo\x02l", "hell|o"},                             // Ctrl-B
      {"ab\x1b[D\x1b[Dx", "x|ab"},                         // left
      {"ab\x1b[D\x1b[D\x1b[D\x1b[C\x1b[Cc", "abc|"},       // not beyond the ends
      {"one two\x01x\x05y", "xone twoy|"},                 // Home, End as Ctrl-A, Ctrl-E
      {"one two\x1b[Hx\x1bOFy", "xone twoy|"},             // … as escape sequences
      {"one two\x17z", "one z|"},                          // Ctrl-W
      {"one two\x1b[1;5D\x0B", "one |"},                   // Ctrl-Left, Ctrl-K
      {"one two\x1b\x62\x15", "|two"},                     // Alt-B, Ctrl-U
      {"abc\x01\x04\x1b[3~", "|c"},                        // Ctrl-D, Delete
      {"\x7F\x08", "|"},                                   // nothing to erase
      {"a\x1b[99;99zb\x1b[200~c\rd\x1b[201~", "abc\nd|"},  // unknown keys; pasted lines
      {"a\tb", "ab|"},
      {"\x1b[200~\x03\x04\x1b[A\x1b[201~x", "x|"},  // a paste presses no keys
  };
  for (const auto& [keys, expected] : cases) EXPECT_EQ(typed(keys), expected);
}

TEST(EditedLine, CharactersAreErasedWhole) {
  EXPECT_EQ(typed("打开微信\x7F"), "打开微|");
  EXPECT_EQ(typed("打开\x1b[D\x1b[D\x1b[3~"), "|开");
  EXPECT_EQ(typed("e\u0301x\x7F\x7F"), "|");  // with its accent
  EXPECT_EQ(typed("e\u0301x\x01\x06"), "e\u0301|x");
  EXPECT_EQ(typed("a\xFF\xE4\xBD"
                  "b\xA0"),
            "ab|");  // broken bytes are dropped
}

TEST(EditedLine, Events) {
  EditedLine line;
  EXPECT_EQ(line.take(0x04), Event::kEnd);
  EXPECT_EQ(line.take('a'), Event::kNone);
  EXPECT_EQ(line.take(0x04), Event::kNone);
  EXPECT_EQ(line.take(0x03), Event::kInterrupt);
  EXPECT_EQ(line.take('\r'), Event::kEnter);
  EXPECT_EQ(line.take(0x0C), Event::kClear);
  EXPECT_EQ(line.take(0x1A), Event::kSuspend);
}

TEST(EditedLine, ArrowsRecallEarlierLinesAndKeepTheNewOne) {
  const std::vector<std::string> history = {"first", "second"};
  const auto line = [&] { return EditedLine(history); };
  EXPECT_EQ(typed("\x1b[A", line()), "second|");
  EXPECT_EQ(typed("\x1b[A\x1b[A\x1b[A", line()), "first|");
  EXPECT_EQ(typed("new\x10\x0E", line()), "new|");
  EXPECT_EQ(typed("new\x1b[A!\x1b[A\x1b[B", line()), "second!|");
}

TEST(EditedLine, TabCompletesAsFarAsIsCertain) {
  const std::vector<std::string> words = {"/save", "/set", "/stats", "/quit"};
  const auto line = [&] { return EditedLine({}, words); };
  EXPECT_EQ(typed("/q\t", line()), "/quit|");
  EXPECT_EQ(typed("/st\t", line()), "/stats|");
  EXPECT_EQ(typed("/s\t", line()), "/s|");
  EXPECT_EQ(typed("hello\t", line()), "hello|");
}

TEST(Screen, WideCharactersTakeTwoColumnsAndWrapWhole) {
  EXPECT_EQ(display_columns("ab"), 2);
  EXPECT_EQ(display_columns("打开"), 4);
  EXPECT_EQ(display_columns("e\u0301"), 1);
  EXPECT_EQ(display_columns("😀"), 2);
  const auto at = [](int prompt, std::string_view text, int width) {
    const ScreenPlace place = place_on_screen(prompt, text, width);
    return std::pair(place.row, place.column);
  };
  EXPECT_EQ(at(2, "", 10), std::pair(0, 2));
  EXPECT_EQ(at(2, "12345678", 10), std::pair(1, 0));
  EXPECT_EQ(at(2, "1234567打", 10), std::pair(1, 2));  // one column is left: it goes to the next row
  EXPECT_EQ(at(2, "123456打", 10), std::pair(1, 0));
}

}  // namespace
}  // namespace sluice::cli
