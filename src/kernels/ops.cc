#include "kernels/ops.h"

#include "base/strings.h"
#include "kernels/cpu/tables.h"

namespace sluice::kernels {

std::vector<const Ops*> available_ops() {
  std::vector<const Ops*> tables = {&reference_ops()};
  append_cpu_ops(tables);
  return tables;
}

Result<const Ops*> select_ops(std::string_view pinned) {
  const std::vector<const Ops*> tables = available_ops();
  if (pinned.empty()) return tables.back();
  std::string names;
  for (const Ops* ops : tables) {
    if (ops->name == pinned) return ops;
    names += cat(names.empty() ? "" : ", ", ops->name);
  }
  return invalid_argument(
      cat("kernels \"", pinned, "\" are unknown or cannot run on this machine; choose one of: ", names));
}

}  // namespace sluice::kernels
