#include "local/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "model/synthetic_steps.h"

namespace sluice::local {
namespace {

constexpr int kFewRowsMax = 32;  // steps up to here are decoding; prefill chunks are longer
constexpr int kTrialRows = 64;   // of the prompts with which tables and threads are compared
constexpr int kChunks[] = {32, 64, 128, 256, 512, 1024};
constexpr int kBatches[] = {64, 128, 256};
constexpr int kPrefetchBytes[] = {0, 1024, 4096, 8192};  // the table's own first
constexpr int kRepeats = 4;                              // of a measurement; the shortest counts
constexpr double kSmallParameters = 50e6;

double parameters(const model::DecoderSpec& spec) {
  const double hidden = spec.hidden_size, q = 1.0 * spec.heads * spec.head_dim,
               kv = 1.0 * spec.kv_heads * spec.head_dim;
  return spec.layers * (hidden * (2 * q + 2 * kv) + 3 * hidden * spec.intermediate_size) + hidden * spec.vocab_size;
}

// All threads, half of them, a quarter, …; ascending. Half is where two threads share a core.
std::vector<int> thread_counts(int most) {
  std::vector<int> counts;
  for (int threads = most; threads >= 1 && counts.size() < 4; threads /= 2) counts.insert(counts.begin(), threads);
  return counts;
}

struct Way {
  const kernels::Ops* ops;
  int threads;
  int prefetch_bytes = 0;

  WorkTuning tuning() const { return {threads, std::string(ops->name), prefetch_bytes}; }
};

class Tuner {
 public:
  Tuner(model::Decoder& decoder, ThreadPool& pool, const TunerOptions& options,
        const std::function<void(size_t, size_t)>& progress)
      : decoder_(decoder), options_(options), progress_(progress), threads_max_(pool.threads_max()) {}

  Result<Tuning> run() {
    SLUICE_RETURN_IF_ERROR(reserve());
    const Way plain = {options_.tables.front(), threads_max_};
    Way decode = plain, prefill = plain;
    // Pages, scratch and clocks are as they will be; and what a row costs is known before many are asked for.
    SLUICE_RETURN_IF_ERROR(warm_up(plain));
    begin_ = std::chrono::steady_clock::now();
    SLUICE_TRY(decode.ops, choose_table(1));
    SLUICE_TRY(prefill.ops, choose_table(kTrialRows));
    SLUICE_TRY(decode.threads, choose_threads(decode, 1));
    SLUICE_TRY(prefill.threads, choose_threads(prefill, kTrialRows));
    SLUICE_TRY(decode.prefetch_bytes, choose_prefetch(decode));
    tuning_.decode = decode.tuning();
    tuning_.prefill = prefill.tuning();
    std::vector<Point> chunks, batches;
    for (const int rows : kChunks) {
      if (rows > rows_max_) break;
      SLUICE_TRY(const double seconds, measure("prefill", prefill, 1, rows));
      if (seconds > 0) chunks.push_back({rows, seconds});
    }
    for (const int sequences : kBatches) {
      if (sequences > sequences_max_) break;
      SLUICE_TRY(const double seconds, measure("decode", sequences > kFewRowsMax ? prefill : decode, sequences, 1));
      if (seconds > 0) batches.push_back({sequences, seconds});
    }
    tuning_.chunk_tokens = smallest_chunk(chunks);
    tuning_.max_concurrency = largest_batch(batches);
    return std::move(tuning_);
  }

 private:
  // The largest steps that fit into the memory allowed.
  Result<void> reserve() {
    const model::CacheLayout layout = decoder_.cache_layout();
    rows_max_ = std::min(*std::rbegin(kChunks), decoder_.spec().context_max);
    sequences_max_ = *std::rbegin(kBatches);
    const auto blocks = [&] { return std::max(model::SyntheticSteps::blocks(decoder_, rows_max_, 1), sequences_max_); };
    const auto bytes = [&] {
      return (layout.block_bytes + layout.window_block_bytes) * static_cast<size_t>(blocks()) +
             model::activation_bytes(decoder_.spec(), std::max(rows_max_, sequences_max_), sequences_max_);
    };
    while (bytes() > options_.memory_max && sequences_max_ > kFewRowsMax) {
      sequences_max_ /= 2;
      rows_max_ = std::min(rows_max_, sequences_max_ * 4);
    }
    return decoder_.reserve(blocks(), std::max(rows_max_, sequences_max_), sequences_max_);
  }

  double elapsed_s() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

  void report() {
    if (!progress_) return;
    const auto total = static_cast<size_t>(options_.seconds_max * 1000);
    // Time begins anew after the warm-up; what was told does not go back.
    reported_ = std::max(reported_, std::min(static_cast<size_t>(elapsed_s() * 1000), total - 1));
    progress_(reported_, total);
  }

  Result<void> warm_up(const Way& way) {
    for (const int rows : {1, 1, 8}) {
      SLUICE_TRY(const double seconds, step(way, 1, rows));
      row_s_ = seconds / rows;
    }
    return {};
  }

  // Whether so many steps of so many rows are likely to be done in time. The first rows of a step cost most.
  bool affordable(int rows, int steps) const { return elapsed_s() + row_s_ * rows * steps <= options_.seconds_max; }

  // Whether a question asked since `begin` is measured once more: of slow steps fewer times, so that all get an answer.
  bool again(int times, double begin) const {
    return times == 0 || (times < kRepeats && elapsed_s() - begin < options_.seconds_max / 8);
  }

  Result<double> step(const Way& way, int sequences, int rows) {
    const model::StepMeans means = {.ops = way.ops, .threads = way.threads, .prefetch_bytes = way.prefetch_bytes};
    decoder_.compute_with(means, means, 0);
    model::SyntheticSteps steps(decoder_, rows, sequences);
    SLUICE_TRY(const double seconds, steps.step(sequences, rows, 0));
    logits_ = steps.logits();
    report();
    return seconds;
  }

