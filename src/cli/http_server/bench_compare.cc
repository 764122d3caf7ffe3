// sluice bench compare: the plain deployment of a model (float32, one request at a time, nothing remembered), then each
// optimisation added in turn, under the same load. Every step is printed with its floor: the least time in which this
// machine could do that step's work, and what sets it. Ctrl-C reports the steps that are done.

#include <cstdio>
#include <fstream>

#include "base/strings.h"
#include "checkpoint/model_files.h"
#include "cli/bench.h"
#include "cli/http_server/compare_chart.h"
#include "cli/http_server/load_generator.h"
#include "cli/http_server/served_process.h"
#include "kernels/machine_limits.h"
#include "local/tuner.h"

namespace sluice::cli {
namespace {

constexpr int kStatusInterrupted = 130;  // as shells have it

// What a step's server does, for the floor; its flags follow from it.
struct Step {
  std::string name;
  DType weights;
  bool quantized = false;
  bool batches = false;
  bool remembers = false;
  bool tuned = false;
  bool speculates = false;

  std::vector<std::string> flags() const {
    std::vector<std::string> flags;
    if (quantized) {
      flags.emplace_back("--quantize=int8");
    } else {
      flags.push_back(cat("--dtype=", dtype_name(weights)));
    }
    if (!batches) flags.emplace_back("--max-concurrency=1");
    if (!remembers) flags.emplace_back("--no-prefix-cache");
    if (!tuned) flags.emplace_back("--auto-tuning=off");
    flags.emplace_back(speculates ? "--speculate=ngram" : "--speculate=off");
    return flags;
  }
};

std::vector<Step> ladder(const model::ModelDescription& description) {
  const DType stored = description.stored_dtype;
  std::vector<Step> steps = {{.name = "plain: float32, one request at a time, no cache", .weights = DType::kF32}};
  const auto add = [&](std::string name, auto change) {
    steps.push_back(steps.back());
    steps.back().name = std::move(name);
    change(steps.back());
  };
  if (stored == DType::kBF16 || stored == DType::kF16)
    add(cat("+ weights as stored (", dtype_name(stored), ")"), [&](Step& step) { step.weights = stored; });
  add("+ int8 weights", [](Step& step) {
    step.weights = DType::kQ8_0;
    step.quantized = true;
  });
  add("+ continuous batching", [](Step& step) { step.batches = true; });
  add("+ prefix cache", [](Step& step) { step.remembers = true; });
  add("+ speculation (n-grams)", [](Step& step) { step.speculates = true; });
  if (!local::too_small_to_tune(description.spec)) add("+ auto-tuning", [](Step& step) { step.tuned = true; });
  return steps;
}

// The least seconds for the load: every new prompt token through the arithmetic unit, and for every decode step the
// weights through memory or its rows through the arithmetic unit, whichever takes longer. Attention is left out, and
// so is speculation, which may pass this floor: it has fewer steps than tokens.
struct LoadFloor {
  double prompt_s, decode_s;
  bool reads;  // decoding is bound by memory

