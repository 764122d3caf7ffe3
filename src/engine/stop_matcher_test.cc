#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice::engine {
namespace {

std::string feed(StopMatcher& matcher, const std::vector<std::string>& pieces, bool armed = true) {
  std::string text;
  for (const std::string& piece : pieces) text += matcher.push(piece, armed);
  return text;
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStop) {
  StopMatcher matcher({"END", "\n\n"}, false);
  EXPECT_EQ(matcher.push("abcE", true), "abc");
  EXPECT_EQ(matcher.push("N", true), "");
  EXPECT_EQ(matcher.push("x", true), "ENx");
  EXPECT_EQ(matcher.push("\n", true), "");
  EXPECT_EQ(matcher.push("y", true), "\ny");
  EXPECT_EQ(matcher.push("EN", true), "");
  EXPECT_EQ(matcher.flush(), "EN");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, FindsAStopAcrossPieces) {
  StopMatcher matcher({"</answer>"}, false);
  EXPECT_EQ(feed(matcher, {"tap</", "ans", "wer", "> and more"}), "tap");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.match(), "</answer>");
  EXPECT_EQ(matcher.push("more", true), "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, MayLeaveTheStopInTheText) {
  StopMatcher matcher({"END"}, true);
  EXPECT_EQ(feed(matcher, {"abE", "ND", "x"}), "abEND");
}

TEST(StopMatcher, TheFirstToBeCompleteWinsThenTheLongest) {
  StopMatcher inner({"abc", "b"}, false);
  EXPECT_EQ(inner.push("xabc", true), "xa");
  EXPECT_EQ(inner.match(), "b");
  StopMatcher longest({"c", "abc", "bc"}, false);
  EXPECT_EQ(longest.push("xabc", true), "x");
  EXPECT_EQ(longest.match(), "abc");
}

TEST(StopMatcher, FallsBackToAShorterBeginning) {
  StopMatcher matcher({"aab"}, false);
  EXPECT_EQ(feed(matcher, {"a", "a", "a", "b"}), "a");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, DisarmedStopsPassAndDoNotCountLater) {
  StopMatcher matcher({"ab"}, false);
  const std::string disarmed = matcher.push("ab", false);
  EXPECT_EQ(disarmed + matcher.push("x", true), "abx");
  EXPECT_FALSE(matcher.matched());
  // What began while disarmed and becomes complete when armed counts.
  EXPECT_EQ(matcher.push("a", false), "");
  EXPECT_EQ(matcher.push("b", true), "");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, WithoutStopsAllPasses) {
  StopMatcher matcher({}, false);
  EXPECT_EQ(matcher.push("any", true), "any");
  EXPECT_EQ(matcher.flush(), "");
}

struct Expected {
  std::string text, match;
};

Expected naive(const std::string& text, const std::vector<std::string>& stops, bool include) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string best;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop) && stop.size() > best.size()) best = stop;
    }
    if (!best.empty()) return {text.substr(0, include ? end : end - best.size()), best};
  }
  return {text, ""};
}

size_t longest_suffix_that_may_stop(const std::string& text, const std::vector<std::string>& stops) {
  size_t held = 0;
  for (const std::string& stop : stops) {
    for (size_t n = 1; n < stop.size(); ++n) {
      if (text.ends_with(stop.substr(0, n))) held = std::max(held, n);
    }
  }
  return held;
}

TEST(StopMatcher, AgreesWithSearchingTheWholeText) {
  int matches = 0;
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const auto word = [&](int length) {
      std::string text;
      for (int i = 0; i < length; ++i) text += static_cast<char>('a' + draw(0, 2));
      return text;
    };
    std::vector<std::string> stops(static_cast<size_t>(draw(1, 4)));
    for (std::string& stop : stops) stop = word(draw(1, 6));
    const std::string text = word(draw(0, 30));
    const bool include = draw(0, 1) == 1;
    const Expected expected = naive(text, stops, include);

    StopMatcher matcher(stops, include);
    std::string got, fed;
    for (size_t at = 0; at < text.size();) {
      const auto length = static_cast<size_t>(draw(1, 4));
      const std::string piece = text.substr(at, length);
      got += matcher.push(piece, true);
      fed += piece;
      at += length;
      if (matcher.matched()) break;
      EXPECT_EQ(fed.size() - got.size(), longest_suffix_that_may_stop(fed, stops));
    }
    if (matcher.matched()) {
      ++matches;
      EXPECT_EQ(matcher.match(), expected.match);
    } else {
      EXPECT_EQ(expected.match, "");
      got += matcher.flush();
    }
    ASSERT_EQ(got, expected.text) << "seed " << seed;
  }
  EXPECT_GT(matches, 5000);
}

}  // namespace
}  // namespace sluice::engine
