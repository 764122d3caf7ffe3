// Any text as a hub's list of files: an error, or names that stay below a folder; and choosing among them.

#include "adapters/hub/listing.h"
#include "adapters/hub/select_files.h"
#include "base/check.h"
#include "checkpoint/model_reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::adapters;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& listing : {parse_huggingface_listing(text), parse_modelscope_listing(text)}) {
    if (!listing.ok()) continue;
    SLUICE_CHECK(is_hexadecimal(listing->commit, 40));
    for (const HubFile& file : listing->files) {
      SLUICE_CHECK(checkpoint::is_safe_relative_path(file.path) && file.size >= -1);
      SLUICE_CHECK(file.blob().empty() || is_hexadecimal(file.blob(), 40) || is_hexadecimal(file.blob(), 64));
    }
    const auto read = [&](const HubFile&) -> Result<std::string> { return std::string(text); };
    for (const char* variant : {"", "Q8_0", "a.gguf"}) {
      const auto chosen = select_files(*listing, {.variant = variant}, read);
      if (chosen.ok()) SLUICE_CHECK(!chosen->empty());
    }
  }
  (void)parse_model_names(text);
  if (size > 1) {
    const size_t half = 1 + data[0] % size;
    (void)matches_pattern(text.substr(0, half), text.substr(half));
    (void)checkpoint::parse_model_reference(text);
  }
  return 0;
}
