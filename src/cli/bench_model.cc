// sluice bench model: the decoder's speed on this machine, without engine or server. Every figure is the median of
// several runs and is printed with its floor: the bytes a pass must read over the bandwidth, or its multiply-adds over
// the arithmetic unit's peak, whichever takes longer; both measured in the same run.

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/strings.h"
#include "cli/bench.h"
#include "kernels/machine_limits.h"
#include "model/synthetic_steps.h"
#include "tensor/packed_matrix.h"

namespace sluice::cli {
namespace {

constexpr int kDecodeSteps = 16;  // measured one after another

// What a step costs at least.
class PassFloor {
 public:
  PassFloor(const model::Decoder& decoder, const std::vector<kernels::MachineLimit>& limits)
      : bandwidth_(kernels::best_limit(limits, "read")), cache_(decoder.cache_layout()) {
    const model::DecoderSpec& spec = decoder.spec();
    const model::DecoderWeights& weights = decoder.weights();
    // Every weight but the embedding table, of which a step reads a row a token.
    const size_t table = weights.head.data == weights.embedding.data ? 0 : weights.embedding.bytes();
    weight_bytes_ = static_cast<double>(weights.mapped_bytes + weights.owned_bytes - table);
    const double hidden = spec.hidden_size, q = double{1} * spec.heads * spec.head_dim,
                 kv = double{1} * spec.kv_heads * spec.head_dim;
    // Of the last layer only a sequence's last row needs more than keys and values.
    last_operations_ = 2 * (2 * hidden * q + 3 * hidden * spec.intermediate_size);
    row_operations_ = spec.layers * 4 * hidden * kv + (spec.layers - 1) * last_operations_;
    last_operations_ += 2 * hidden * spec.vocab_size;
    layer_token_operations_ = 4 * q;
    layers_ = spec.layers;
    // The fastest unit that could do the products of such weights.
    const Tensor& down = weights.layers.front().down;
    const int packed_bits = down.dtype == DType::kPacked ? packed_view(down).format.bits : 0;
    peak_ = kernels::best_limit(limits, "fp32");
    if (down.dtype == DType::kBF16 || packed_bits == 16) peak_ = std::max(peak_, kernels::best_limit(limits, "bf16"));
    if (is_quantized(down.dtype) || (packed_bits > 0 && packed_bits < 16))
      peak_ = std::max(peak_, kernels::best_limit(limits, "int8"));
    if (packed_bits == 4) peak_ = std::max(peak_, kernels::best_limit(limits, "int4"));
  }

  double bandwidth() const { return bandwidth_; }
  double peak() const { return peak_; }
  double weight_bytes() const { return weight_bytes_; }

  double read_s(int sequences, int context) const {
    const double kv_bytes = static_cast<double>(cache_.block_bytes) * context +
                            static_cast<double>(cache_.window_block_bytes) * std::min(context, cache_.window_tokens);
    return (weight_bytes_ + sequences * kv_bytes / cache_.block_tokens) / bandwidth_;
  }
  double compute_s(int sequences, int rows, int context) const {
    const double seen = rows * (context + (rows + 1) / 2.0);  // tokens that all rows attend to
    const double attention = layer_token_operations_ * ((layers_ - 1) * seen + context + rows);
    return sequences * (rows * row_operations_ + last_operations_ + attention) / peak_;
  }

 private:
  double bandwidth_, peak_ = 0, weight_bytes_ = 0;
  model::CacheLayout cache_;
  double row_operations_ = 0, last_operations_ = 0, layer_token_operations_ = 0;
  int layers_ = 0;
};

class Report {
 public:
  Report(Json head, bool json) : json_(std::move(head)), as_json_(json) { json_["results"] = Json::array(); }

  void add(const std::string& test, int batch, int rows, int depth, double seconds, const PassFloor& floor) {
    const double read_s = floor.read_s(batch, depth), compute_s = floor.compute_s(batch, rows, depth);
    const double floor_s = std::max(read_s, compute_s);
    const int tokens = batch * rows;
    json_["results"].push_back({{"test", test},
                                {"batch", batch},
                                {"tokens", rows},
                                {"depth", depth},
                                {"seconds", seconds},
                                {"tokens_per_s", tokens / seconds},
                                {"read_floor_s", read_s},
                                {"compute_floor_s", compute_s},
                                {"of_floor", floor_s / seconds}});
    if (as_json_) return;
    std::printf("%-8s batch %3d  %5d tokens at depth %5d  %10.1f tokens/s  %3.0f %% of what %s allows\n", test.c_str(),
                batch, rows, depth, tokens / seconds, 100 * floor_s / seconds,
                read_s > compute_s ? "memory" : "arithmetic");
    std::fflush(stdout);
  }
  void finish() const {
    if (as_json_) std::printf("%s\n", dump_json(json_, 2).c_str());
  }

