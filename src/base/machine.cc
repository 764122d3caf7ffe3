#include "base/machine.h"

#include <unistd.h>

#include <fstream>

#include "base/strings.h"
#include "base/thread_pool.h"

namespace sluice {

Machine this_machine() {
  Machine machine;
  machine.cpus = available_cpus();
  machine.memory_bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string_view name = trim(std::string_view(line).substr(0, colon));
    const std::string_view value = trim(std::string_view(line).substr(colon + 1));
    // x86 says "flags", ARM "Features"; the first processor speaks for all.
    if (machine.cpu.empty() && name == "model name") machine.cpu = value;
    if (machine.flags.empty() && (name == "flags" || name == "Features")) machine.flags = value;
  }
  return machine;
}

}  // namespace sluice
