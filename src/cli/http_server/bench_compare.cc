// sluice bench compare: the plain deployment of a model (float32, one request at a time, nothing remembered), then each
// optimisation added in turn, under the same load. Every rung is printed with its floor: the least time in which this
// machine could do that rung's work.

#include <cstdio>
#include <fstream>

#include "base/strings.h"
#include "checkpoint/model_files.h"
#include "cli/bench.h"
#include "cli/http_server/load_generator.h"
#include "cli/http_server/served_process.h"
#include "kernels/machine_limits.h"

namespace sluice::cli {
namespace {

// What a rung's server does, for the floor; its flags follow from it.
struct Rung {
  std::string name;
  DType weights;
  bool quantized = false;
  bool batches = false;
  bool remembers = false;
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
    flags.emplace_back(speculates ? "--speculate=ngram" : "--speculate=off");
    return flags;
  }
};

std::vector<Rung> ladder(DType stored) {
  std::vector<Rung> rungs = {{.name = "plain: float32, one request at a time, no cache", .weights = DType::kF32}};
  const auto add = [&](std::string name, auto change) {
    rungs.push_back(rungs.back());
    rungs.back().name = std::move(name);
    change(rungs.back());
  };
  if (stored == DType::kBF16 || stored == DType::kF16)
    add(cat("+ weights as stored (", dtype_name(stored), ")"), [&](Rung& rung) { rung.weights = stored; });
  add("+ int8 weights", [](Rung& rung) {
    rung.weights = DType::kQ8_0;
    rung.quantized = true;
  });
  add("+ continuous batching", [](Rung& rung) { rung.batches = true; });
  add("+ prefix cache", [](Rung& rung) { rung.remembers = true; });
  add("+ speculation (n-grams)", [](Rung& rung) { rung.speculates = true; });
  return rungs;
}

// The least seconds for the load: every new prompt token through the arithmetic unit, and for every decode step the
// weights through memory or its rows through the arithmetic unit, whichever takes longer. Attention is left out, and so
// is speculation, which may pass this floor: it has fewer steps than tokens.
double floor_s(const Rung& rung, const Load& load, const model::DecoderSpec& spec,
               const std::vector<kernels::MachineLimit>& limits) {
  const double hidden = spec.hidden_size, q = 1.0 * spec.heads * spec.head_dim,
               kv = 1.0 * spec.kv_heads * spec.head_dim;
  const double layer_weights = spec.layers * (hidden * (q + 2 * kv) + q * hidden + 3 * hidden * spec.intermediate_size);
  const double head_weights = hidden * spec.vocab_size;
  const double bytes = (layer_weights + head_weights) * static_cast<double>(row_bytes(rung.weights, 32)) / 32;
  double peak = kernels::best_limit(limits, "fp32");
  if (rung.weights == DType::kBF16) peak = std::max(peak, kernels::best_limit(limits, "bf16"));
  if (rung.quantized) peak = std::max(peak, kernels::best_limit(limits, "int8"));

  const double shared = rung.remembers ? load.shared_tokens * (load.requests - 1.0) : 0;
  const double prompt_tokens = 1.0 * load.requests * load.prompt_tokens - shared;
  const double batch = rung.batches ? std::min(load.streams, load.requests) : 1;
  const double steps = load.requests * (load.max_tokens - 1.0) / batch;
  const double step_s =
      std::max(bytes / kernels::best_limit(limits, "read"), 2 * batch * (layer_weights + head_weights) / peak);
  return 2 * prompt_tokens * layer_weights / peak + steps * step_s;
}

// Bars of tokens a second, one a rung, with the floor's rate as an outline.
std::string chart_svg(const Json& report) {
  constexpr int kRow = 46, kLeft = 20, kWidth = 860, kBars = 600;
  double most = 0;
  for (const Json& rung : report["rungs"]) most = std::max(most, rung["output_tokens_per_s"].get<double>());
  const int height = 70 + kRow * static_cast<int>(report["rungs"].size());
  std::string svg = cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", kWidth, "\" height=\"", height,
                        "\" font-family=\"sans-serif\" font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" "
                        "fill=\"white\"/>\n<text x=\"",
                        kLeft, "\" y=\"28\" font-size=\"16\" fill=\"#222\">Output tokens per second, ",
                        report["model"].get<std::string>(), "</text>\n");
  int y = 50;
  for (const Json& rung : report["rungs"]) {
    const double rate = rung["output_tokens_per_s"].get<double>(), gain = rung["times_plain"].get<double>();
    char figures[96];
    std::snprintf(figures, sizeof figures, "%.1f tokens/s, %.1f times plain", rate, gain);
    const int length = std::max(2, static_cast<int>(kBars * rate / most));
    svg += cat("<text x=\"", kLeft, "\" y=\"", y + 12, "\" fill=\"#444\">", rung["name"].get<std::string>(),
               "</text>\n<rect x=\"", kLeft, "\" y=\"", y + 18, "\" width=\"", length,
               "\" height=\"16\" rx=\"3\" fill=\"#2f6fab\"/>\n<text x=\"", kLeft + length + 8, "\" y=\"", y + 31,
               "\" fill=\"#222\">", figures, "</text>\n");
    y += kRow;
  }
  return svg + "</svg>\n";
}

void print_table(const Json& report) {
  std::printf("%-50s %9s %7s %9s %9s %9s %10s\n", "", "tokens/s", "x plain", "of floor", "TTFT p50", "TTFT p95",
              "resident");
  for (const Json& rung : report["rungs"]) {
    std::printf("%-50s %9.1f %7.2f %7.0f %% %8.2fs %8.2fs %10s\n", rung["name"].get<std::string>().c_str(),
                rung["output_tokens_per_s"].get<double>(), rung["times_plain"].get<double>(),
                100 * rung["of_floor"].get<double>(), rung["ttft_s"]["p50"].get<double>(),
                rung["ttft_s"]["p95"].get<double>(), format_bytes(rung["resident_bytes"].get<uint64_t>()).c_str());
  }
}

}  // namespace

Result<int> bench_compare(const CommandLine& line) {
  const Settings& settings = line.settings;
  const std::string& path = line.arguments.front();
  SLUICE_TRY(const checkpoint::ModelFiles files, checkpoint::open_model(path));
  SLUICE_TRY(const model::ModelDescription description, model::describe_model(files));
  SLUICE_TRY(Load load, load_from_settings(settings));
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
                     {"rungs", Json::array()}});
  for (const Rung& rung : ladder(description.stored_dtype)) {
    SLUICE_TRY(const auto server, ServedProcess::start(path, settings, rung.flags()));
    load.url = server->url();
    SLUICE_TRY(const LoadOutcome outcome, run_load(load, show_progress(rung.name), {}));
    Json result = load_report(outcome, {});
    if (result["failed"].get<int>() > 0) {
      return Error{ErrorCode::kUnavailable, cat(rung.name, ": ", result["errors"].front().get<std::string>()), {}, {}};
    }
    const double plain =
        report["rungs"].empty() ? result["seconds"].get<double>() : report["rungs"][0]["seconds"].get<double>();
    const double least = floor_s(rung, load, description.spec, limits);
    Json entry = {{"name", rung.name},
                  {"flags", join(rung.flags(), " ")},
                  {"times_plain", plain / result["seconds"].get<double>()},
                  {"floor_s", least},
                  {"of_floor", least / result["seconds"].get<double>()},
                  {"start_s", server->ready_s()},
                  {"resident_bytes", server->resident_bytes()}};
    entry.update(result);
    report["rungs"].push_back(std::move(entry));
  }
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
  return 0;
}

}  // namespace sluice::cli
