#pragma once
// The rows of x of a product on a pool, piece by piece, for what codes or rounds them: as they are in memory, or made
// just before they are read, so that they never leave the level-1 cache as floats.

#include <algorithm>

#include "kernels/cpu/ops_on_cpu.h"
#include "kernels/cpu/scratch.h"

namespace sluice::kernels::on_cpu {

// Rows [begin, end) of the source, of `width` floats each, into `out`.
inline void make_rows(const CpuKernels& kernels, const RowSource& source, int64_t begin, int64_t end, float* out) {
  if (source.norm != nullptr) {
    NormArgs args = *source.norm;
    args.x += begin * args.columns;
    args.out = out;
    return kernels.rms_norm(args, 0, end - begin);
  }
  GatedActivationArgs args = *source.gated;
  args.gate += begin * args.width;
  args.up += begin * args.width;
  args.out = out;
  kernels.gated_activation(args, 0, (end - begin) * args.width);
}

// work(share) for pieces of the rows of args.x, each row once, on any thread. `whole` (CodeShare, RoundShare) says all
// but which rows and where they are.
template <class Share, class Work>
void for_row_shares(const CpuKernels& kernels, ThreadPool& pool, const MatmulArgs& args, const RowSource& source,
                    const Share& whole, const Work& work) {
  constexpr int64_t kSerialElements = 16 * 1024;  // are done before another thread has heard of them
  constexpr int64_t kMadeElements = 4 * 1024;     // half a level-1 cache, with what they are made of
  const int64_t k = whole.k;
  const bool made = source.norm != nullptr || source.gated != nullptr;
  const auto piece = [&](int64_t begin, int64_t end, const float* x) {
    Share share = whole;
    share.x = x;
    share.row_begin = begin;
    share.row_end = end;
    work(share);
  };
  const auto rows = [&](int64_t begin, int64_t end) {
    if (!made) return piece(begin, end, args.x + begin * k);
    const int64_t step = std::max<int64_t>(1, kMadeElements / k);
    float* x = thread_scratch(static_cast<size_t>(std::min(step, end - begin) * k));
    for (; begin < end; begin += step) {
      make_rows(kernels, source, begin, std::min(end, begin + step), x);
      piece(begin, std::min(end, begin + step), x);
    }
  };
  if (pool.threads() == 1 || args.rows * k < kSerialElements) return rows(0, args.rows);
  const int64_t step = divide_up(args.rows, kSharesPerThread * pool.threads());
  pool.parallel_for(divide_up(args.rows, step),
                    [&](int64_t task, int) { rows(task * step, std::min(args.rows, (task + 1) * step)); });
}

}  // namespace sluice::kernels::on_cpu
