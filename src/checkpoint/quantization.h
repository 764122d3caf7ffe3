#pragma once
// What config.json says of how a model's weights were quantised, in the words of each tool. A setting that is not known
// to leave the values alone is refused by name: running such a model would give wrong text.
// Sources: transformers utils/quantization_config.py, compressed-tensors quantization/quant_config.py and
// quant_args.py.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "checkpoint/module_targets.h"

namespace sluice::checkpoint {

enum class QuantizationMethod {
  kAwq,                // AutoAWQ's GEMM layout
  kGptq,               // AutoGPTQ's and GPTQModel's
  kCompressedTensors,  // pack-quantized, int-quantized, float-quantized, naive-quantized
  kFp8,                // fp8 (per tensor or in blocks) and fbgemm_fp8 (per row)
};

// The weights of one config group: which codes there are, and what shares a scale.
struct WeightScheme {
  int bits = 4;
  bool is_float = false;
  // What shares a scale: a whole tensor (0, 0), a row (1, 0), a group of columns (1, n) or a block (m, n). 0: all.
  int64_t group_rows = 1, group_columns = 0;
};

struct Quantization {
  QuantizationMethod method = QuantizationMethod::kAwq;
  std::vector<WeightScheme> schemes;  // at least one; those of fp8 are two forms of which a tensor has either
  ModuleTargets targets;        // compressed-tensors: to which modules each scheme applies; −1: to activations alone
  bool has_zero_points = true;  // AWQ: zero_point
  bool zero_points_lack_one = true;  // GPTQ: the first format stores zero − 1
  bool per_module = false;           // GPTQ: "dynamic" gives modules bits and group sizes of their own
  std::string summary;               // for people: "gptq, 4 bits, groups of 128, act-order"
};

// `config` is config.json (quantization_config or compression_config in it, or in its text_config), or, where older
// tools wrote one, the object of quantize_config.json (GPTQ) or quant_config.json (AWQ) under the key
// "quantization_config". Nothing: not quantised. kUnimplemented names a method or setting that is not supported,
// kCorruptData one that makes no sense. `path` is for messages.
Result<std::optional<Quantization>> parse_quantization(const Json& config, const std::string& path);

}  // namespace sluice::checkpoint
