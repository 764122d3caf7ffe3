#pragma once
// How memory is divided between the two parts of the key/value cache, blocks and window slots (language_model.h), and
// how long a sequence it can hold. Arithmetic alone; memory_plan.cc makes it part of the whole plan.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "model/language_model.h"

namespace sluice::model {

struct CacheDemand {
  CacheLayout layout;
  size_t share = 0;       // bytes the cache shall have
  size_t most = 0;        // bytes one sequence alone may take; ≥ share
  int context = 0;        // tokens a sequence may have; 0: as many as fit
  int context_min = 1;    // then not fewer
  int context_max = 0;    // and not more
  int sequences_max = 1;  // run at once
  int step_rows_max = 1;

  // Blocks and window slots of one sequence of so many tokens.
  int64_t blocks_of(int64_t tokens) const { return (tokens + layout.block_tokens - 1) / layout.block_tokens; }
  int64_t slots_of(int64_t tokens) const;
  // Bytes without which no sequence of so many tokens can run.
  size_t least_bytes(int64_t tokens) const;
};

struct CachePlan {
  int blocks = 0;
  int window_slots = 0;
  int context = 0;
  int64_t sequences_at_context = 0;  // that fit when every one is full
  size_t cache_bytes = 0;
  size_t record_bytes = 0;  // the engine's memory for blocks without bytes of their own
};

// Nothing when not even one sequence fits into `most`.
//
// A model without windows has blocks alone. Else half of the share is divided as sequences of full length would use it,
// and half as short ones would, a slot for each block; a model with windows in all layers gets as many blocks as its
// slots can serve, for they cost no more than their records. Nothing gets more than sequences of full length could fill
// twice: one batch of them, and another for the prefix index.
std::optional<CachePlan> plan_cache(const CacheDemand& demand);

}  // namespace sluice::model
