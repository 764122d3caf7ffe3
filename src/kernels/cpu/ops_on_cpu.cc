#include "kernels/cpu/ops_on_cpu.h"

#include <algorithm>

#include "kernels/cpu/scratch.h"
#include "kernels/kv_layout.h"
#include "tensor/packed_matrix.h"

namespace sluice::kernels::on_cpu {
namespace {

// Below this many elements (or multiply-adds) an operation is done before another thread has heard of it.
constexpr int64_t kSerialElements = 32 * 1024;
constexpr int64_t kSerialProducts = 128 * 1024;
// One share reads about this much of a weight: small enough to balance threads, large enough to stream.
constexpr int64_t kDirectShareBytes = 128 * 1024;
// Up to this many floats of x, which then stay in a level-2 cache, and CpuKernels::direct_rows_max rows, widening
// weights in registers for every few rows costs less than widening a panel in memory.
constexpr int64_t kDirectFloatsMax = 64 * 1024;
constexpr int64_t kDirectRowsAlways = 8;  // however many floats
// Rows that are worth widening a panel for; fewer are not split between threads.
constexpr int64_t kPanelShareRows = 60;

// work(begin, end) over [0, count), in pieces worth a thread when `cost` elements per item make it worth several.
template <class Work>
void for_pieces(ThreadPool& pool, int64_t count, int64_t cost, const Work& work) {
  if (count == 0) return;
  if (pool.threads() == 1 || count * cost < kSerialElements) return work(0, count);
  const int64_t balanced = divide_up(count, kSharesPerThread * pool.threads());
  const int64_t step = std::max({int64_t{1}, balanced, kSerialElements / 4 / std::max<int64_t>(cost, 1)});
  pool.parallel_for(divide_up(count, step),
                    [&](int64_t piece, int) { work(piece * step, std::min(count, (piece + 1) * step)); });
}

void matmul_by_columns(const CpuKernels& kernels, ThreadPool& pool, const MatmulShare& whole) {
  constexpr int64_t kAlign = 8;  // weight rows that a kernel reads side by side
  const int64_t streaming = kDirectShareBytes / static_cast<int64_t>(whole.weight_row_bytes);
  const int64_t balanced = divide_up(whole.n, kSharesPerThread * pool.threads());
  const int64_t step = divide_up(std::max<int64_t>(1, std::min(streaming, balanced)), kAlign) * kAlign;
  pool.parallel_for(divide_up(whole.n, step), [&](int64_t task, int) {
    MatmulShare share = whole;
    share.column_begin = task * step;
    share.column_end = std::min(whole.n, (task + 1) * step);
    kernels.matmul_direct(share);
  });
}

void matmul_by_panels(const CpuKernels& kernels, ThreadPool& pool, const MatmulShare& whole) {
  const int64_t columns = panel_columns(whole.k);
  const int64_t column_tasks = divide_up(whole.n, columns);
  const int64_t wanted =
      std::min(divide_up(kSharesPerThread * pool.threads(), column_tasks), divide_up(whole.row_end, kPanelShareRows));
  const int64_t row_step = divide_up(divide_up(whole.row_end, wanted), kPanelRows) * kPanelRows;
  const int64_t row_tasks = divide_up(whole.row_end, row_step);
  pool.parallel_for(column_tasks * row_tasks, [&](int64_t task, int) {
    MatmulShare share = whole;
    share.column_begin = task / row_tasks * columns;
    share.column_end = std::min(whole.n, share.column_begin + columns);
    share.row_begin = task % row_tasks * row_step;
    share.row_end = std::min(whole.row_end, share.row_begin + row_step);
    share.scratch = thread_scratch(kMatmulScratchFloats);
    kernels.matmul_panel(share);
  });
}

// Numbers the items of many sequences through: item i of sequence s is number start(s) + i.
class Numbering {
 public:
  // count(sequence) items each.
  template <class Count>
  Numbering(std::span<const SequenceRows> sequences, const Count& count) : starts_(storage()) {
    starts_.clear();
    starts_.push_back(0);
    for (const SequenceRows& sequence : sequences) starts_.push_back(starts_.back() + count(sequence));
  }
  int64_t total() const { return starts_.back(); }
  int64_t start(size_t sequence) const { return starts_[sequence]; }
  size_t sequence_of(int64_t number) const {
    return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), number) - starts_.begin()) - 1;
  }

 private:
  static std::vector<int64_t>& storage() {
    thread_local std::vector<int64_t> starts;
    return starts;
  }
  std::vector<int64_t>& starts_;  // of the thread that owns the operation; one Numbering at a time
};

