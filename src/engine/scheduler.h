#pragma once
// Decides what the next step computes. Pure: a function of the numbers given, so every rule is tested without a model.
//
// The rules, in order:
//  1. When more window slots are promised than there are (cache_blocks.h), the worst running sequences are pre-empted.
//  2. Sequences with one token to compute (decoding) get their row, best first. One that needs a new block or window
//     slot when none is available takes it from the worst running sequence, which is pre-empted (perhaps itself).
//  3. Running sequences with more to compute (prefilling) get chunks, best first, while rows are left.
//  4. Waiting sequences are admitted, best first and none out of turn, while rows, places and cache are left; a
//  strictly
//     better priority may pre-empt worse running sequences for place and cache. An admitted sequence gets all blocks
//     its known tokens need and a promise of all window slots. One block of growth stays available for every running
//     one, and a window slot for each that will need one more.
//  5. What rows are then left, decoding sequences get for drafted tokens, best first, as far as their blocks are beyond
//     that growth: a draft takes nothing from anybody, and pre-empts and delays nobody. None in a step that pre-empts.
// Better means: lower priority value, then earlier arrival. Lists come best first.

#include <functional>
#include <span>
#include <vector>

#include "engine/cache_blocks.h"

namespace sluice::engine {

struct RunningView {
  int priority = 0;
  int tokens = 0;             // known: prompt and generated so far
  int computed = 0;           // of them, in the cache; < tokens
  int blocks = 0;             // held
  CacheRoom releasable;       // what its pre-emption would make available
  bool window_grows = false;  // its next block needs a further window slot
  bool scores_all = false;    // every row's logits are wanted
  int drafts = 0;             // of a decoding sequence: further rows of use to it
};

struct WaitingView {
  int priority = 0;
  int tokens = 0;
  bool scores_all = false;
};

struct StepLimits {
  int rows = 0;         // of the step
  int scored_rows = 0;  // of sequences that want every row's logits
  int sequences = 0;    // running at once; ≤ rows
  int block_tokens = 0;
  CacheRoom available;    // window slots: that nobody was promised
  bool windowed = false;  // a new block may take a new window slot
  int draft_rows = 0;     // of all sequences
};

struct StepPlan {
  struct Grant {
    int running;  // index into the running list
    int rows;
  };
  struct Admission {
    int waiting;        // index into the waiting list
    int rows;           // at most
    bool copy_partial;  // also copy the known beginning of its next block
  };
  std::vector<int> preempted;         // indices into the running list
  std::vector<Grant> grants;          // decoding first
  std::vector<Admission> admissions;  // best first
};

// Tells what waiting sequence `i` could take from the prefix index, part of a block too if `copy_partial`.
using ReuseLookup = std::function<Reuse(int i, bool copy_partial)>;

// `lookup` is asked only for sequences that may be admitted. The lists of `memory`, an older plan, are used again.
StepPlan plan_step(std::span<const RunningView> running, std::span<const WaitingView> waiting, const StepLimits& limits,
                   const ReuseLookup& lookup, StepPlan memory = {});

}  // namespace sluice::engine