  // The shortest of several; 0 when there is no time for it.
  Result<double> measure(std::string_view what, const Way& way, int sequences, int rows) {
    double best = 0;
    const double begin = elapsed_s();
    for (int i = 0; again(i, begin) && affordable(sequences * rows, 1); ++i) {
      SLUICE_TRY(const double seconds, step(way, sequences, rows));
      if (best == 0 || seconds < best) best = seconds;
      if (sequences * rows >= 8) row_s_ = seconds / (sequences * rows);
    }
    if (best > 0) note(what, way, sequences * rows, best);
    return best;
  }

  // The same of several ways, in turn, so that a slow moment hits all alike. Nothing when there is no time.
  Result<std::vector<double>> measure_all(const std::vector<Way>& ways, int rows) {
    std::vector<double> best;
    const int steps = static_cast<int>(ways.size());
    const double begin = elapsed_s();
    for (int i = 0; again(i, begin) && affordable(rows, steps); ++i) {
      best.resize(ways.size(), std::numeric_limits<double>::max());
      for (size_t w = 0; w < ways.size(); ++w) {
        SLUICE_TRY(const double seconds, step(ways[w], 1, rows));
        best[w] = std::min(best[w], seconds);
      }
    }
    for (size_t w = 0; w < best.size(); ++w) note(rows == 1 ? "decode" : "prefill", ways[w], rows, best[w]);
    return best;
  }

  void note(std::string_view what, const Way& way, int rows, double seconds) {
    const Measurement one = {std::string(what), way.tuning(), rows, seconds};
    // Measured again, for another question: the shorter time is the truer one.
    for (Measurement& known : tuning_.measurements) {
      if (known.what != one.what || known.with != one.with || known.rows != rows) continue;
      known.seconds = std::min(known.seconds, seconds);
      return;
    }
    tuning_.measurements.push_back(one);
  }

  // Only among tables whose logits equal the default's, to the bit: steps of both kinds meet in one sequence.
  Result<const kernels::Ops*> choose_table(int rows) {
    std::vector<Way> ways;
    std::vector<float> expected;
    for (const kernels::Ops* ops : options_.tables) {
      if (options_.tables.size() == 1 || !affordable(rows, 2)) break;
      const Result<double> stepped = step({ops, threads_max_}, 1, rows);
      if (!stepped.ok()) return stepped.error();
      if (ways.empty()) expected.assign(logits_.begin(), logits_.end());
      const bool same = std::memcmp(expected.data(), logits_.data(), expected.size() * sizeof(float)) == 0;
      if (same) ways.push_back({ops, threads_max_});
    }
    if (ways.size() < 2) return options_.tables.front();
    SLUICE_TRY(const std::vector<double> seconds, measure_all(ways, rows));
    return ways[fastest_way(seconds)].ops;
  }

  Result<int> choose_threads(const Way& way, int rows) {
    std::vector<Way> ways;
    for (const int threads : thread_counts(threads_max_)) ways.push_back({way.ops, threads});
    if (ways.size() == 1 || options_.threads_fixed) return threads_max_;
    SLUICE_TRY(const std::vector<double> seconds, measure_all(ways, rows));
    std::vector<Point> points;
    for (size_t w = 0; w < seconds.size(); ++w) points.push_back({ways[w].threads, seconds[w]});
    return points.empty() ? threads_max_ : fewest_threads(points);
  }

  // Of weights that are read once for the rows of one sequence or a few.
  Result<int> choose_prefetch(const Way& way) {
    std::vector<Way> ways;
    for (const int bytes : kPrefetchBytes) ways.push_back({way.ops, way.threads, bytes});
    SLUICE_TRY(const std::vector<double> seconds, measure_all(ways, 1));
    return kPrefetchBytes[fastest_way(seconds)];
  }

  model::Decoder& decoder_;
  const TunerOptions& options_;
  const std::function<void(size_t, size_t)>& progress_;
  const int threads_max_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  size_t reported_ = 0;
  int rows_max_ = 0, sequences_max_ = 0;
  double row_s_ = 0;  // of the last step that says what a row costs
  std::span<const float> logits_;
  Tuning tuning_;
};

}  // namespace

std::vector<const kernels::Ops*> tables_to_try(const kernels::Ops& made_with) {
  std::vector<const kernels::Ops*> tables = {&made_with};
  for (const kernels::Ops* ops : kernels::available_ops()) {
    // Whether int8 is fast has decided the arithmetic when the weights were loaded.
    const bool real = ops->name != "ref" && ops->name != "tiles";
    if (real && ops != &made_with && ops->fast_int8 == made_with.fast_int8) tables.push_back(ops);
  }
  return tables;
}

bool too_small_to_tune(const model::DecoderSpec& spec) { return parameters(spec) < kSmallParameters; }

Result<Tuning> tune(model::Decoder& decoder, ThreadPool& pool, const TunerOptions& options,
                    const std::function<void(size_t done, size_t total)>& progress) {
  return Tuner(decoder, pool, options, progress).run();
}

bool apply_tuning(const Tuning& tuning, model::Decoder& decoder) {
  const auto decode = kernels::select_ops(tuning.decode.kernels), prefill = kernels::select_ops(tuning.prefill.kernels);
  if (!decode.ok() || !prefill.ok()) return false;
  decoder.compute_with({*decode, tuning.decode.threads, tuning.decode.prefetch_bytes},
                       {*prefill, tuning.prefill.threads, tuning.prefill.prefetch_bytes}, kFewRowsMax);
  return true;
}

}  // namespace sluice::local
