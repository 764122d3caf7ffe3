#include "base/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.h"

namespace sluice {
namespace {

std::string number(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds)
    : bounds_(std::move(upper_bounds)), buckets_(bounds_.size() + 1) {
  SLUICE_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
  const auto bucket = static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.add(value);
}

struct MetricsRegistry::Series {
  std::string labels;
  Counter counter;
  Gauge gauge;
  std::unique_ptr<Histogram> histogram;
};

struct MetricsRegistry::Family {
  std::string name, help, kind;
  std::vector<std::unique_ptr<Series>> series;
};

MetricsRegistry::Series& MetricsRegistry::series(std::string_view name, std::string_view help, std::string_view kind,
                                                 std::string_view labels) {
  auto family = std::find_if(families_.begin(), families_.end(), [&](const auto& f) { return f->name == name; });
  if (family == families_.end()) {
    families_.push_back(std::make_shared<Family>(Family{std::string(name), std::string(help), std::string(kind), {}}));
    family = families_.end() - 1;
  }
  SLUICE_CHECK((*family)->kind == kind, "a metric has one kind");
  for (const auto& known : (*family)->series) {
    if (known->labels == labels) return *known;
  }
  (*family)->series.push_back(std::make_unique<Series>());
  (*family)->series.back()->labels = labels;
  return *(*family)->series.back();
}

Counter& MetricsRegistry::counter(std::string_view name, std::string_view help, std::string_view labels) {
  const std::lock_guard lock(mutex_);
  return series(name, help, "counter", labels).counter;
}

Gauge& MetricsRegistry::gauge(std::string_view name, std::string_view help, std::string_view labels) {
  const std::lock_guard lock(mutex_);
  return series(name, help, "gauge", labels).gauge;
}

Histogram& MetricsRegistry::histogram(std::string_view name, std::string_view help, std::vector<double> upper_bounds,
                                      std::string_view labels) {
  const std::lock_guard lock(mutex_);
  Series& found = series(name, help, "histogram", labels);
  if (!found.histogram) found.histogram = std::make_unique<Histogram>(std::move(upper_bounds));
  return *found.histogram;
}

std::string MetricsRegistry::render() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& family : families_) {
    out += "# HELP " + family->name + ' ' + family->help + "\n# TYPE " + family->name + ' ' + family->kind + '\n';
    for (const auto& one : family->series) {
      const std::string braces = one->labels.empty() ? "" : '{' + one->labels + '}';
      if (!one->histogram) {
        out += family->name + braces + ' ' +
               number(family->kind == "counter" ? one->counter.value() : one->gauge.value()) + '\n';
        continue;
      }
      const Histogram& histogram = *one->histogram;
      const std::string comma = one->labels.empty() ? "" : one->labels + ',';
      uint64_t cumulative = 0;
      for (size_t i = 0; i <= histogram.upper_bounds().size(); ++i) {
        cumulative += histogram.bucket_count(i);
        const double bound = i < histogram.upper_bounds().size() ? histogram.upper_bounds()[i] : INFINITY;
        out += family->name + "_bucket{" + comma + "le=\"" + number(bound) + "\"} " + std::to_string(cumulative) + '\n';
      }
      out += family->name + "_sum" + braces + ' ' + number(histogram.sum()) + '\n';
      out += family->name + "_count" + braces + ' ' + std::to_string(cumulative) + '\n';
    }
  }
  return out;
}

std::string escape_label(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace sluice