  double seconds() const { return prompt_s + decode_s; }
  // What a faster machine would have to have more of.
  std::string name() const {
    if (prompt_s > decode_s) return "arithmetic (prompts)";
    return reads ? "memory (decode)" : "arithmetic (decode)";
  }
};

LoadFloor floor_of(const Step& step, const Load& load, const model::DecoderSpec& spec,
                   const std::vector<kernels::MachineLimit>& limits) {
  const double hidden = spec.hidden_size, q = 1.0 * spec.heads * spec.head_dim,
               kv = 1.0 * spec.kv_heads * spec.head_dim;
  const double layer_weights = spec.layers * (hidden * (q + 2 * kv) + q * hidden + 3 * hidden * spec.intermediate_size);
  const double head_weights = hidden * spec.vocab_size;
  const double bytes = (layer_weights + head_weights) * static_cast<double>(row_bytes(step.weights, 32)) / 32;
  double peak = kernels::best_limit(limits, "fp32");
  if (step.weights == DType::kBF16) peak = std::max(peak, kernels::best_limit(limits, "bf16"));
  if (step.quantized) peak = std::max(peak, kernels::best_limit(limits, "int8"));

  const double shared = step.remembers ? load.shared_tokens * (load.requests - 1.0) : 0;
  const double prompt_tokens = 1.0 * load.requests * load.prompt_tokens - shared;
  const double batch = step.batches ? std::min(load.streams, load.requests) : 1;
  const double steps = load.requests * (load.max_tokens - 1.0) / batch;
  const double read_s = bytes / kernels::best_limit(limits, "read");
  const double compute_s = 2 * batch * (layer_weights + head_weights) / peak;
  return {2 * prompt_tokens * layer_weights / peak, steps * std::max(read_s, compute_s), read_s > compute_s};
}

void print_table(const Json& report) {
  std::printf("%-48s %9s %8s %9s %-21s %9s %9s %9s %10s\n", "", "tokens/s", "x plain", "of floor", "set by", "TTFT p50",
              "TTFT p95", "TPOT p50", "resident");
  for (const Json& step : report["steps"]) {
    std::printf("%-48s %9.1f %8.2f %7.0f %% %-21s %8.2fs %8.2fs %7.1fms %10s\n",
                step["name"].get<std::string>().c_str(), step["output_tokens_per_s"].get<double>(),
                step["times_plain"].get<double>(), 100 * step["of_floor"].get<double>(),
                step["floor_set_by"].get<std::string>().c_str(), step["ttft_s"]["p50"].get<double>(),
                step["ttft_s"]["p95"].get<double>(), 1000 * step["tpot_s"]["p50"].get<double>(),
                format_bytes(step["resident_bytes"].get<uint64_t>()).c_str());
  }
}

// Serves the model as the step says, under the load.
Result<Json> measure(const Step& step, const std::string& path, const Settings& settings, Load load) {
  SLUICE_TRY(const auto server, ServedProcess::start(path, settings, step.flags(), interrupted));
  load.url = server->url();
  SLUICE_RETURN_IF_ERROR(warm_up(load, interrupted));
  SLUICE_TRY(const LoadOutcome outcome, run_load(load, show_progress(step.name), interrupted));
  Json result = load_report(outcome, {});
  if (result["failed"].get<int>() > 0)
    return Error{ErrorCode::kUnavailable, cat(step.name, ": ", result["errors"].front().get<std::string>()), {}, {}};
  result["start_s"] = server->ready_s();
  result["resident_bytes"] = server->resident_bytes();
  return result;
}

Result<void> print(const Json& report, const Settings& settings) {
  if (!settings.chart.empty()) {
    std::ofstream file(settings.chart);
    file << chart_svg(report);
    if (!file.flush()) return io_error(cat("cannot write ", settings.chart));
  }
  if (settings.json) {
    std::printf("%s\n", dump_json(report, 2).c_str());
  } else {
    print_table(report);
  }
  return {};
}

}  // namespace

Result<int> bench_compare(const CommandLine& line) {
  const Settings& settings = line.settings;
  const std::string& path = line.arguments.front();
  SLUICE_TRY(const checkpoint::ModelFiles files, checkpoint::open_model(path));
  SLUICE_TRY(const model::ModelDescription description, model::describe_model(files));
  SLUICE_TRY(const Load load, load_from_settings(settings, 0.5));
  interrupted();  // listens from here on
  std::vector<kernels::MachineLimit> limits;
  {
    SLUICE_TRY(const local::LocalOptions options, local_options(path, settings));
    ThreadPool pool(options.threads);  // gone before a server wants the processors
    limits = kernels::measure_machine_limits(pool, {.rounds = 3});
  }
  Json report = report_head("compare");
  report.update(Json{{"model", files.name},
                     {"streams", load.streams},
                     {"requests", load.requests},
                     {"prompt_tokens_each", load.prompt_tokens},
                     {"shared_tokens", load.shared_tokens},
                     {"answer_tokens_each", load.max_tokens},
                     {"steps", Json::array()}});
  const std::vector<Step> steps = ladder(description);
  for (const Step& step : steps) {
    Result<Json> result = interrupted() ? Result<Json>(Error{ErrorCode::kCancelled, "stopped", {}, {}})
                                        : measure(step, path, settings, load);
    if (!result.ok() && result.error().code == ErrorCode::kCancelled && interrupted()) break;
    if (!result.ok()) return result.error();
    const double seconds = (*result)["seconds"].get<double>();
    const double plain = report["steps"].empty() ? seconds : report["steps"][0]["seconds"].get<double>();
    const LoadFloor floor = floor_of(step, load, description.spec, limits);
    Json entry = {{"name", step.name},
                  {"flags", join(step.flags(), " ")},
                  {"times_plain", plain / seconds},
                  {"floor_s", floor.seconds()},
                  {"floor_prompts_s", floor.prompt_s},
                  {"floor_decode_s", floor.decode_s},
                  {"floor_set_by", floor.name()},
                  {"of_floor", floor.seconds() / seconds}};
    entry.update(*result);
    report["steps"].push_back(std::move(entry));
  }
  const size_t done = report["steps"].size();
  report["interrupted"] = done < steps.size();
  if (done > 0) SLUICE_RETURN_IF_ERROR(print(report, settings));
  if (done == steps.size()) return 0;
  std::fprintf(stderr, "\nstopped after %zu of %zu steps\n", done, steps.size());
  return kStatusInterrupted;
}

}  // namespace sluice::cli
