#pragma once
// ByteTrie: finds which of many strings begin at a place in a text. Built once, then read by any thread.

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::text {

class ByteTrie {
 public:
  ByteTrie() { roots_.fill(kNone); }
  // Of equal strings the one with the largest value counts; empty ones are left out.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  bool empty() const { return nodes_.empty(); }
  bool begins(char c) const { return roots_[static_cast<uint8_t>(c)] != kNone; }

  // Calls visit(length, value) for each entry that is a prefix of `text`, shortest first.
  template <class Visit>
  void prefixes(std::string_view text, Visit visit) const {
    if (text.empty()) return;
    uint32_t node = roots_[static_cast<uint8_t>(text[0])];
    for (size_t i = 1; node != kNone; ++i) {
      if (nodes_[node].value != kNoValue) visit(i, nodes_[node].value);
      if (i >= text.size()) return;
      node = child(node, static_cast<uint8_t>(text[i]));
    }
  }
  // The longest entry that is a prefix of `text`: its length (0: none) and value.
  size_t longest(std::string_view text, int32_t* value) const {
    size_t found = 0;
    prefixes(text, [&](size_t length, int32_t v) {
      found = length;
      *value = v;
    });
    return found;
  }

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  static constexpr int32_t kNoValue = INT32_MIN;
  struct Node {
    uint32_t first_edge = 0;
    uint32_t edges = 0;
    int32_t value = kNoValue;
  };

  uint32_t child(uint32_t node, uint8_t label) const {
    const Node& n = nodes_[node];
    uint32_t low = n.first_edge, high = n.first_edge + n.edges;
    while (low < high) {
      const uint32_t mid = (low + high) / 2;
      if (labels_[mid] < label) {
        low = mid + 1;
      } else {
        high = mid;
      }
    }
    return low < n.first_edge + n.edges && labels_[low] == label ? targets_[low] : kNone;
  }

  std::array<uint32_t, 256> roots_;
  std::vector<Node> nodes_;
  std::vector<uint8_t> labels_;
  std::vector<uint32_t> targets_;
};

}  // namespace sluice::text
