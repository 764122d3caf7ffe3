#include "server/http/shard.h"

#include <array>
#include <random>

#include "base/strings.h"

namespace sluice::http {
namespace {

// Anything else is counted as OTHER: labels must not grow with what clients send.
constexpr std::array<std::string_view, 8> kMethods = {"GET",    "HEAD",  "POST",    "PUT",
                                                      "DELETE", "PATCH", "OPTIONS", "OTHER"};

size_t method_index(std::string_view method) {
  for (size_t i = 0; i + 1 < kMethods.size(); ++i) {
    if (kMethods[i] == method) return i;
  }
  return kMethods.size() - 1;
}

}  // namespace

void Shard::count(int route, std::string_view method, int status, double seconds) {
  MetricsRegistry* registry = service.options.metrics;
  if (registry == nullptr) return;
  const std::string_view path =
      route < 0 ? std::string_view("unmatched") : service.router.routes()[static_cast<size_t>(route)].path;
  const size_t method_number = method_index(method);
  const uint64_t key =
      (static_cast<uint64_t>(route + 1) << 16) | (method_number << 12) | static_cast<uint64_t>(status & 0xFFF);
  Counter*& counter = counters_[key];
  if (counter == nullptr) {
    counter = &registry->counter(
        "http_requests_total", "Requests answered.",
        cat("method=\"", kMethods[method_number], "\",route=\"", escape_label(path), "\",code=\"", status, '"'));
  }
  counter->add();
  Histogram*& histogram = histograms_[static_cast<uint64_t>(route + 1)];
  if (histogram == nullptr) {
    histogram =
        &registry->histogram("http_request_duration_seconds", "From a request's first byte to the end of its answer.",
                             {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                              0.25,   0.5,     1,      2.5,   5,      10,    30,   60,    120,  300},
                             cat("route=\"", escape_label(path), '"'));
  }
  histogram->observe(seconds);
}

std::string Shard::make_request_id() {
  if (random_state_ == 0) {
    std::random_device device;
    random_state_ = (static_cast<uint64_t>(device()) << 32 | device()) | 1;
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string id = "req_";
  uint64_t bits = 0;
  for (int i = 0; i < 24; ++i) {
    if (i % 16 == 0) {
      // splitmix64
      random_state_ += 0x9E3779B97F4A7C15;
      bits = (random_state_ ^ (random_state_ >> 30)) * 0xBF58476D1CE4E5B9;
      bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
      bits ^= bits >> 31;
    }
    id += kDigits[bits & 15];
    bits >>= 4;
  }
  return id;
}

}  // namespace sluice::http
