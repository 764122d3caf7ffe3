// sluice bench: the decoder's speed on this machine beside what its memory could give. Every figure is the median of
// several runs, and is printed with its floor: the bytes one pass must read over the bandwidth measured in the same
// run.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>

#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace sluice::cli {
namespace {

using Time = std::chrono::steady_clock;

double seconds_since(Time::time_point start) { return std::chrono::duration<double>(Time::now() - start).count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Result<std::vector<int>> numbers(const std::vector<std::string>& words, std::vector<int> fallback,
                                 std::string_view flag) {
  if (words.empty()) return fallback;
  std::vector<int> all;
  for (const std::string& word : words) {
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || value < 1) {
      return invalid_argument(cat("--", flag, " must be a list of positive numbers, not '", word, "'"),
                              std::string(flag));
    }
    all.push_back(value);
  }
  return all;
}

// Bytes a second that all threads together read from memory: the best of a few passes over a buffer far beyond the
// caches.
double read_bandwidth(ThreadPool& pool) {
  constexpr size_t kBytes = size_t{1} << 30;
  constexpr int64_t kPieces = 256;
  Buffer buffer(kBytes);
  std::fill_n(buffer.as<uint64_t>(), kBytes / 8, 1);
  std::vector<uint64_t> sums(kPieces);
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const Time::time_point start = Time::now();
    pool.parallel_for(kPieces, [&](int64_t piece, int) {
      const uint64_t* words = buffer.as<uint64_t>() + static_cast<size_t>(piece) * (kBytes / 8 / kPieces);
      uint64_t sum[8] = {};
      for (size_t i = 0; i < kBytes / 8 / kPieces; i += 8) {
        for (size_t lane = 0; lane < 8; ++lane) sum[lane] += words[i + lane];
      }
      for (const uint64_t lane : sum) sums[static_cast<size_t>(piece)] += lane;
    });
    best = std::max(best, static_cast<double>(kBytes) / seconds_since(start));
  }
  SLUICE_CHECK(sums[0] > 0);  // the reads are needed
  return best;
}

// Drives a decoder without engine or server: sequences of random tokens over their own blocks.
class DecoderBench {
 public:
  DecoderBench(model::Decoder& decoder, int block_tokens, int tokens_max, int sequences)
      : decoder_(decoder), vocab_(static_cast<uint32_t>(decoder.traits().vocab_size)) {
    const int blocks_each = (tokens_max + block_tokens - 1) / block_tokens;
    tables_.resize(static_cast<size_t>(sequences));
    for (int s = 0; s < sequences; ++s) {
      for (int b = 0; b < blocks_each; ++b) tables_[static_cast<size_t>(s)].push_back(s * blocks_each + b);
    }
  }

  // Seconds of one step: `rows` new tokens for each of `sequences`, after `context` tokens.
  Result<double> step(int sequences, int rows, int context) {
    std::vector<model::TokenId> tokens;
    std::vector<int32_t> positions, logits_rows;
    std::vector<model::SequenceRows> slices;
    for (int s = 0; s < sequences; ++s) {
      slices.push_back({.first_row = static_cast<int>(tokens.size()),
                        .rows = rows,
                        .context = context,
                        .blocks = tables_[static_cast<size_t>(s)].data()});
      for (int r = 0; r < rows; ++r) {
        tokens.push_back(static_cast<model::TokenId>(philox4x32(1, draws_++)[0] % vocab_));
        positions.push_back(context + r);
      }
      logits_rows.push_back(static_cast<int32_t>(tokens.size()) - 1);
    }
    const Time::time_point start = Time::now();
    const auto output =
        decoder_.run({.tokens = tokens, .positions = positions, .sequences = slices, .logits_rows = logits_rows});
    if (!output.ok()) return output.error();
    return seconds_since(start);
  }

 private:
  model::Decoder& decoder_;
  uint32_t vocab_;
  uint64_t draws_ = 0;
  std::vector<std::vector<int32_t>> tables_;
};

}  // namespace

