// Settings become a loaded model.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/numa.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace sluice::cli {
namespace {

std::optional<DType> named_dtype(std::string_view name) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  if (name == "int8") return DType::kQ8_0;
  return std::nullopt;  // auto
}

// A bar on a terminal; nothing elsewhere.
class ProgressBar {
 public:
  void show(std::string_view what, size_t done, size_t total) {
    if (!terminal_ || total == 0) return;
    const int percent = static_cast<int>(std::min(done, total) * 100 / total);
    if (percent == shown_) return;
    shown_ = percent;
    // " [" + bar + "] 100 %" in one line, whose last column stays free.
    winsize size{};
    const int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    const int room = std::clamp(width - 10 - static_cast<int>(what.size()), 0, 30);
    std::string bar(static_cast<size_t>(room), ' ');
    std::fill_n(bar.begin(), percent * room / 100, '#');
    std::fprintf(stderr, "\r%.*s [%s] %3d %%", static_cast<int>(what.size()), what.data(), bar.c_str(), percent);
  }
  ~ProgressBar() {
    if (shown_ >= 0) std::fputs("\r\x1b[K", stderr);
  }

 private:
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  int shown_ = -1;
};

Result<local::SpeculationOptions> speculation_options(const Settings& settings) {
  using Kind = local::SpeculationOptions::Kind;
  local::SpeculationOptions options = {.kind = Kind::kOff,
                                       .draft_model = settings.draft_model,
                                       .draft_tokens_max = static_cast<int>(settings.draft_tokens_max)};
  const bool has_model = !settings.draft_model.empty();
  if (settings.speculate == "draft" && !has_model)
    return invalid_argument("--speculate draft needs --draft-model, the model that guesses", "draft-model");
  if (settings.speculate == "draft" || (settings.speculate == "auto" && has_model)) options.kind = Kind::kModel;
  if (settings.speculate == "ngram") options.kind = Kind::kNgram;
  return options;
}

}  // namespace

Result<local::LocalOptions> local_options(const std::string& model, const Settings& settings) {
  local::LocalOptions options;
  options.model_path = model;
  options.served_names = settings.served_model_name;
  options.chat_template_path = settings.chat_template;
  options.tool_parser = settings.tool_call_parser;
  options.reasoning_parser = settings.reasoning_parser;
  options.load.weights.dtype = named_dtype(settings.dtype);
  options.load.kv_dtype = named_dtype(settings.kv_dtype);
  options.load.pack_directory = settings.pack_cache;
  if (settings.pack_cache.empty()) options.load.pack_directory = model::default_pack_directory();
  if (settings.pack_cache == "off") options.load.pack_directory.clear();
  if (settings.activations == "f32") options.load.weights.activations = model::Activations::kF32;
  if (settings.activations == "int8") options.load.weights.activations = model::Activations::kInt8;
  if (settings.activations == "bf16") options.load.weights.activations = model::Activations::kBF16;
  if (settings.quantize == "int8") options.load.weights.quantization = model::WeightQuantization::kInt8;
  if (settings.quantize == "int4") options.load.weights.quantization = model::WeightQuantization::kInt4;
  options.memory = {
      .limit = settings.memory,
      .graph_memory_ratio = settings.graph_memory_ratio,
      .context = static_cast<int>(settings.context),
      .sequences_max = static_cast<int>(settings.max_concurrency),
      .step_rows_max = static_cast<int>(settings.chunk_tokens),
  };
  options.threads.threads = static_cast<int>(settings.threads);
  auto cpus = parse_cpu_list(settings.cpu_affinity);
  if (!cpus.ok()) return invalid_argument(cat("--cpu-affinity: ", cpus.error().message), "cpu-affinity");
  options.threads.cpus = std::move(cpus).value();
  if (settings.numa == "auto") options.threads.nodes = numa_nodes();
  options.kernels = settings.kernels;
  options.waiting_max = static_cast<int>(settings.queue_max);
  options.prefix_index = settings.prefix_cache;
  options.prefill_slowdown = settings.prefill_slowdown;
  options.tuning = settings.auto_tuning == "on"    ? local::TuningMode::kOn
                   : settings.auto_tuning == "off" ? local::TuningMode::kOff
                                                   : local::TuningMode::kAgain;
  SLUICE_TRY(options.speculation, speculation_options(settings));
  return options;
}

Result<std::unique_ptr<local::LocalBackend>> load_backend(const CommandLine& line, MetricsRegistry& metrics,
                                                          bool verbose,
                                                          const std::function<void(const local::Tuning&)>& on_tuned) {
  SLUICE_TRY(local::LocalOptions options, local_options(line.arguments.front(), line.settings));
  // What runs once would wait longer for the measurements than they save.
  if (line.command == "generate" && options.tuning == local::TuningMode::kOn)
    options.tuning = local::TuningMode::kRemembered;
  ProgressBar bar;
  local::LoadingReport report;
  report.on_plan = [&](const model::ModelDescription& description, const model::MemoryPlan& plan) {
    if (!verbose) return;
    std::fprintf(stderr, "%s: %s, %d layers, %s weights\n%s", options.model_path.c_str(),
                 description.spec.architecture.c_str(), description.spec.layers,
                 std::string(dtype_name(description.stored_dtype)).c_str(), format_plan(plan).c_str());
  };
  report.on_progress = [&](size_t done, size_t total) { bar.show("loading", done, total); };
  report.on_measuring = [&](size_t done, size_t total) { bar.show("measuring this machine", done, total); };
  report.on_tuned = on_tuned;
  return local::LocalBackend::load(options, metrics, report);
}

}  // namespace sluice::cli
