// sluice bench: the first word says what is measured.

#include "cli/bench.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/machine.h"
#include "base/strings.h"

namespace sluice::cli {
namespace {

struct Bench {
  std::string_view name;
  bool needs_model;
  Result<int> (*run)(const CommandLine& line);
};
constexpr Bench kBenches[] = {
    {"roofline", false, bench_roofline}, {"model", true, bench_model},     {"tune", true, bench_tune},
    {"serve", false, bench_serve},       {"startup", true, bench_startup}, {"compare", true, bench_compare},
};

}  // namespace

Result<int> run_bench(const CommandLine& line) {
  CommandLine rest = line;
  const Bench* chosen = &kBenches[1];  // `sluice bench MODEL`
  for (const Bench& bench : kBenches) {
    if (bench.name != line.arguments.front()) continue;
    chosen = &bench;
    rest.arguments.erase(rest.arguments.begin());
  }
  const size_t arguments_max = chosen->run == bench_roofline ? 0 : 1;
  if (rest.arguments.size() > arguments_max || (chosen->needs_model && rest.arguments.empty())) {
    return invalid_argument(cat("usage: sluice bench ", chosen->name,
                                chosen->needs_model          ? " MODEL"
                                : chosen->run == bench_serve ? " MODEL, or --url URL of a running server"
                                                             : "",
                                "; 'sluice bench --help' says more"));
  }
  return chosen->run(rest);
}

double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto place = values.begin() + static_cast<ptrdiff_t>(std::clamp<size_t>(rank, 1, values.size()) - 1);
  std::ranges::nth_element(values, place);
  return *place;
}

Result<std::vector<int>> whole_numbers(const std::vector<std::string>& words, std::vector<int> fallback,
                                       std::string_view flag, int min) {
  if (words.empty()) return fallback;
  std::vector<int> all;
  for (const std::string& word : words) {
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || value < min) {
      return invalid_argument(cat("--", flag, " must be a list of whole numbers from ", min, ", not '", word, "'"),
                              std::string(flag));
    }
    all.push_back(value);
  }
  return all;
}

Json report_head(std::string_view what) {
  const Machine machine = this_machine();
  Json flags = Json::array();
  for (const std::string& flag : split(machine.flags, ' ')) {
    if (flag.starts_with("avx") || flag.starts_with("amx") || flag == "fma") flags.push_back(flag);
  }
  return {{"bench", std::string(what)},
          {"sluice", std::string(version())},
          {"machine", {{"cpu", machine.cpu}, {"cpus", machine.cpus}, {"flags", std::move(flags)}}}};
}

}  // namespace sluice::cli
