#include "kernels/ref/packed.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/packed.h"
#include "tensor/quantize.h"

namespace sluice::kernels::ref {
namespace {

// One row of x as codes, and the scale of every activation group.
struct CodedRow {
  std::vector<int> codes;
  std::vector<float> scales;
};

CodedRow code_row(const float* x, int64_t k, int64_t depth) {
  CodedRow row;
  row.codes.assign(static_cast<size_t>(depth), 0);
  for (int64_t begin = 0; begin < depth; begin += kActivationGroup) {
    const int64_t end = std::min(k, begin + kActivationGroup);
    float most = 0;
    bool finite = true;
    for (int64_t i = begin; i < end; ++i) {
      finite = finite && std::isfinite(x[i]);
      most = std::max(most, std::abs(x[i]));
    }
    if (!finite || most < kActivationLeast) {
      row.scales.push_back(finite ? 0.0f : std::numeric_limits<float>::quiet_NaN());
      continue;
    }
    const float scale = most / 127.0f;
    const float inverse = 1.0f / scale;
    row.scales.push_back(scale);
    for (int64_t i = begin; i < end; ++i)
      row.codes[static_cast<size_t>(i)] = static_cast<int>(std::nearbyint(x[i] * inverse));
  }
  return row;
}

float half_at(const std::byte* in) {
  uint16_t bits;
  std::memcpy(&bits, in, sizeof bits);
  return f16_to_f32(bits);
}

float dot(const PackedView& w, int64_t n, const CodedRow& x) {
  const std::byte* panel = w.panels + static_cast<size_t>(n / kPackedRows) * w.panel_bytes;
  const int64_t lane = n % kPackedRows;
  const int64_t step = kPackedRows * 2 * (w.format.minima ? 2 : 1);
  float sum = 0;
  for (int64_t begin = 0; begin < w.depth; begin += kActivationGroup) {
    float inner = 0;
    const int64_t end = std::min(w.depth, begin + kActivationGroup);
    for (int64_t g = begin; g < end; g += w.format.group) {
      int products = 0, codes = 0;
      for (int64_t k = g; k < std::min(end, g + w.format.group); ++k) {
        products += x.codes[static_cast<size_t>(k)] * (packed_code(w.format, panel, lane, k) - w.format.offset());
        codes += x.codes[static_cast<size_t>(k)];
      }
      const std::byte* scale = panel + w.scale_offset + g / w.format.group * step + lane * 2;
      inner = std::fma(half_at(scale), static_cast<float>(products), inner);
      if (w.format.minima) inner = std::fma(half_at(scale + kPackedRows * 2), static_cast<float>(codes), inner);
    }
    sum = std::fma(x.scales[static_cast<size_t>(begin / kActivationGroup)], inner, sum);
  }
  return sum * w.factor;
}

// Denormals are zeros (cpu/packed_bf16.h).
float as_operand(float bf16) { return std::abs(bf16) < std::numeric_limits<float>::min() ? 0.0f : bf16; }

void matmul_bf16(ThreadPool& pool, const MatmulArgs& args, const PackedView& view) {
  std::vector<float> x(static_cast<size_t>(args.rows * view.k));
  for (size_t i = 0; i < x.size(); ++i) x[i] = as_operand(bf16_to_f32(f32_to_bf16(args.x[i])));
  pool.parallel_for(view.n, [&](int64_t n, int) {
    std::vector<float> w(static_cast<size_t>(view.k));
    unpack_row(view, n, w.data());
    for (int64_t r = 0; r < args.rows; ++r) {
      double sum = args.bias != nullptr ? args.bias[n] : 0.0;
      for (int64_t k = 0; k < view.k; ++k)
        sum += double{x[static_cast<size_t>(r * view.k + k)]} * as_operand(w[static_cast<size_t>(k)]);
      float& out = args.out[r * view.n + n];
      out = static_cast<float>(args.accumulate ? out + sum : sum);
    }
  });
}

}  // namespace

void matmul_packed(ThreadPool& pool, const MatmulArgs& args) {
  const PackedView view = packed_view(*args.weight);
  if (view.format.bits == 16) return matmul_bf16(pool, args, view);
  for (int64_t r = 0; r < args.rows; ++r) {
    const CodedRow x = code_row(args.x + r * view.k, view.k, view.depth);
    pool.parallel_for(view.n, [&](int64_t n, int) {
      float value = dot(view, n, x);
      if (args.bias != nullptr) value += args.bias[n];
      float& out = args.out[r * view.n + n];
      out = args.accumulate ? out + value : value;
    });
  }
}

}  // namespace sluice::kernels::ref
