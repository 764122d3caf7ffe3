#pragma once
// Finds stop strings in a text that arrives in pieces, and lets through what can no longer be part of one. The pieces'
// borders do not matter. The stop string that is complete first wins; of several complete at the same byte, the
// longest. Aho and Corasick's automaton (CACM 18(6), 1975): its state's depth is the length of the longest suffix of
// the text that may still become a stop string, which is exactly what must be held back.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::engine {

class StopMatcher {
 public:
  // No stop string may be empty. `include_stop` leaves the one that is found at the end of the text.
  StopMatcher(std::vector<std::string> stops, bool include_stop);

  // The text that is now certain. Stop strings that become complete in this piece count only when `armed`. After a
  // match nothing more comes.
  std::string push(std::string_view piece, bool armed);
  // The text held back; the answer has ended.
  std::string flush();

  bool matched() const { return matched_ >= 0; }
  const std::string& match() const { return stops_[static_cast<size_t>(matched_)]; }  // only when matched()

 private:
  struct State {
    std::vector<std::pair<char, int>> next;
    int fallback = 0;  // the state of the longest proper suffix
    int depth = 0;
    int stop = -1;  // the longest stop string that ends here
  };
  int child(int state, char byte) const;
  int step(int state, char byte) const;

  std::vector<std::string> stops_;
  bool include_stop_;
  std::vector<State> states_;  // breadth first; 0: nothing matched
  int state_ = 0;
  std::string held_;  // its size is the state's depth
  int matched_ = -1;
};

}  // namespace sluice::engine
