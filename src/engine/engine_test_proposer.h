#pragma once
// A DraftProposer that knows how texts go on, and lies as often as it is told to.

#include <algorithm>
#include <random>
#include <vector>

#include "engine/draft_proposer.h"

namespace sluice::engine {

class ReplayProposer final : public DraftProposer {
 public:
  explicit ReplayProposer(double right_share, uint64_t seed = 1) : right_share_(right_share), random_(seed) {}

  // A whole text, prompt and answer.
  void know(std::vector<TokenId> text) { texts_.push_back(std::move(text)); }

  std::unique_ptr<DraftState> begin() override { return std::make_unique<DraftState>(); }
  int offer(DraftState&, std::span<const TokenId> tokens, int most) override {
    return find(tokens) == nullptr ? 0 : most;
  }
  bool propose(std::span<DraftTask> tasks) override {
    for (DraftTask& task : tasks) {
      const std::vector<TokenId>& text = *find(task.tokens);
      for (size_t i = task.tokens.size(); i < text.size() && static_cast<int>(task.drafts.size()) < task.wanted; ++i) {
        const bool right = std::bernoulli_distribution(right_share_)(random_);
        task.drafts.push_back(right ? text[i] : (text[i] + 1) % 20);
      }
      proposed += static_cast<int64_t>(task.drafts.size());
    }
    return true;
  }

  int64_t proposed = 0;

 private:
  const std::vector<TokenId>* find(std::span<const TokenId> tokens) const {
    const auto found = std::ranges::find_if(texts_, [&](const std::vector<TokenId>& text) {
      return text.size() > tokens.size() && std::equal(tokens.begin(), tokens.end(), text.begin());
    });
    return found == texts_.end() ? nullptr : &*found;
  }

  const double right_share_;
  std::mt19937_64 random_;
  std::vector<std::vector<TokenId>> texts_;
};

}  // namespace sluice::engine
