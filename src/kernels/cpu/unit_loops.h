#pragma once
// Loops that keep one arithmetic unit of the processor busy and do nothing else. unit_loops_x86.cc has those of x86-64;
// other processors have the portable one only.

#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice::kernels {

struct UnitLoop {
  std::string_view name;
  std::string_view unit;           // "FLOP/s" or "OP/s"
  double operations_per_pass = 0;  // a multiply-add is two
  // Runs `passes` passes on the calling thread. `operands` is 512 KiB of zeros, aligned to 64 bytes.
  void (*run)(int64_t passes, const std::byte* operands);
};

constexpr size_t kUnitLoopOperandBytes = size_t{512} << 10;

// Those this machine can run. Asks the operating system for the tile registers where there are any.
std::vector<UnitLoop> unit_loops();

}  // namespace sluice::kernels