 private:
  Json json_;
  bool as_json_;
};

struct Shapes {
  std::vector<int> prompts, batches, depths;
  int longest() const {
    return std::max(*std::ranges::max_element(prompts), *std::ranges::max_element(depths) + kDecodeSteps);
  }
  int most() const { return *std::ranges::max_element(batches); }
  int rows_max() const { return std::max(*std::ranges::max_element(prompts), most()); }
};

Result<Shapes> shapes_to_measure(const Settings& settings, int context_max) {
  Shapes shapes;
  SLUICE_TRY(shapes.prompts, whole_numbers(settings.prompt_tokens, {128, 512}, "prompt-tokens"));
  SLUICE_TRY(shapes.batches, whole_numbers(settings.batch, {1, 4, 16}, "batch"));
  SLUICE_TRY(shapes.depths, whole_numbers(settings.depth, {128}, "depth", 0));
  if (shapes.longest() > context_max) {
    return invalid_argument(
        cat("the longest sequence to measure has ", shapes.longest(), " tokens, but the model was made for ",
            context_max, "; ask for shorter ones with --prompt-tokens and --depth"),
        "prompt-tokens");
  }
  return shapes;
}

Result<void> measure(model::SyntheticSteps& bench, const Shapes& shapes, int repeat, const PassFloor& floor,
                     Report& report) {
  for (const int tokens : shapes.prompts) {
    std::vector<double> times;
    SLUICE_RETURN_IF_ERROR(bench.step(1, tokens, 0));  // warms up
    for (int i = 0; i < repeat; ++i) {
      SLUICE_TRY(const double seconds, bench.step(1, tokens, 0));
      times.push_back(seconds);
    }
    report.add("prefill", 1, tokens, 0, median(times), floor);
  }
  SLUICE_RETURN_IF_ERROR(bench.fill());
  for (const int depth : shapes.depths) {
    for (const int batch : shapes.batches) {
      std::vector<double> times;
      for (int i = 0; i < repeat * kDecodeSteps; ++i) {
        SLUICE_TRY(const double seconds, bench.step(batch, 1, depth + i % kDecodeSteps));
        times.push_back(seconds);
      }
      report.add("decode", batch, 1, depth, median(times), floor);
    }
  }
  return {};
}

}  // namespace

Result<int> bench_model(const CommandLine& line) {
  const Settings& settings = line.settings;
  SLUICE_TRY(const local::LocalOptions options, local_options(line.arguments.front(), settings));
  SLUICE_TRY(const kernels::Ops* ops, kernels::select_ops(options.kernels));
  SLUICE_TRY(checkpoint::ModelFiles opened, checkpoint::open_model(options.model_path));
  const auto files = std::make_shared<const checkpoint::ModelFiles>(std::move(opened));
  SLUICE_TRY(const model::ModelDescription description, model::describe_model(*files));
  SLUICE_TRY(const Shapes shapes, shapes_to_measure(settings, description.spec.context_max));
  ThreadPool pool(options.threads);
  const std::vector<kernels::MachineLimit> limits = kernels::measure_machine_limits(pool, {.rounds = 3});
  SLUICE_TRY(const auto decoder, model::load_decoder(files, description, options.load, *ops, pool));

  const int blocks = model::SyntheticSteps::blocks(*decoder, shapes.longest(), shapes.most());
  const model::CacheLayout cache = decoder->cache_layout();
  const int rows_max = std::max(shapes.rows_max(), cache.block_tokens);  // filling the cache computes a whole block
  const size_t needed = (cache.block_bytes + cache.window_block_bytes) * static_cast<size_t>(blocks) +
                        model::activation_bytes(description.spec, rows_max, shapes.most());
  if (needed > model::available_memory()) {
    return Error{ErrorCode::kResourceExhausted,
                 cat("these measurements need ", format_bytes(needed),
                     " besides the weights; ask for shorter prompts, less depth or smaller batches"),
                 {},
                 {}};
  }
  SLUICE_RETURN_IF_ERROR(decoder->reserve(blocks, rows_max, shapes.most()));
  const PassFloor floor(*decoder, limits);

  Json head = report_head("model");
  head.update(Json{{"model", files->name},
                   {"architecture", description.spec.architecture},
                   {"kernels", std::string(ops->name)},
                   {"threads", pool.threads()},
                   {"weight_bytes", floor.weight_bytes()},
                   {"read_bandwidth_bytes_per_s", floor.bandwidth()},
                   {"peak_operations_per_s", floor.peak()}});
  if (!settings.json) {
    std::printf("%s, %s, %d threads: weights %s, memory reads %.1f GB/s, arithmetic %.0f G operations/s\n",
                files->name.c_str(), std::string(ops->name).c_str(), pool.threads(),
                format_bytes(static_cast<uint64_t>(floor.weight_bytes())).c_str(), floor.bandwidth() / 1e9,
                floor.peak() / 1e9);
  }
  Report report(std::move(head), settings.json);
  model::SyntheticSteps bench(*decoder, shapes.longest(), shapes.most());
  SLUICE_RETURN_IF_ERROR(measure(bench, shapes, static_cast<int>(settings.repeat), floor, report));
  report.finish();
  return 0;
}

}  // namespace sluice::cli