struct AttentionSizes {
  int group;         // heads per kv head
  int64_t products;  // multiply-adds of the whole
  int context_max;
  int rows_max;
};

AttentionSizes measure(const AttentionArgs& args) {
  AttentionSizes sizes = {args.heads / args.layer.kv_heads, 0, 0, 0};
  for (const SequenceRows& sequence : args.sequences) {
    const int context = sequence.context + sequence.rows;
    const int64_t seen = args.window > 0 ? std::min(context, args.window) : context;
    sizes.products += 2 * seen * sequence.rows * args.heads * args.layer.head_dim;
    sizes.context_max = std::max(sizes.context_max, context);
    sizes.rows_max = std::max(sizes.rows_max, sequence.rows);
  }
  return sizes;
}

AttentionShare make_share(const AttentionArgs& args, size_t sequence, int64_t kv_head) {
  AttentionShare share = {};
  share.args = &args;
  share.sequence = &args.sequences[sequence];
  share.kv_row_bytes = row_bytes(args.layer.dtype, args.layer.head_dim);
  share.kv_head = static_cast<int>(kv_head);
  share.segment = -1;
  share.scratch = thread_scratch(attention_scratch_floats(args.layer.head_dim));
  return share;
}

void attention_by_queries(const CpuKernels& kernels, ThreadPool& pool, const AttentionArgs& args,
                          const AttentionSizes& sizes) {
  const auto chunks = [&](const SequenceRows& s) { return divide_up(int64_t{s.rows} * sizes.group, kShareQueries); };
  const Numbering tasks(args.sequences, [&](const SequenceRows& s) { return chunks(s) * args.layer.kv_heads; });
  const auto one = [&](int64_t task, int) {
    const size_t sequence = tasks.sequence_of(task);
    const int64_t index = task - tasks.start(sequence);
    const int64_t count = chunks(args.sequences[sequence]);
    AttentionShare share = make_share(args, sequence, index / count);
    const int64_t begin = index % count * kShareQueries;
    const int64_t end = std::min(begin + kShareQueries, int64_t{args.sequences[sequence].rows} * sizes.group);
    share.query_begin = static_cast<int>(begin);
    share.query_end = static_cast<int>(end);
    kernels.attention(share);
  };
  if (sizes.products >= kSerialProducts) return pool.parallel_for(tasks.total(), one);
  for (int64_t task = 0; task < tasks.total(); ++task) one(task, 0);
}

int first_token(const AttentionArgs& args, const SequenceRows& sequence) {
  return args.window > 0 ? std::max(0, sequence.context + 1 - args.window) : 0;
}
int64_t segments_of(const AttentionArgs& args, const SequenceRows& sequence) {
  return sequence.context / kSegmentTokens - first_token(args, sequence) / kSegmentTokens + 1;
}

