#pragma once
// The remaining block types of ggml, one function per type and direction: the definitions behind quantize_row and
// dequantize_row (quantize.h). `elements` is a multiple of the block (32, or 256 for the K types and IQ4_XS).
// Layouts: ggml/src/ggml-common.h; formulas: ggml/src/ggml-quants.c (dequantize_row_*, quantize_row_*_ref).

#include <cstddef>
#include <cstdint>

namespace sluice::ggml_blocks {

constexpr int kBlock = 32;   // elements of a block, those of q8_0 and q4_0 too
constexpr int kSuper = 256;  // elements of a block of the K types and of IQ4_XS

// The values of IQ4 codes.
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Sub-block scales: of Q4_K and Q5_K from their 12 packed bytes, of Q3_K from its 12, of IQ4_XS from its block.
struct ScaleAndLeast {
  float scale, least;
};
ScaleAndLeast k_scale(const std::byte* packed, int sub);
float q3_k_scale(const std::byte* packed, int sub);
int iq4_xs_scale(const std::byte* block, int sub);

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
