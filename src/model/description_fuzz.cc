// Any text as config.json of a model: an Error, or a description whose sizes can be planned with.

#include "base/check.h"
#include "base/json.h"
#include "model/model_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  checkpoint::ModelFiles files;
  auto config = checkpoint::parse_config({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!config.ok()) return 0;
  files.config = std::move(config).value();
  const auto description = model::describe_model(files);
  if (!description.ok()) {
    SLUICE_CHECK(!description.error().message.empty());
    return 0;
  }
  const auto plan = model::plan_memory(files, *description, {}, {.limit = size_t{1} << 34});
  if (plan.ok()) SLUICE_CHECK(plan->total() + plan->left <= size_t{1} << 34);
  return 0;
}
