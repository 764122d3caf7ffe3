#pragma once
// DraftProposer guesses how sequences go on. A guess never changes an answer: the engine samples every token as it
// would without (engine_core.h), and a guess that is the token sampled has saved a step.
// Owned by the engine thread.

#include <memory>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "engine/sampling_settings.h"

namespace sluice::engine {

// What a proposer keeps of one sequence.
class DraftState {
 public:
  virtual ~DraftState() = default;
};

struct DraftTask {
  DraftState& state;
  std::span<const TokenId> tokens;   // of the sequence: prompt and all it has generated
  const SamplingSettings& settings;  // how its next token will be sampled
  const SeenTokens& seen;
  Draw draw;
  int wanted;                    // 1 to what was offered
  std::vector<TokenId>& drafts;  // [≤ wanted] the answer
};

class DraftProposer {
 public:
  virtual ~DraftProposer() = default;

  // For a sequence that begins, or begins anew. The proposer must outlive it.
  virtual std::unique_ptr<DraftState> begin() = 0;
  // How many tokens, at most `most`, it could propose behind `tokens`, which only grow from call to call. Cheap.
  virtual int offer(DraftState& state, std::span<const TokenId> tokens, int most) = 0;
  // Fills the drafts of all tasks. False when it had unusual work, so that the time it took foretells nothing.
  virtual bool propose(std::span<DraftTask> tasks) = 0;
};

}  // namespace sluice::engine
