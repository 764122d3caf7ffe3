// Products with packed bf16 weights on a pool: rows are rounded once for all matrices they meet, then panels are shared
// out.

#include <algorithm>

#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/panel_tasks.h"
#include "kernels/cpu/row_pieces.h"
#include "kernels/cpu/scratch.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels::on_cpu {
namespace {

constexpr int64_t kFewRows = 16;     // of one tile
constexpr int64_t kShareRows = 256;  // at most, that meet kSharePanels while they are in a level-2 cache
constexpr int64_t kSharePanels = 8;

struct RoundedRows {
  const uint16_t* x;
  int64_t stride;
};

RoundedRows round(const CpuKernels& kernels, ThreadPool& pool, const MatmulArgs& args, const RowSource& source,
                  const PackedView& view) {
  RoundShare whole = {};
  whole.k = view.k;
  whole.depth = view.depth;
  whole.stride = view.depth + kRowSkewBytes / 2;
  const int64_t elements = round_up(args.rows, kRoundedBlockRows) * whole.stride;
  whole.out = reinterpret_cast<uint16_t*>(shared_scratch(static_cast<size_t>(divide_up(elements, 2))));
  for_row_shares(kernels, pool, args, source, whole, kernels.round_rows);
  return {whole.out, whole.stride};
}

PanelTasks::Cut cut(const ThreadPool& pool, std::span<const MatmulArgs> all) {
  const int64_t rows = all.front().rows;
  const auto panel_bytes = static_cast<int64_t>(packed_view(*all.front().weight).panel_bytes);
  const int64_t panels = panels_in_all(all);
  const int64_t wanted = kSharesPerThread * pool.threads();
  const int64_t balanced = std::max<int64_t>(1, panels / wanted);
  const int64_t streaming = std::max<int64_t>(1, kStreamBytes / panel_bytes);
  const int64_t most = rows <= kFewRows ? streaming : kSharePanels;
  PanelTasks::Cut cut = {.threads = pool.threads(),
                         .nodes = pool.nodes(),
                         .panels = round_up(std::min(balanced, most), 4),
                         .unit = 4,
                         .rows = rows};
  if (rows <= 2 * kRoundedBlockRows) return cut;
  const int64_t pieces = std::max<int64_t>(1, divide_up(panels, cut.panels));
  const int64_t balanced_rows = divide_up(rows, std::max<int64_t>(1, wanted / pieces));
  cut.rows = round_up(std::min(balanced_rows, kShareRows), kRoundedBlockRows);
  return cut;
}

}  // namespace

void matmul_bf16(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all,
                 const RowSource& source) {
  const RoundedRows x = round(kernels, pool, all.front(), source, packed_view(*all.front().weight));
  const PanelTasks tasks(all, cut(pool, all));
  tasks.run(pool, [&](const PanelTask& task) {
    auto share = share_of<Bf16Share>(task, kBf16PrefetchBytes);
    share.x = x.x;
    share.stride = x.stride;
    share.scratch =
        thread_scratch(bf16_scratch_floats(share.row_end - share.row_begin, share.panel_end - share.panel_begin));
    kernels.matmul_bf16(share);
  });
}

}  // namespace sluice::kernels::on_cpu
