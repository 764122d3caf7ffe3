// Any bytes as sluice.yaml: an Error that says where, or one value of bounded depth and size.

#include "base/check.h"
#include "base/json.h"
#include "cli/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = sluice::cli::parse_yaml({reinterpret_cast<const char*>(data), size});
  if (!value.ok()) SLUICE_CHECK(!value.error().message.empty());
  return 0;
}
