#include "model/weight_placement.h"

#include <atomic>

#include "base/numa.h"
#include "tensor/packed_matrix.h"

namespace sluice::model {
namespace {

std::vector<const Tensor*> matrices(const DecoderWeights& weights) {
  std::vector<const Tensor*> all = {&weights.head};
  for (const DecoderLayerWeights& layer : weights.layers)
    all.insert(all.end(), {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down});
  return all;
}

// So that the pages are mapped, and moved with the others.
void touch(std::span<const std::byte> bytes) {
  constexpr size_t kPage = 4096;
  for (size_t at = 0; at < bytes.size(); at += kPage)
    static_cast<void>(*static_cast<const volatile std::byte*>(bytes.data() + at));
}

}  // namespace

std::span<const std::byte> matrix_part(const Tensor& matrix, int n, int nodes) {
  const auto cut = [&](const std::byte* from, size_t item_bytes, int64_t items) {
    const auto begin = static_cast<size_t>(items * n / nodes), end = static_cast<size_t>(items * (n + 1) / nodes);
    return std::span(from + begin * item_bytes, (end - begin) * item_bytes);
  };
  if (matrix.dtype == DType::kPacked) {
    const PackedView view = packed_view(matrix);
    return cut(view.panels, view.panel_bytes, view.panel_count());
  }
  return cut(matrix.data, row_bytes(matrix.dtype, matrix.shape.columns()), matrix.shape.rows());
}

bool place_weights(const DecoderWeights& weights, ThreadPool& pool) {
  const int nodes = pool.nodes();
  if (nodes == 1) return true;
  std::atomic<bool> placed = true;
  pool.parallel_for(nodes, [&](int64_t node, int) {
    for (const Tensor* matrix : matrices(weights)) {
      const std::span<const std::byte> part = matrix_part(*matrix, static_cast<int>(node), nodes);
      touch(part);
      if (!place_on_node(part, pool.node_number(static_cast<int>(node)))) placed = false;
    }
  });
  return placed;
}

}  // namespace sluice::model
