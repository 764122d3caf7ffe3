#pragma once
// What this machine can do at most, measured: the denominators of every ratio the benches print. Each figure is the
// rate of one unit alone, fed from registers unless its name says otherwise; no real kernel can be faster.

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace sluice::kernels {

struct MachineLimit {
  std::string_view name;   // "fp32 fma", "int8 vnni, operands in level 1", "read, 2 streams"
  std::string_view unit;   // "B/s", "FLOP/s" or "OP/s"; a multiply-add counts as two
  double one_thread = 0;   // the best of the rounds: whatever disturbs a measurement only lowers it
  double all_threads = 0;  // the same with every thread of the pool
};

struct LimitOptions {
  int rounds = 5;
  size_t buffer_bytes = size_t{1} << 30;  // for reads from memory: far beyond the caches
  double seconds_each = 0.02;             // of one round of an arithmetic unit
};

// Measures every unit this machine has, in turn over the rounds, so that a slow moment of a shared machine hits all
// alike. `progress(done, total)` is called between measurements; may be empty. The caller sees to it that the buffer
// fits into memory.
std::vector<MachineLimit> measure_machine_limits(ThreadPool& pool, const LimitOptions& options = {},
                                                 const std::function<void(int done, int total)>& progress = {});

// The best of the limits whose name begins with `name`, with all threads; 0 when the machine has no such unit.
double best_limit(const std::vector<MachineLimit>& limits, std::string_view name);

}  // namespace sluice::kernels
