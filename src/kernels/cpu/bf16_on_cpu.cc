// Products with packed bf16 weights on a pool: rows are rounded once for all matrices they meet, then panels are shared
// out.

#include <algorithm>

#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/scratch.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels::on_cpu {
namespace {

constexpr int64_t kSharesPerThread = 4;
constexpr int64_t kStreamBytes = 256 * 1024;     // of weights that a share reads when there are few rows
constexpr int64_t kSerialProducts = 256 * 1024;  // multiply-adds that are done before another thread has heard of them
constexpr int64_t kSerialElements = 16 * 1024;   // the same for elements to round
constexpr int64_t kFewRows = 16;                 // of one tile
constexpr int64_t kShareRows = 256;              // at most, that meet kSharePanels while they are in a level-2 cache
constexpr int64_t kSharePanels = 8;
constexpr int64_t kSkew = 32;  // elements between rounded rows, so that they do not meet in one cache set

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

struct RoundedRows {
  const uint16_t* x;
  int64_t stride;
};

RoundedRows round(const CpuKernels& kernels, ThreadPool& pool, const MatmulArgs& args, const PackedView& view) {
  RoundShare whole = {};
  whole.x = args.x;
  whole.k = view.k;
  whole.depth = view.depth;
  whole.stride = view.depth + kSkew;
  whole.row_end = args.rows;
  const int64_t elements = round_up(args.rows, kRoundedBlockRows) * whole.stride;
  whole.out = reinterpret_cast<uint16_t*>(shared_scratch(static_cast<size_t>(divide_up(elements, 2))));
  if (pool.threads() == 1 || args.rows * view.k < kSerialElements) {
    kernels.round_rows(whole);
  } else {
    const int64_t step = std::max<int64_t>(1, divide_up(args.rows, kSharesPerThread * pool.threads()));
    pool.parallel_for(divide_up(args.rows, step), [&](int64_t task, int) {
      RoundShare share = whole;
      share.row_begin = task * step;
      share.row_end = std::min(args.rows, share.row_begin + step);
      kernels.round_rows(share);
    });
  }
  return {whole.out, whole.stride};
}

// How the matrices of one call are cut: tasks of `panels` panels by `rows` rows.
struct Cut {
  int64_t panels;
  int64_t rows;
};

Cut cut(const ThreadPool& pool, int64_t rows, const PackedView& view, int64_t panels_in_all) {
  const int64_t wanted = kSharesPerThread * pool.threads();
  const int64_t balanced = std::max<int64_t>(1, panels_in_all / wanted);
  const int64_t streaming = std::max<int64_t>(1, kStreamBytes / static_cast<int64_t>(view.panel_bytes));
  const int64_t most = rows <= kFewRows ? streaming : kSharePanels;
  const int64_t panels = round_up(std::min(balanced, most), 4);
  if (rows <= 2 * kRoundedBlockRows) return {panels, rows};
  const int64_t pieces = std::max<int64_t>(1, divide_up(panels_in_all, panels));
  const int64_t balanced_rows = divide_up(rows, std::max<int64_t>(1, wanted / pieces));
  return {panels, round_up(std::min(balanced_rows, kShareRows), kRoundedBlockRows)};
}

}  // namespace

void matmul_bf16(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all) {
  const int64_t rows = all.front().rows;
  int64_t panels = 0, products = 0;
  for (const MatmulArgs& args : all) {
    const PackedView view = packed_view(*args.weight);
    panels += view.panel_count();
    products += rows * view.n * view.k;
  }
  const PackedView first = packed_view(*all.front().weight);
  const RoundedRows x = round(kernels, pool, all.front(), first);
  const Cut pieces = cut(pool, rows, first, panels);
  const int64_t row_tasks = divide_up(rows, pieces.rows);
  const auto tasks_of = [&](const PackedView& view) {
    return divide_up(view.panel_count(), pieces.panels) * row_tasks;
  };
  const auto one = [&](int64_t task, int) {
    size_t which = 0;
    PackedView view = first;
    for (; task >= tasks_of(view); view = packed_view(*all[++which].weight)) task -= tasks_of(view);
    Bf16Share share = {};
    share.panels = view.panels;
    share.panel_bytes = view.panel_bytes;
    share.n = view.n;
    share.depth = view.depth;
    share.x = x.x;
    share.stride = x.stride;
    share.bias = all[which].bias;
    share.out = all[which].out;
    share.accumulate = all[which].accumulate;
    share.panel_begin = task / row_tasks * pieces.panels;
    share.panel_end = std::min(view.panel_count(), share.panel_begin + pieces.panels);
    share.row_begin = task % row_tasks * pieces.rows;
    share.row_end = std::min(rows, share.row_begin + pieces.rows);
    share.scratch =
        thread_scratch(bf16_scratch_floats(share.row_end - share.row_begin, share.panel_end - share.panel_begin));
    kernels.matmul_bf16(share);
  };
  int64_t tasks = 0;
  for (const MatmulArgs& args : all) tasks += tasks_of(packed_view(*args.weight));
  if (pool.threads() > 1 && products >= kSerialProducts) return pool.parallel_for(tasks, one);
  for (int64_t task = 0; task < tasks; ++task) one(task, 0);
}

}  // namespace sluice::kernels::on_cpu
