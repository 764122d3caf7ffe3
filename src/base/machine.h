#pragma once
// What this machine is, as far as it decides how fast something runs.

#include <cstdint>
#include <string>

namespace sluice {

struct Machine {
  std::string cpu;            // "AMD EPYC 7763 64-Core Processor"; "" when the system does not say
  std::string flags;          // the processor's instruction sets, as the system lists them
  int cpus = 1;               // that this process may use (thread_pool.h)
  uint64_t memory_bytes = 0;  // of the whole machine
};
// Reads /proc anew at every call.
Machine this_machine();

}  // namespace sluice
