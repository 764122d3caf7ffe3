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

constexpr int64_t kSharesPerThread = 4;
constexpr int64_t kStreamBytes = 256 * 1024;     // of weights that a share reads when there are few rows
constexpr int64_t kSerialProducts = 256 * 1024;  // multiply-adds that are done before another thread has heard of them
constexpr int64_t kFewRows = 16;                 // of one tile
constexpr int64_t kShareRows = 256;              // at most, that meet kSharePanels while they are in a level-2 cache
constexpr int64_t kSharePanels = 8;
constexpr int64_t kSkew = 32;  // elements between rounded rows, so that they do not meet in one cache set

struct RoundedRows {
  const uint16_t* x;
  int64_t stride;
};

RoundedRows round(const CpuKernels& kernels, ThreadPool& pool, const MatmulArgs& args, const RowSource& source,
                  const PackedView& view) {
  RoundShare whole = {};
  whole.k = view.k;
  whole.depth = view.depth;
  whole.stride = view.depth + kSkew;
  const int64_t elements = round_up(args.rows, kRoundedBlockRows) * whole.stride;
  whole.out = reinterpret_cast<uint16_t*>(shared_scratch(static_cast<size_t>(divide_up(elements, 2))));
  for_row_pieces(kernels, pool, args, view.k, source, [&](int64_t begin, int64_t end, const float* x) {
    RoundShare share = whole;
    share.x = x;
    share.row_begin = begin;
    share.row_end = end;
    kernels.round_rows(share);
  });
  return {whole.out, whole.stride};
}

PanelTasks::Cut cut(const ThreadPool& pool, int64_t rows, const PackedView& view, int64_t panels_in_all) {
  const int64_t wanted = kSharesPerThread * pool.threads();
  const int64_t balanced = std::max<int64_t>(1, panels_in_all / wanted);
  const int64_t streaming = std::max<int64_t>(1, kStreamBytes / static_cast<int64_t>(view.panel_bytes));
  const int64_t most = rows <= kFewRows ? streaming : kSharePanels;
  PanelTasks::Cut cut = {
      .threads = pool.threads(), .panels = round_up(std::min(balanced, most), 4), .unit = 4, .rows = rows};
  if (rows <= 2 * kRoundedBlockRows) return cut;
  const int64_t pieces = std::max<int64_t>(1, divide_up(panels_in_all, cut.panels));
  const int64_t balanced_rows = divide_up(rows, std::max<int64_t>(1, wanted / pieces));
  cut.rows = round_up(std::min(balanced_rows, kShareRows), kRoundedBlockRows);
  return cut;
}

}  // namespace

void matmul_bf16(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all,
                 const RowSource& source) {
  const int64_t rows = all.front().rows;
  int64_t panels = 0, products = 0;
  for (const MatmulArgs& args : all) {
    const PackedView view = packed_view(*args.weight);
    panels += view.panel_count();
    products += rows * view.n * view.k;
  }
  const PackedView first = packed_view(*all.front().weight);
  const RoundedRows x = round(kernels, pool, all.front(), source, first);
  const PanelTasks tasks(all, cut(pool, rows, first, panels));
  const auto one = [&](int64_t number, int) {
    const PanelTask task = tasks[number];
    Bf16Share share = {};
    share.panels = task.view.panels;
    share.panel_bytes = task.view.panel_bytes;
    share.n = task.view.n;
    share.depth = task.view.depth;
    share.x = x.x;
    share.stride = x.stride;
    share.bias = task.args->bias;
    share.out = task.args->out;
    share.accumulate = task.args->accumulate;
    share.panel_begin = task.panel_begin;
    share.panel_end = task.panel_end;
    share.row_begin = task.row_begin;
    share.row_end = task.row_end;
    share.scratch =
        thread_scratch(bf16_scratch_floats(share.row_end - share.row_begin, share.panel_end - share.panel_begin));
    kernels.matmul_bf16(share);
  };
  const int64_t count = tasks.count();
  if (pool.threads() > 1 && products >= kSerialProducts) return pool.parallel_for(count, one);
  for (int64_t task = 0; task < count; ++task) one(task, 0);
}

}  // namespace sluice::kernels::on_cpu
