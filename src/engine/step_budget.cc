#include "engine/step_budget.h"

#include <algorithm>

namespace sluice::engine {
namespace {

constexpr double kWeight = 0.25;      // of a new observation among the old ones
constexpr double kSecondsMin = 1e-6;  // of a clock's tick: a step always takes some
constexpr int kSteps = 64;            // after so many steps with prompts, decoding is looked at again

bool alike(int a, int b) { return a <= 2 * b && b <= 2 * a; }

void learn(double& mean, double value) { mean = mean > 0 ? mean + kWeight * (value - mean) : value; }

}  // namespace

int StepBudget::rows(int decoding) const {
  if (options_.slowdown <= 0 || decoding == 0) return options_.rows_max;
  if (prefill_s_ <= 0) return std::min(options_.rows_max, decoding + options_.prefill_rows_min);
  if (decode_s_ <= 0 || !alike(decoding, decoding_) || steps_since_ >= kSteps) return decoding;
  const double prefill_rows = (options_.slowdown - 1) * decode_s_ / prefill_s_;
  const double least = options_.prefill_rows_min, most = options_.rows_max - decoding;
  return decoding + static_cast<int>(std::min(std::max(prefill_rows, least), std::max(most, 0.0)));
}

void StepBudget::observe(int decoding, int prefill_rows, double seconds) {
  seconds = std::max(seconds, kSecondsMin);
  if (prefill_rows == 0) {
    if (!alike(decoding, decoding_)) decode_s_ = 0;
    learn(decode_s_, seconds);
    decoding_ = decoding;
    steps_since_ = 0;
    return;
  }
  ++steps_since_;
  // The last rows of a prompt, a handful, say nothing of what a row costs in a chunk.
  if (prefill_rows < options_.prefill_rows_min) return;
  const double even = seconds / (prefill_rows + decoding);  // a row, if all cost the same
  const double known = decode_s_ > 0 && alike(decoding, decoding_) ? decode_s_ : even * decoding;
  learn(prefill_s_, std::max((seconds - known) / prefill_rows, even / 4));
}

}  // namespace sluice::engine