// One row per sequence, and fewer kv heads than threads: every segment is a share of its own.
void attention_by_segments(const CpuKernels& kernels, ThreadPool& pool, const AttentionArgs& args, int group) {
  const Numbering tasks(args.sequences, [&](const SequenceRows& s) {
    return s.rows == 0 ? 0 : segments_of(args, s) * args.layer.kv_heads;
  });
  const size_t query_floats = partial_floats(args.layer.head_dim);
  const size_t share_floats = static_cast<size_t>(group) * query_floats;
  float* partials = shared_scratch(static_cast<size_t>(tasks.total()) * share_floats);
  pool.parallel_for(tasks.total(), [&](int64_t task, int) {
    const size_t sequence = tasks.sequence_of(task);
    const int64_t index = task - tasks.start(sequence);
    const int64_t segments = segments_of(args, args.sequences[sequence]);
    AttentionShare share = make_share(args, sequence, index / segments);
    share.query_end = group;
    share.segment = first_token(args, *share.sequence) / kSegmentTokens + static_cast<int>(index % segments);
    share.partials = partials + static_cast<size_t>(task) * share_floats;
    kernels.attention(share);
  });
  const int head_dim = args.layer.head_dim;
  for (size_t s = 0; s < args.sequences.size(); ++s) {
    const SequenceRows& sequence = args.sequences[s];
    if (sequence.rows == 0) continue;
    const int64_t segments = segments_of(args, sequence);
    for (int head = 0; head < args.heads; ++head) {
      const int64_t task = tasks.start(s) + head / group * segments;
      float* from =
          partials + static_cast<size_t>(task) * share_floats + static_cast<size_t>(head % group) * query_floats;
      float* out = args.out + (int64_t{sequence.first_row} * args.heads + head) * head_dim;
      kernels.join_segments(from, share_floats, static_cast<int>(segments), out, head_dim);
    }
  }
}

}  // namespace

void embed(const CpuKernels& kernels, ThreadPool& pool, const Tensor& table, std::span<const int32_t> ids, float scale,
           float* out) {
  const int64_t columns = table.shape.columns();
  if (table.dtype == DType::kPacked) {
    const PackedView view = packed_view(table);
    for_pieces(pool, static_cast<int64_t>(ids.size()), columns, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* row = out + i * columns;
        unpack_row(view, ids[static_cast<size_t>(i)], row);
        for (int64_t c = 0; c < columns; ++c) row[c] *= scale;
      }
    });
    return;
  }
  for_pieces(pool, static_cast<int64_t>(ids.size()), columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels.read_row(table.dtype, table.row(ids[static_cast<size_t>(i)]), scale, out + i * columns, columns);
    }
  });
}

void rms_norm(const CpuKernels& kernels, ThreadPool& pool, const NormArgs& args) {
  for_pieces(pool, args.rows, args.columns, [&](int64_t begin, int64_t end) { kernels.rms_norm(args, begin, end); });
}

void matmul(const CpuKernels& kernels, ThreadPool& pool, const MatmulArgs& args) {
  const Tensor& weight = *args.weight;
  if (weight.dtype == DType::kPacked) return matmul_packed(kernels, pool, {&args, 1}, {});
  MatmulShare whole = {};
  whole.args = &args;
  whole.weight = weight.data;
  whole.dtype = weight.dtype;
  whole.k = weight.shape.columns();
  whole.n = weight.shape.rows();
  whole.weight_row_bytes = row_bytes(whole.dtype, whole.k);
  whole.row_end = args.rows;
  whole.column_end = whole.n;
  if (args.rows == 0 || whole.n == 0) return;
  const bool few_rows = args.rows <= kernels.direct_rows_max &&
                        (args.rows <= kDirectRowsAlways || args.rows * whole.k <= kDirectFloatsMax);
  const bool direct = few_rows || whole.k > kPanelDepthMax;
  if (pool.threads() == 1 || args.rows * whole.n * whole.k < kSerialProducts) {
    if (direct) return kernels.matmul_direct(whole);
    whole.scratch = thread_scratch(kMatmulScratchFloats);
    return kernels.matmul_panel(whole);
  }
  return direct ? matmul_by_columns(kernels, pool, whole) : matmul_by_panels(kernels, pool, whole);
}

