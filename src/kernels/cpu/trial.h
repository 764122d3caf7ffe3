#pragma once
// What trials of a unit on this machine have in common: the size of the product they time, which stays in a core's
// caches, and how they time it.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

namespace sluice::kernels {

constexpr int64_t kTrialRows = 64, kTrialN = 128, kTrialK = 1024;
constexpr int kTrialRounds = 5;

// In seconds.
template <class Work>
double shortest_time(int rounds, const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = std::numeric_limits<double>::max();
  for (int round = 0; round < rounds; ++round) {
    const Clock::time_point start = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace sluice::kernels
