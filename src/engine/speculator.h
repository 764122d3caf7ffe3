#pragma once
// Speculator decides before each step which sequences get how many drafted tokens, has a DraftProposer write them, and
// learns from what became of them. It changes how soon tokens come and never which.
//
// What it decides from is measured: the time of steps by their rows, the time of drafting, and how often each
// sequence's drafts were right. Where drafting loses (many rows on a machine whose arithmetic is the limit, texts that
// nothing foretells) it stops, and tries again after a while that grows as long as trying fails. Steps that compute
// prompts draft nothing: their rows are worth more.
// Owned by the engine thread.

#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/draft_proposer.h"
#include "engine/engine_metrics.h"
#include "engine/sequence.h"
#include "engine/speculation_policy.h"

namespace sluice::engine {

class Speculator {
 public:
  struct Limits {
    int sequence_tokens;  // drafted for one sequence in a step
    int step_tokens;      // for all of them
  };
  Speculator(std::shared_ptr<DraftProposer> proposer, Limits limits, EngineMetrics& metrics, const Clock& clock);

  // Fills `drafts` of the running sequences, for the step that is about to be planned.
  void propose(std::span<Sequence* const> running);
  // A step of so many rows, none of them of a prompt, took so long.
  void measured(int rows, int64_t us);
  // Of the drafts of this sequence so many were checked and `right` were what was sampled.
  void checked(Sequence& sequence, int drafted, int right);

 private:
  int most_for(const Sequence& sequence) const;
  void try_again(std::span<const DraftChance> chances, std::vector<int>& chosen);
  void write_drafts(std::span<Sequence* const> running, std::span<const int> chosen);

  const std::shared_ptr<DraftProposer> proposer_;
  const Limits limits_;
  EngineMetrics& metrics_;
  const Clock& clock_;
  StepCost steps_;
  double draft_us_ = 0;  // of drafting one token for every sequence, on average
  Acceptance overall_;
  int quiet_steps_ = 0;  // in a row that could have had drafts and had none
  int patience_;         // quiet steps until the next try
  bool trying_ = false;  // and the try has not been judged yet
};

}  // namespace sluice::engine