void matmul_many(const CpuKernels& kernels, ThreadPool& pool, std::span<const MatmulArgs> all,
                 const RowSource& source) {
  const auto packed = [](const MatmulArgs& args) { return args.weight->dtype == DType::kPacked; };
  if (std::ranges::all_of(all, packed)) return matmul_packed(kernels, pool, all, source);
  if (source.norm != nullptr) rms_norm(kernels, pool, *source.norm);
  if (source.gated != nullptr) gated_activation(kernels, pool, *source.gated);
  for (const MatmulArgs& args : all) matmul(kernels, pool, args);
}

void rope(const CpuKernels& kernels, ThreadPool& pool, const RopeArgs& args) {
  for_pieces(pool, args.rows, int64_t{args.heads} * args.rotary_dim,
             [&](int64_t begin, int64_t end) { kernels.rope(args, begin, end); });
}

void kv_write(const CpuKernels& kernels, ThreadPool& pool, const KvWriteArgs& args) {
  const KvLayer& layer = args.layer;
  const size_t bytes = row_bytes(layer.dtype, layer.head_dim);
  const Numbering rows(args.sequences, [](const SequenceRows& s) { return int64_t{s.rows}; });
  for_pieces(pool, rows.total(), int64_t{2} * layer.kv_heads * layer.head_dim, [&](int64_t begin, int64_t end) {
    auto* key = reinterpret_cast<std::byte*>(thread_scratch(bytes / sizeof(float) + 1));
    for (int64_t number = begin; number < end; ++number) {
      const size_t s = rows.sequence_of(number);
      const SequenceRows& sequence = args.sequences[s];
      const int64_t i = number - rows.start(s);
      const int64_t token = sequence.context + i;
      const int64_t block = sequence.blocks[token / layer.block_tokens];
      const auto within = static_cast<int>(token % layer.block_tokens);
      for (int head = 0; head < layer.kv_heads; ++head) {
        const size_t at = static_cast<size_t>((block * layer.kv_heads + head) * layer.block_tokens) * bytes;
        const int64_t from = (sequence.first_row + i) * args.stride + int64_t{head} * layer.head_dim;
        kernels.write_row(layer.dtype, args.k + from, key, layer.head_dim);
        put_key(layer.dtype, layer.block_tokens, layer.head_dim, within, key, layer.k + at);
        kernels.write_row(layer.dtype, args.v + from, layer.v + at + static_cast<size_t>(within) * bytes,
                          layer.head_dim);
      }
    }
  });
}

void attention(const CpuKernels& kernels, ThreadPool& pool, const AttentionArgs& args) {
  const AttentionSizes sizes = measure(args);
  const int64_t shares = static_cast<int64_t>(args.sequences.size()) * args.layer.kv_heads;
  const bool few_shares = pool.threads() > 1 && shares < kSharesPerThread * pool.threads();
  const bool one_row_each = sizes.rows_max == 1 && sizes.group <= kShareQueries;
  if (few_shares && one_row_each && sizes.context_max > 2 * kSegmentTokens) {
    return attention_by_segments(kernels, pool, args, sizes.group);
  }
  attention_by_queries(kernels, pool, args, sizes);
}

void gated_activation(const CpuKernels& kernels, ThreadPool& pool, const GatedActivationArgs& args) {
  constexpr int64_t kCost = 4;  // an exponential weighs more than a copy
  for_pieces(pool, args.rows * args.width, kCost,
             [&](int64_t begin, int64_t end) { kernels.gated_activation(args, begin, end); });
}

void add(const CpuKernels& kernels, ThreadPool& pool, float* x, const float* y, int64_t count) {
  for_pieces(pool, count, 1, [&](int64_t begin, int64_t end) { kernels.add(x + begin, y + begin, end - begin); });
}

void softcap(const CpuKernels& kernels, ThreadPool& pool, float* x, float cap, int64_t count) {
  constexpr int64_t kCost = 4;
  for_pieces(pool, count, kCost, [&](int64_t begin, int64_t end) { kernels.softcap(x + begin, cap, end - begin); });
}

}  // namespace sluice::kernels::on_cpu
