// Input: the settings (JSON) up to a zero byte, then a safetensors file.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/json.h"
#include "checkpoint/quantized_weights.h"
#include "checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::checkpoint;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t border = input.find('\0');
  if (border == std::string_view::npos) return 0;
  const auto settings = parse_json(input.substr(0, border), {.bytes_max = 1 << 16, .depth_max = 16});
  if (!settings.ok()) return 0;
  const auto quantization = parse_quantization({{"quantization_config", *settings}}, "fuzz");
  if (!quantization.ok() || !*quantization) return 0;
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data) + border + 1, size - border - 1);
  auto weights = read_safetensors(WeightFile::from_memory("fuzz", file));
  if (!weights.ok()) return 0;
  const auto gathered = gather_quantized(std::move(*weights), **quantization);
  if (!gathered.ok()) return 0;
  for (const WeightEntry& entry : gathered->entries()) {
    is_zero_bias(*gathered, entry);
    if (entry.quantized == nullptr || !entry.quantized->verify().ok()) continue;
    std::vector<float> row(static_cast<size_t>(entry.quantized->columns()));
    for (const int64_t r : {int64_t{0}, entry.quantized->rows() - 1})
      entry.quantized->dequantize_rows(r, 1, row.data());
  }
  return 0;
}
