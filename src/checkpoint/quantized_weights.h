#pragma once
// Puts the parts of quantised weights together: X.qweight, X.scales, X.qzeros and X.g_idx (AWQ, GPTQ), X.weight_packed
// and its kin (compressed-tensors), X.weight with X.weight_scale or X.weight_scale_inv (int8, float8) become one entry
// "X.weight" whose `packed` says what the parts mean. Layers that were left alone (modules_to_not_convert, ignore) have
// a plain X.weight, and stay as they are. What serves only quantised activations or caches is dropped: activations are
// computed in floating point here.

#include "checkpoint/quantization.h"
#include "checkpoint/quantized_matrix.h"

namespace sluice::checkpoint {

// Looks at names, types and shapes alone; values are checked by QuantizedMatrix::verify. kCorruptData names file and
// tensor, what was expected and what is there.
Result<WeightMap> gather_quantized(WeightMap weights, const Quantization& quantization);

// A bias of zeros beside a packed weight: some tools write one for every layer, also where the architecture has none.
bool is_zero_bias(const WeightMap& weights, const WeightEntry& entry);

}  // namespace sluice::checkpoint
