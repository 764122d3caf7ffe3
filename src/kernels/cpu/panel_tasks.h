#pragma once
// Products of several packed matrices (tensor/packed_matrix.h) with the same rows of x, cut into tasks for a pool: the
// rows are coded or rounded first, and then a task is some panels of one matrix times some of the rows.

#include <algorithm>
#include <span>

#include "base/check.h"
#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/ops.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels::on_cpu {

constexpr int64_t kStreamBytes = 256 * 1024;          // of weights that a task reads when there are few rows
constexpr int64_t kSerialPanelProducts = 256 * 1024;  // multiply-adds done before another thread has heard of them
constexpr int64_t kRowSkewBytes = 64;  // between coded or rounded rows, so that they do not meet in one cache set

struct PanelTask {
  const MatmulArgs* args;
  PackedView view;
  int64_t panel_begin;
  int64_t panel_end;
  int64_t row_begin;
  int64_t row_end;
};

// What PackedShare and Bf16Share have in common: all but the rows of x, how weights are coded, and scratch.
// `prefetch_bytes`: unless the arguments have another.
template <class Share>
Share share_of(const PanelTask& task, int prefetch_bytes) {
  Share share = {};
  share.prefetch_bytes = task.args->prefetch_bytes > 0 ? task.args->prefetch_bytes : prefetch_bytes;
  share.panels = task.view.panels;
  share.panel_bytes = task.view.panel_bytes;
  share.n = task.view.n;
  share.depth = task.view.depth;
  share.bias = task.args->bias;
  share.out = task.args->out;
  share.accumulate = task.args->accumulate;
  share.row_begin = task.row_begin;
  share.row_end = task.row_end;
  share.panel_begin = task.panel_begin;
  share.panel_end = task.panel_end;
  return share;
}

// The panels of all matrices.
inline int64_t panels_in_all(std::span<const MatmulArgs> all) {
  int64_t panels = 0;
  for (const MatmulArgs& args : all) panels += packed_view(*args.weight).panel_count();
  return panels;
}

// Every matrix is cut into pieces of at most about `panels` panels, whole multiples of `unit`, that are as equal as can
// be and as many for each of `threads`: with a smaller last piece all but one of them would wait for the end. Rows are
// cut into pieces of `rows`. The tasks are in as many parts as there are `nodes`: first those of the first panels of
// every matrix, whose memory is near the threads that take them first (ThreadPool::nodes).
class PanelTasks {
 public:
  struct Cut {
    int threads;
    int nodes;
    int64_t panels;
    int64_t unit;
    int64_t rows;
  };
  PanelTasks(std::span<const MatmulArgs> all, const Cut& cut) : all_(all), cut_(cut) {}

  // work(task) for every task.
  template <class Work>
  void run(ThreadPool& pool, const Work& work) const {
    int64_t count = 0, products = 0;
    for (const MatmulArgs& args : all_) {
      const PackedView view = packed_view(*args.weight);
      count += pieces(view) * row_pieces();
      products += args.rows * view.n * view.k;
    }
    const auto one = [&](int64_t index, int) { work(task(index)); };
    if (pool.threads() > 1 && products >= kSerialPanelProducts) return pool.parallel_for(count, one);
    for (int64_t index = 0; index < count; ++index) one(index, 0);
  }

 private:
  PanelTask task(int64_t index) const {
    int64_t piece = index / row_pieces();
    const int64_t row = index % row_pieces() * cut_.rows;
    for (int node = 0;; ++node) {
      SLUICE_CHECK(node < cut_.nodes);
      for (const MatmulArgs& args : all_) {
        const PackedView view = packed_view(*args.weight);
        const int64_t begin = pieces(view) * node / cut_.nodes, end = pieces(view) * (node + 1) / cut_.nodes;
        if (begin + piece < end) {
          piece += begin;
          return {&args, view, start(view, piece), start(view, piece + 1), row, std::min(args.rows, row + cut_.rows)};
        }
        piece -= end - begin;
      }
    }
  }
  int64_t row_pieces() const { return divide_up(all_.front().rows, cut_.rows); }
  int64_t units(const PackedView& view) const { return divide_up(view.panel_count(), cut_.unit); }
  int64_t pieces(const PackedView& view) const {
    return std::min(units(view), round_up(divide_up(view.panel_count(), cut_.panels), cut_.threads));
  }
  int64_t start(const PackedView& view, int64_t piece) const {
    return std::min(view.panel_count(), units(view) * piece / pieces(view) * cut_.unit);
  }

  std::span<const MatmulArgs> all_;
  Cut cut_;
};

}  // namespace sluice::kernels::on_cpu
