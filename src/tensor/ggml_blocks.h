#pragma once
// The remaining block types of ggml, one function per type and direction: the definitions behind quantize_row and
// dequantize_row (quantize.h). `elements` is a multiple of the block (32, or 256 for the K types and IQ4_XS).
// Layouts: ggml/src/ggml-common.h; formulas: ggml/src/ggml-quants.c (dequantize_row_*, quantize_row_*_ref).

#include <cstddef>
#include <cstdint>

namespace sluice::ggml_blocks {

void dequantize_q4_1(const std::byte* in, float* out, int64_t elements);
void dequantize_q5_0(const std::byte* in, float* out, int64_t elements);
void dequantize_q5_1(const std::byte* in, float* out, int64_t elements);
void dequantize_q2_k(const std::byte* in, float* out, int64_t elements);
void dequantize_q3_k(const std::byte* in, float* out, int64_t elements);
void dequantize_q4_k(const std::byte* in, float* out, int64_t elements);
void dequantize_q5_k(const std::byte* in, float* out, int64_t elements);
void dequantize_q6_k(const std::byte* in, float* out, int64_t elements);
void dequantize_iq4_nl(const std::byte* in, float* out, int64_t elements);
void dequantize_iq4_xs(const std::byte* in, float* out, int64_t elements);

void quantize_q4_1(const float* in, std::byte* out, int64_t elements);
void quantize_q5_0(const float* in, std::byte* out, int64_t elements);
void quantize_q5_1(const float* in, std::byte* out, int64_t elements);

}  // namespace sluice::ggml_blocks
