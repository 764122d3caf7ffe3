#pragma once
// Products of several packed matrices (tensor/packed_matrix.h) with the same rows of x, cut into tasks for a pool: a
// task is some panels of one matrix times some of the rows.

#include <algorithm>
#include <span>

#include "kernels/ops.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels::on_cpu {

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

struct PanelTask {
  const MatmulArgs* args;
  PackedView view;
  int64_t panel_begin;
  int64_t panel_end;
  int64_t row_begin;
  int64_t row_end;
};

// Every matrix is cut into pieces of at most about `panels` panels, whole multiples of `unit`, that are as equal as can
// be and as many for each of `threads`: with a smaller last piece all but one of them would wait for the end. Rows are
// cut into pieces of `rows`.
class PanelTasks {
 public:
  struct Cut {
    int threads;
    int64_t panels;
    int64_t unit;
    int64_t rows;
  };
  PanelTasks(std::span<const MatmulArgs> all, const Cut& cut) : all_(all), cut_(cut) {}

  int64_t count() const {
    int64_t tasks = 0;
    for (const MatmulArgs& args : all_) tasks += pieces(packed_view(*args.weight));
    return tasks * row_pieces();
  }
  PanelTask operator[](int64_t task) const {
    int64_t piece = task / row_pieces();
    const MatmulArgs* args = all_.data();
    PackedView view = packed_view(*args->weight);
    for (; piece >= pieces(view); view = packed_view(*(++args)->weight)) piece -= pieces(view);
    const int64_t row = task % row_pieces() * cut_.rows;
    return {args, view, start(view, piece), start(view, piece + 1), row, std::min(args->rows, row + cut_.rows)};
  }

 private:
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
