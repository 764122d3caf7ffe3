// sluice bench roofline: this machine's limits, the denominators of all other figures.

#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/bench.h"
#include "kernels/machine_limits.h"

namespace sluice::cli {

Result<int> bench_roofline(const CommandLine& line) {
  SLUICE_TRY(const local::LocalOptions options, local_options("", line.settings));
  kernels::LimitOptions limit_options{.rounds = static_cast<int>(line.settings.repeat)};
  const size_t available = model::available_memory();
  while (limit_options.buffer_bytes > available / 2) limit_options.buffer_bytes /= 2;
  if (limit_options.buffer_bytes < size_t{128} << 20) {
    return Error{
        ErrorCode::kResourceExhausted,
        cat("only ", format_bytes(available), " of memory are free; reads cannot be measured beyond the caches"),
        {},
        {}};
  }
  ThreadPool pool(options.threads);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const std::vector<kernels::MachineLimit> limits =
      kernels::measure_machine_limits(pool, limit_options, [&](int done, int total) {
        if (terminal) std::fprintf(stderr, "\rmeasuring %d/%d\x1b[K", done, total);
      });
  if (terminal) std::fputs("\r\x1b[K", stderr);

  Json report = report_head("roofline");
  report["threads"] = pool.threads();
  report["limits"] = Json::array();
  for (const kernels::MachineLimit& limit : limits) {
    report["limits"].push_back({{"name", limit.name},
                                {"unit", limit.unit},
                                {"one_thread", limit.one_thread},
                                {"all_threads", limit.all_threads}});
  }
  if (line.settings.json) {
    std::printf("%s\n", dump_json(report, 2).c_str());
    return 0;
  }
  std::printf("%s, %d threads; the best of %d rounds\n\n%-46s %12s %12s\n",
              report["machine"]["cpu"].get<std::string>().c_str(), pool.threads(), limit_options.rounds, "limit",
              "one thread", "all threads");
  for (const kernels::MachineLimit& limit : limits) {
    std::printf("%-46s %12.1f %12.1f G%s\n", std::string(limit.name).c_str(), limit.one_thread / 1e9,
                limit.all_threads / 1e9, std::string(limit.unit).c_str());
  }
  return 0;
}

}  // namespace sluice::cli
