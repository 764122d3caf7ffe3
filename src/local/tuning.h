#pragma once
// What tuning decides for a model on a machine, from measured times alone. Pure; tuner.h measures.

#include <span>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::local {

// One kind of work: with how many threads, with which table of kernels, how far ahead it calls for weights.
struct WorkTuning {
  int threads = 0;
  std::string kernels;
  int prefetch_bytes = 0;  // 0: as the table sees fit
  bool operator==(const WorkTuning&) const = default;
};

struct Measurement {
  std::string what;  // "decode" or "prefill"
  WorkTuning with;
  int rows = 0;        // of the step: sequences that decode, or tokens of a prompt
  double seconds = 0;  // of the step, the shortest of several: whatever disturbs it only makes it longer
  bool operator==(const Measurement&) const = default;
};

struct Tuning {
  WorkTuning decode, prefill;
  int chunk_tokens = 0;     // rows of a step; 0: could not be measured
  int max_concurrency = 0;  // the same
  std::vector<Measurement> measurements;
  bool operator==(const Tuning&) const = default;
};

struct Point {
  int count;       // threads, rows or sequences; ascending
  double seconds;  // of a step
};

// The fewest threads within 2 % of the shortest step: more would take cores from others for nothing.
int fewest_threads(std::span<const Point> points);
// The smallest chunk within 3 % of the best rate: a longer one makes running answers wait for nothing.
int smallest_chunk(std::span<const Point> points);
// The first batch, and every larger one as long as each gives at least a tenth more tokens a second than the one
// before. The first is never undercut: where a larger batch gains nothing, requests are still better served slowly side
// by side than kept waiting.
int largest_batch(std::span<const Point> points);
// One of several ways to do the same: the first (the default), unless another is at least 3 % faster.
size_t fastest_way(std::span<const double> seconds);

Json tuning_to_json(const Tuning& tuning);
// kCorruptData for what this version cannot have written.
Result<Tuning> tuning_from_json(const Json& json);
// For people: the choice, and a line for every measurement.
std::string format_tuning(const Tuning& tuning);
// "chunks of 256 tokens, 64 sequences, decode on 2 threads (avx2, 4096 bytes ahead), prefill on 2 (avx2)"
std::string describe_tuning(const Tuning& tuning);

}  // namespace sluice::local
