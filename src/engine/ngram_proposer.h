#pragma once
// Prompt lookup: when the last tokens of a sequence stand somewhere earlier in it, it goes on as it did there. Free of
// any model; right where answers copy from the prompt or repeat themselves.
// Source: Saxena, "Prompt lookup decoding" (2023). The search is deflate's (RFC 1951, 4): chains of positions with the
// same hash, the newest first, of which a bounded number is compared.

#include "engine/draft_proposer.h"

namespace sluice::engine {

class NgramProposer final : public DraftProposer {
 public:
  // An earlier place counts when at least `shortest` tokens before it are the same; the longest match wins, and of
  // equals the latest.
  explicit NgramProposer(int shortest = 3) : shortest_(shortest) {}

  std::unique_ptr<DraftState> begin() override;
  int offer(DraftState& state, std::span<const TokenId> tokens, int most) override;
  bool propose(std::span<DraftTask> tasks) override;

 private:
  const int shortest_;
};

}  // namespace sluice::engine
