#include "local/tuning.h"

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::local {
namespace {

double rate(const Point& point) { return point.count / point.seconds; }

constexpr int kPrefetchBytesMax = 1 << 20;

// A measurement has these members beside its own.
Json work_to_json(const WorkTuning& work) {
  return {{"threads", work.threads}, {"kernels", work.kernels}, {"prefetch_bytes", work.prefetch_bytes}};
}

Error unknown(std::string_view what) {
  return {ErrorCode::kCorruptData, cat("the tuning record has no usable ", what), {}, {}};
}

Result<int> number_in(const Json& json, std::string_view key, int min, int max) {
  SLUICE_TRY(const int64_t number, json_int(json, key, -1));
  if (number < min || number > max) return unknown(key);
  return static_cast<int>(number);
}

Result<WorkTuning> work_of(const Json& json) {
  WorkTuning work;
  SLUICE_TRY(work.threads, number_in(json, "threads", 1, 1024));
  SLUICE_TRY(work.kernels, json_string(json, "kernels", ""));
  SLUICE_TRY(work.prefetch_bytes, number_in(json, "prefetch_bytes", 0, kPrefetchBytesMax));
  return work;
}

Result<WorkTuning> work_from_json(const Json& json, std::string_view key) {
  const Json* work = json_find(json, key);
  if (work == nullptr || !work->is_object()) return unknown(key);
  return work_of(*work);
}

// "avx2" or "avx2, 4096 bytes ahead"
std::string kernels_of(const WorkTuning& work) {
  return work.prefetch_bytes == 0 ? work.kernels : cat(work.kernels, ", ", work.prefetch_bytes, " bytes ahead");
}

}  // namespace

int fewest_threads(std::span<const Point> points) {
  if (points.empty()) return 0;
  const double best = std::ranges::min(points, {}, &Point::seconds).seconds;
  return std::ranges::find_if(points, [&](const Point& point) { return point.seconds <= best * 1.02; })->count;
}

int smallest_chunk(std::span<const Point> points) {
  if (points.empty()) return 0;
  const double best = rate(std::ranges::max(points, {}, rate));
  return std::ranges::find_if(points, [&](const Point& point) { return rate(point) >= best * 0.97; })->count;
}

int largest_batch(std::span<const Point> points) {
  if (points.empty()) return 0;
  size_t chosen = 0;
  while (chosen + 1 < points.size() && rate(points[chosen + 1]) >= 1.1 * rate(points[chosen])) ++chosen;
  return points[chosen].count;
}

size_t fastest_way(std::span<const double> seconds) {
  if (seconds.empty()) return 0;
  const auto best = std::ranges::min_element(seconds);
  return *best <= seconds.front() * 0.97 ? static_cast<size_t>(best - seconds.begin()) : 0;
}

Json tuning_to_json(const Tuning& tuning) {
  Json measurements = Json::array();
  for (const Measurement& one : tuning.measurements) {
    Json json = work_to_json(one.with);
    json.update({{"what", one.what}, {"rows", one.rows}, {"seconds", one.seconds}});
    measurements.push_back(std::move(json));
  }
  return {{"decode", work_to_json(tuning.decode)},
          {"prefill", work_to_json(tuning.prefill)},
          {"chunk_tokens", tuning.chunk_tokens},
          {"max_concurrency", tuning.max_concurrency},
          {"measurements", std::move(measurements)}};
}

Result<Tuning> tuning_from_json(const Json& json) {
  Tuning tuning;
  SLUICE_TRY(tuning.decode, work_from_json(json, "decode"));
  SLUICE_TRY(tuning.prefill, work_from_json(json, "prefill"));
  SLUICE_TRY(tuning.chunk_tokens, number_in(json, "chunk_tokens", 0, 65536));
  SLUICE_TRY(tuning.max_concurrency, number_in(json, "max_concurrency", 0, 4096));
  const Json* measurements = json_find(json, "measurements");
  if (measurements == nullptr || !measurements->is_array()) return unknown("measurements");
  for (const Json& each : *measurements) {
    Measurement one;
    SLUICE_TRY(one.what, json_string(each, "what", ""));
    SLUICE_TRY(one.with, work_of(each));
    SLUICE_TRY(one.rows, number_in(each, "rows", 1, 65536));
    SLUICE_TRY(one.seconds, json_number(each, "seconds", 0));
    if (!(one.seconds > 0)) return unknown("seconds");
    tuning.measurements.push_back(std::move(one));
  }
  return tuning;
}

std::string describe_tuning(const Tuning& tuning) {
  const auto or_default = [](int number) { return number > 0 ? cat(number) : std::string("the default of"); };
  return cat("chunks of ", or_default(tuning.chunk_tokens), " tokens, ", or_default(tuning.max_concurrency),
             " sequences, decode on ", tuning.decode.threads, tuning.decode.threads == 1 ? " thread (" : " threads (",
             kernels_of(tuning.decode), "), prefill on ", tuning.prefill.threads, " (", kernels_of(tuning.prefill),
             ")");
}

std::string format_tuning(const Tuning& tuning) {
  std::string text;
  for (const Measurement& one : tuning.measurements) {
    char line[128];
    std::snprintf(line, sizeof line, "%-8s %4d %-9s on %2d threads (%-28s %10.2f ms  %9.1f tokens/s\n",
                  one.what.c_str(), one.rows, one.what == "decode" ? "sequences" : "tokens", one.with.threads,
                  cat(kernels_of(one.with), ")").c_str(), 1000 * one.seconds, one.rows / one.seconds);
    text += line;
  }
  return cat(text, "chosen: ", describe_tuning(tuning), "\n");
}

}  // namespace sluice::local
