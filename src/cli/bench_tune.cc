// sluice bench tune: measures what auto-tuning measures on a model's first start, prints every figure and the choice,
// and remembers it.

#include <cstdio>
#include <optional>

#include "base/log.h"
#include "cli/bench.h"

namespace sluice::cli {

Result<int> bench_tune(const CommandLine& line) {
  CommandLine again = line;
  again.settings.auto_tuning = "again";
  if (log::enabled(log::Level::kInfo)) log::configure(log::Level::kWarn, log::Format::kText);
  MetricsRegistry metrics;
  std::optional<local::Tuning> tuning;
  SLUICE_TRY(const auto backend,
             load_backend(again, metrics, false, [&](const local::Tuning& made) { tuning = made; }));
  if (line.settings.json) {
    Json report = report_head("tune");
    report["model"] = backend->models().front().id;
    report["tuning"] = local::tuning_to_json(*tuning);
    std::printf("%s\n", dump_json(report, 2).c_str());
  } else {
    std::printf("%s", local::format_tuning(*tuning).c_str());
  }
  return 0;
}

}  // namespace sluice::cli
