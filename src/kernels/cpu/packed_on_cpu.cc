// Products with packed weights on a pool: rows are coded once for all matrices they meet, then panels are shared out.

#include <algorithm>
#include <cstring>

#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/panel_tasks.h"
#include "kernels/cpu/row_pieces.h"
#include "kernels/cpu/scratch.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels::on_cpu {
namespace {

constexpr int64_t kRowsPerShareLeast = 48;
constexpr int64_t kPanelsPerShareMax = 32;
constexpr int64_t kTiledRowsLeast = 16;  // fewer leave most of a tile empty
constexpr int64_t kTiledRows = 32;       // coded rows are read in blocks of this

bool use_tiles(const CpuKernels& kernels, int64_t rows) { return kernels.use_tiles && rows >= kTiledRowsLeast; }

bool word_codes(const CpuKernels& kernels, const PackedView& view, int64_t rows) {
  return kernels.word_codes && view.format.bits == 8 && !use_tiles(kernels, rows);
}

// Whether the rows coded for one matrix serve the other too.
bool same_codes(const CpuKernels& kernels, int64_t rows, const PackedView& a, const PackedView& b) {
  if ((a.format.bits == 16) != (b.format.bits == 16)) return false;
  return a.depth == b.depth && a.format.group == b.format.group && a.format.offset() == b.format.offset() &&
         word_codes(kernels, a, rows) == word_codes(kernels, b, rows);
}

CodeShare code_share(const CpuKernels& kernels, const MatmulArgs& args, const PackedView& view) {
  CodeShare share = {};
  share.k = view.k;
  share.depth = view.depth;
  share.group = view.format.group;
  share.offset = view.format.offset();
  CodedRows& out = share.out;
  out.words = word_codes(kernels, view, args.rows);
  out.stride = view.depth * (out.words ? 2 : 1) + kRowSkewBytes;
  out.scale_stride = round_up(divide_up(view.depth, kActivationGroup), 16);
  out.sum_stride = round_up(view.groups, 16);
  const int64_t rows = round_up(args.rows, kTiledRows);
  const int64_t words = rows * (out.stride / 4 + out.scale_stride + out.sum_stride);
  float* memory = shared_scratch(static_cast<size_t>(words));
  out.codes = reinterpret_cast<std::byte*>(memory);
  out.scales = memory + rows * out.stride / 4;
  out.sums = reinterpret_cast<int32_t*>(out.scales + rows * out.scale_stride);
  return share;
}

CodedRows code(const CpuKernels& kernels, ThreadPool& pool, const MatmulArgs& args, const RowSource& source,
               const PackedView& view) {
  const CodeShare whole = code_share(kernels, args, view);
  for_row_shares(kernels, pool, args, source, whole, kernels.code_rows);
  return whole.out;
}

PackedShare packed_share(const PanelTask& task, const CodedRows& x) {
  const PackedView& view = task.view;
  // One row of bytes is fast enough for the machine to see itself what comes next, and better at it unless measured.
  const bool sees_itself = task.args->rows == 1 && task.view.format.bits == 8;
  auto share = share_of<PackedShare>(task, sees_itself ? 0 : kPackedPrefetchBytes);
  share.scale_offset = view.scale_offset;
  share.bits = view.format.bits;
  share.group = view.format.group;
  share.minima = view.format.minima;
  share.factor = view.factor;
  share.x = x;
  share.scratch =
      thread_scratch(packed_scratch_floats(share.row_end - share.row_begin, share.panel_end - share.panel_begin));
  return share;
}

PanelTasks::Cut cut(const ThreadPool& pool, std::span<const MatmulArgs> all, const CodedRows& x) {
  const MatmulArgs& args = all.front();
  const auto panel_bytes = static_cast<int64_t>(packed_view(*args.weight).panel_bytes);
  const int64_t all_panels = panels_in_all(all);
  const int64_t wanted = kSharesPerThread * pool.threads();
  const int64_t streaming = std::max<int64_t>(1, kStreamBytes / panel_bytes);
  const int64_t balanced = std::max<int64_t>(1, all_panels / wanted);
  const int64_t most = args.rows > kRowsPerShareLeast ? kPackedSharePanels : std::min(streaming, kPanelsPerShareMax);
  const int64_t panels = round_up(std::min(balanced, most), 2);
  const int64_t pieces = divide_up(all_panels, panels);
  const int64_t balanced_rows = divide_up(args.rows, std::max<int64_t>(1, wanted / pieces));
  const int64_t rows_max = kPackedShareBytes / (kPackedBlock * (x.words ? 2 : 1));
  const int64_t rows = std::clamp(balanced_rows, std::min(args.rows, kRowsPerShareLeast), rows_max);
  // Whole blocks of tiles, or whole tiles of registers (of four or six rows): nearly so for all.
  const int64_t unit = args.rows > kTiledRows ? kTiledRows : 12;
  return {.threads = pool.threads(),
          .nodes = pool.nodes(),
          .panels = panels,
          .unit = 2,
          .rows = round_up(divide_up(args.rows, divide_up(args.rows, rows)), unit)};
}

// All products of `all` meet the same coded rows.
void multiply(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all, const CodedRows& x) {
  const auto product = use_tiles(kernels, all.front().rows) ? kernels.matmul_tiled : kernels.matmul_packed;
  const PanelTasks tasks(all, cut(pool, all, x));
  tasks.run(pool, [&](const PanelTask& task) { product(packed_share(task, x)); });
}

}  // namespace

void matmul_packed(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all,
                   const RowSource& source) {
  if (all.empty() || all.front().rows == 0) return;
  for (size_t i = 0; i < all.size();) {
    const PackedView view = packed_view(*all[i].weight);
    size_t end = i + 1;
    while (end < all.size() && same_codes(kernels, all[i].rows, view, packed_view(*all[end].weight))) ++end;
    if (view.format.bits == 16) {
      matmul_bf16(kernels, pool, all.subspan(i, end - i), source);
      i = end;
      continue;
    }
    multiply(kernels, pool, all.subspan(i, end - i), code(kernels, pool, all[i], source, view));
    i = end;
  }
}

}  // namespace sluice::kernels::on_cpu
