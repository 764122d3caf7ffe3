#pragma once
// What the benches share. `sluice bench WHAT` has one file per WHAT; those that need a server live in http_server/.

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/commands.h"

namespace sluice::cli {

Result<int> bench_roofline(const CommandLine& line);  // this machine's limits
Result<int> bench_model(const CommandLine& line);     // the decoder alone
Result<int> bench_tune(const CommandLine& line);      // what auto-tuning measures, and its choice
Result<int> bench_serve(const CommandLine& line);     // a server under load
Result<int> bench_startup(const CommandLine& line);   // from process start to the first token
Result<int> bench_compare(const CommandLine& line);   // a plain deployment, and each optimisation added in turn

double median(std::vector<double> values);
// Nearest-rank percentile, `share` in (0, 1]; 0 of nothing.
double percentile(std::vector<double> values, double share);

// A list knob as whole numbers in [min, …], or `fallback` when it is empty. kInvalidArgument names the flag.
Result<std::vector<int>> whole_numbers(const std::vector<std::string>& words, std::vector<int> fallback,
                                       std::string_view flag, int min = 1);

// What every report begins with: {"bench": what, "sluice": version, "machine": {"cpu": …, "cpus": …, "flags": […]}}.
Json report_head(std::string_view what);

}  // namespace sluice::cli
