#pragma once
// Machines whose memory is in several places (NUMA nodes), each near some of the CPUs: which there are, and asking the
// kernel to keep bytes in one of them. Machines with one memory have one node, and nothing here matters to them.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice {

struct NumaNode {
  int number = 0;
  std::vector<int> cpus;  // that this process may use; ascending
  bool operator==(const NumaNode&) const = default;
};

// "0-3,8" → {0, 1, 2, 3, 8}; "" → {}. kInvalidArgument says what it must look like.
Result<std::vector<int>> parse_cpu_list(std::string_view text);

// Nodes that have CPUs of this process, ascending; empty where the system does not say.
std::vector<NumaNode> numa_nodes(const std::string& directory = "/sys/devices/system/node");

// Brings the whole pages of `part` that this process alone has mapped and touched to the node's memory. False when the
// kernel refuses (a container may need CAP_SYS_NICE) or knows no such node.
bool place_on_node(std::span<const std::byte> part, int node);

}  // namespace sluice
