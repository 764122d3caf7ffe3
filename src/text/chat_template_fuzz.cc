// Template and JSON variables, split by a NUL byte. Whatever comes: no crash, no leak, and an end within the limits.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t border = std::min(input.find('\0'), input.size());
  const text::TemplateLimits limits{
      .source_bytes_max = size_t{64} << 10, .output_bytes_max = size_t{1} << 20, .steps_max = 100'000};
  auto parsed = text::ChatTemplate::parse(input.substr(0, border), limits);
  if (!parsed.ok()) return 0;
  auto variables = parse_json(border < input.size() ? input.substr(border + 1) : "{}");
  if (!variables.ok() || !variables->is_object()) variables = Json::object();
  if (const auto rendered = parsed->render(*variables); rendered.ok()) {
    SLUICE_CHECK(rendered->size() <= limits.output_bytes_max, "output past its limit");
  }
  return 0;
}
