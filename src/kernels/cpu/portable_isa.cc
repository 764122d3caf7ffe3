// For processors without a table of their own: the portable one serves.

#include "kernels/cpu/tables.h"

namespace sluice::kernels {

void append_cpu_ops(std::vector<const Ops*>&) {}

}  // namespace sluice::kernels
