#pragma once
// Measures a loaded decoder on this machine for a few seconds, and decides (tuning.h).

#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/ops.h"
#include "local/tuning.h"
#include "model/decoder.h"

namespace sluice::local {

struct TunerOptions {
  double seconds_max = 5;  // after a few steps to warm up; begins no measurement that would go beyond it
  // Of the tables that may compute this decoder's steps; the one it was made with first.
  std::vector<const kernels::Ops*> tables;
  bool threads_fixed = false;           // compute with all of the pool's
  size_t memory_max = size_t{1} << 30;  // for caches and activations of the measured steps
};

// Tables beside `made_with` that could serve a decoder made with it: not the reference, nor what only tests want.
std::vector<const kernels::Ops*> tables_to_try(const kernels::Ops& made_with);

// A model so small that its steps are not worth measuring.
bool too_small_to_tune(const model::DecoderSpec& spec);

// Reserves the decoder for its own steps: reserve it again afterwards. `pool` is the decoder's. `progress(done, total)`
// counts milliseconds; may be empty.
Result<Tuning> tune(model::Decoder& decoder, ThreadPool& pool, const TunerOptions& options,
                    const std::function<void(size_t done, size_t total)>& progress = {});

// Makes the decoder compute as `tuning` says. False when it names a table that is not here.
bool apply_tuning(const Tuning& tuning, model::Decoder& decoder);

}  // namespace sluice::local
