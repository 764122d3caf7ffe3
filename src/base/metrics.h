#pragma once
// Counters, gauges and histograms, rendered in Prometheus' text format (version 0.0.4). Recording is lock-free and may
// be done by any thread; registering takes a lock and is done at start.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Rises only. Doubles, as Prometheus counts seconds and bytes too.
class Counter {
 public:
  void add(double amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> upper_bounds);  // ascending; +Inf is implied
  void observe(double value);

  const std::vector<double>& upper_bounds() const { return bounds_; }
  uint64_t bucket_count(size_t bucket) const {
    return buckets_[bucket].load(std::memory_order_relaxed);
  }  // not cumulative
  double sum() const { return sum_.value(); }

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> buckets_;  // bounds + 1
  Counter sum_;
};

class MetricsRegistry {
 public:
  // `labels` is the text between the braces, e.g. R"(code="200",method="GET")", or "". The same name and labels give
  // the same object; references stay valid as long as the registry. A name has one kind and one help text.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = "");
  Gauge& gauge(std::string_view name, std::string_view help, std::string_view labels = "");
  Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> upper_bounds,
                       std::string_view labels = "");

  std::string render() const;

 private:
  struct Series;
  struct Family;
  Series& series(std::string_view name, std::string_view help, std::string_view kind, std::string_view labels);

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Family>> families_;
};

// Escapes a label's value: backslash, quote, newline.
std::string escape_label(std::string_view value);

}  // namespace sluice