Result<int> run_bench(const CommandLine& line) {
  const Settings& settings = line.settings;
  SLUICE_TRY(const local::LocalOptions options, local_options(line.arguments.front(), settings));
  SLUICE_TRY(const std::vector<int> prompts, numbers(settings.prompt_tokens, {128, 512}, "prompt-tokens"));
  SLUICE_TRY(const std::vector<int> batches, numbers(settings.batch, {1, 4, 16}, "batch"));
  SLUICE_TRY(const kernels::Ops* ops, kernels::select_ops(options.kernels));
  SLUICE_TRY(checkpoint::ModelFiles opened, checkpoint::open_model(options.model_path));
  const auto files = std::make_shared<const checkpoint::ModelFiles>(std::move(opened));
  SLUICE_TRY(const model::ModelDescription description, model::describe_model(*files));
  ThreadPool pool(options.threads);
  SLUICE_TRY(const auto decoder, model::load_decoder(files, description, options.load, *ops, pool));

  constexpr int kDecodeContext = 128, kDecodeSteps = 16;
  const int longest = std::max(*std::ranges::max_element(prompts), kDecodeContext + kDecodeSteps);
  const int most = *std::ranges::max_element(batches);
  const int blocks_each = (longest + options.load.block_tokens - 1) / options.load.block_tokens;
  const int rows_max = std::max({*std::ranges::max_element(prompts), most, kDecodeContext});
  const model::CacheLayout cache = decoder->cache_layout();
  const size_t needed = (cache.block_bytes + cache.window_block_bytes) * static_cast<size_t>(blocks_each * most) +
                        model::activation_bytes(description.spec, rows_max, most);
  if (needed > model::available_memory()) {
    return Error{ErrorCode::kResourceExhausted,
                 cat("these measurements need ", format_bytes(needed),
                     " besides the weights; ask for shorter prompts or smaller batches"),
                 {},
                 {}};
  }
  SLUICE_RETURN_IF_ERROR(decoder->reserve(blocks_each * most, rows_max, most));
  DecoderBench bench(*decoder, options.load.block_tokens, longest, most);

  const double bandwidth = read_bandwidth(pool);
  // What a decode step must read: every weight but the embedding table, of which it takes one row.
  const model::DecoderWeights& weights = decoder->weights();
  const size_t table = weights.head.data == weights.embedding.data ? 0 : weights.embedding.bytes();
  const double weight_bytes = static_cast<double>(weights.mapped_bytes + weights.owned_bytes - table);
  Json report = {{"model", files->name},
                 {"architecture", description.spec.architecture},
                 {"kernels", std::string(ops->name)},
                 {"threads", pool.threads()},
                 {"weight_bytes", weight_bytes},
                 {"read_bandwidth_bytes_per_s", bandwidth},
                 {"results", Json::array()}};
  if (!settings.json) {
    std::printf("%s, %s, %d threads: weights %s, memory reads %.1f GB/s\n", files->name.c_str(),
                std::string(ops->name).c_str(), pool.threads(),
                format_bytes(static_cast<uint64_t>(weight_bytes)).c_str(), bandwidth / 1e9);
  }

  const auto record = [&](const std::string& what, int batch, int tokens, double seconds, int tokens_done,
                          double floor_s) {
    report["results"].push_back({{"test", what},
                                 {"batch", batch},
                                 {"tokens", tokens},
                                 {"seconds", seconds},
                                 {"tokens_per_s", tokens_done / seconds},
                                 {"floor_s", floor_s},
                                 {"of_bandwidth", floor_s / seconds}});
    if (settings.json) return;
    std::printf("%-8s batch %3d  %5d tokens  %10.1f tokens/s", what.c_str(), batch, tokens, tokens_done / seconds);
    if (what == "decode")
      std::printf("   %5.1f GB/s, %3.0f %% of memory bandwidth", weight_bytes / seconds / 1e9, 100 * floor_s / seconds);
    std::printf("\n");
    std::fflush(stdout);
  };
  for (const int tokens : prompts) {
    std::vector<double> times;
    SLUICE_RETURN_IF_ERROR(bench.step(1, tokens, 0));  // warms up
    for (int64_t i = 0; i < settings.repeat; ++i) {
      SLUICE_TRY(const double seconds, bench.step(1, tokens, 0));
      times.push_back(seconds);
    }
    record("prefill", 1, tokens, median(times), tokens, weight_bytes / bandwidth);
  }
  for (const int batch : batches) {
    for (int s = 0; s < kDecodeContext; s += std::max(1, rows_max / batch)) {
      SLUICE_RETURN_IF_ERROR(bench.step(batch, std::min(std::max(1, rows_max / batch), kDecodeContext - s), s));
    }
    std::vector<double> times;
    for (int64_t i = 0; i < settings.repeat * kDecodeSteps; ++i) {
      SLUICE_TRY(const double seconds, bench.step(batch, 1, kDecodeContext + static_cast<int>(i % kDecodeSteps)));
      times.push_back(seconds);
    }
    record("decode", batch, 1, median(times), batch, weight_bytes / bandwidth);
  }
  if (settings.json) std::printf("%s\n", dump_json(report, 2).c_str());
  return 0;
}

}  // namespace sluice::cli
