#include "text/tokenizer_trie.h"

#include <algorithm>

namespace sluice::text {

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries) {
  roots_.fill(kNone);
  std::sort(entries.begin(), entries.end());
  struct Range {
    size_t begin, end, depth;
    uint32_t node;
  };
  const auto at = [&](size_t i, size_t depth) { return static_cast<uint8_t>(entries[i].first[depth]); };
  std::vector<Range> open;
  size_t i = 0;
  while (i < entries.size() && entries[i].first.empty()) ++i;
  while (i < entries.size()) {
    size_t end = i + 1;
    while (end < entries.size() && at(end, 0) == at(i, 0)) ++end;
    roots_[at(i, 0)] = static_cast<uint32_t>(nodes_.size());
    open.push_back({i, end, 1, static_cast<uint32_t>(nodes_.size())});
    nodes_.emplace_back();
    i = end;
  }
  for (size_t next = 0; next < open.size(); ++next) {
    Range range = open[next];
    for (; range.begin < range.end && entries[range.begin].first.size() == range.depth; ++range.begin) {
      nodes_[range.node].value = entries[range.begin].second;
    }
    nodes_[range.node].first_edge = static_cast<uint32_t>(labels_.size());
    while (range.begin < range.end) {
      size_t end = range.begin + 1;
      while (end < range.end && at(end, range.depth) == at(range.begin, range.depth)) ++end;
      labels_.push_back(at(range.begin, range.depth));
      targets_.push_back(static_cast<uint32_t>(nodes_.size()));
      ++nodes_[range.node].edges;
      open.push_back({range.begin, end, range.depth + 1, static_cast<uint32_t>(nodes_.size())});
      nodes_.emplace_back();
      range.begin = end;
    }
  }
}

}  // namespace sluice::text
