#include "base/numa.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "base/strings.h"

namespace sluice {
namespace {

constexpr int kCpuMax = 1023;
constexpr int kNodeMax = 1023;

bool parse_number(std::string_view word, int& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size() && number >= 0;
}

std::vector<int> own_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu <= std::min(kCpuMax, CPU_SETSIZE - 1); ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

Result<std::vector<int>> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  if (text.empty()) return cpus;
  for (const std::string& part : split(text, ',')) {
    const std::vector<std::string> ends = split(part, '-');
    int first = -1, last = -1;
    if (ends.size() > 2 || !parse_number(ends.front(), first) || !parse_number(ends.back(), last) || last < first ||
        last > kCpuMax) {
      return invalid_argument(cat("a list of CPUs must look like 0-3,8, not '", text, "'"));
    }
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<NumaNode> numa_nodes(const std::string& directory) {
  const std::vector<int> own = own_cpus();
  std::vector<NumaNode> nodes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    NumaNode node;
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("node") || !parse_number(std::string_view(name).substr(4), node.number)) continue;
    std::string list;
    std::ifstream(entry.path() / "cpulist") >> list;  // empty: a node of memory alone
    const auto cpus = parse_cpu_list(list);
    if (!cpus.ok() || node.number > kNodeMax) continue;
    std::ranges::copy_if(*cpus, std::back_inserter(node.cpus),
                         [&](int cpu) { return std::ranges::binary_search(own, cpu); });
    if (!node.cpus.empty()) nodes.push_back(std::move(node));
  }
  std::ranges::sort(nodes, {}, &NumaNode::number);
  return nodes;
}

bool place_on_node(std::span<const std::byte> part, int node) {
  if (node < 0 || node > kNodeMax) return false;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t begin = (address + page - 1) / page * page, end = (address + part.size()) / page * page;
  if (begin >= end) return true;
  constexpr size_t kBits = sizeof(unsigned long) * CHAR_BIT;
  std::array<unsigned long, (kNodeMax + 1) / kBits> mask{};
  mask[static_cast<size_t>(node) / kBits] = 1UL << (static_cast<size_t>(node) % kBits);
  return syscall(SYS_mbind, begin, end - begin, MPOL_PREFERRED, mask.data(), kNodeMax + 2, MPOL_MF_MOVE) == 0;
}

}  // namespace sluice
