#include "engine/ngram_proposer.h"

#include <algorithm>
#include <cstdint>

namespace sluice::engine {
namespace {

constexpr int kHops = 32;      // places compared in one search
constexpr int kCompared = 32;  // tokens of each
constexpr size_t kHeadsMin = 256, kHeadsMax = size_t{1} << 16;

// 8 bytes for every token of the sequence at most.
class NgramIndex final : public DraftState {
 public:
  // Of the earlier places that the last `shortest` tokens lead to, the best, or −1. Constant time beside the new
  // tokens.
  int find(std::span<const TokenId> tokens, int shortest) {
    const int length = static_cast<int>(tokens.size());
    if (length <= shortest) return -1;
    grow(tokens, shortest);
    for (; next_ < length; ++next_) add(tokens, next_, shortest);
    int best = -1, best_match = shortest - 1;
    int place = heads_[slot(tokens, length, shortest)];
    for (int hop = 0; hop < kHops && place >= 0; ++hop, place = earlier_[static_cast<size_t>(place)]) {
      const int match = common_suffix(tokens, place);
      if (match <= best_match) continue;
      best = place;
      best_match = match;
      if (match == kCompared) break;
    }
    place_ = best;
    return best;
  }
  int place() const { return place_; }

 private:
  // Chains the place behind the first `place` tokens.
  void add(std::span<const TokenId> tokens, int place, int shortest) {
    earlier_.resize(static_cast<size_t>(place) + 1, -1);
    if (place < shortest) return;
    int32_t& head = heads_[slot(tokens, place, shortest)];
    earlier_[static_cast<size_t>(place)] = head;
    head = place;
  }

  void grow(std::span<const TokenId> tokens, int shortest) {
    size_t wanted = std::max(kHeadsMin, heads_.size());
    while (wanted < tokens.size() && wanted < kHeadsMax) wanted *= 2;
    if (wanted == heads_.size()) return;
    heads_.assign(wanted, -1);
    const int known = next_;
    for (next_ = 0; next_ < known; ++next_) add(tokens, next_, shortest);
  }

  size_t slot(std::span<const TokenId> tokens, int place, int shortest) const {
    uint64_t hash = 0;
    for (int i = place - shortest; i < place; ++i)
      hash = (hash ^ static_cast<uint64_t>(tokens[static_cast<size_t>(i)])) * 0x9E3779B97F4A7C15;
    return static_cast<size_t>(hash >> 32) & (heads_.size() - 1);
  }

  static int common_suffix(std::span<const TokenId> tokens, int place) {
    const size_t end = static_cast<size_t>(place), length = tokens.size();
    const int most = std::min(place, kCompared);
    int same = 0;
    while (same < most && tokens[end - 1 - static_cast<size_t>(same)] == tokens[length - 1 - static_cast<size_t>(same)])
      ++same;
    return same;
  }

  std::vector<int32_t> heads_;    // [a power of two] the latest place of each hash, or −1
  std::vector<int32_t> earlier_;  // [next_] the place before it in its chain, or −1
  int next_ = 0;                  // the first place not chained yet
  int place_ = -1;                // found last
};

}  // namespace

std::unique_ptr<DraftState> NgramProposer::begin() { return std::make_unique<NgramIndex>(); }

int NgramProposer::offer(DraftState& state, std::span<const TokenId> tokens, int most) {
  return static_cast<NgramIndex&>(state).find(tokens, shortest_) >= 0 ? most : 0;
}

bool NgramProposer::propose(std::span<DraftTask> tasks) {
  for (DraftTask& task : tasks) {
    const int place = static_cast<NgramIndex&>(task.state).place();
    if (place < 0) continue;
    // A copy that reaches the end goes on with what it has copied.
    for (size_t from = static_cast<size_t>(place); static_cast<int>(task.drafts.size()) < task.wanted; ++from) {
      task.drafts.push_back(from < task.tokens.size() ? task.tokens[from] : task.drafts[from - task.tokens.size()]);
    }
  }
  return true;
}

}  // namespace sluice::engine
