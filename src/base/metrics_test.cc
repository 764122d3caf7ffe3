#include "base/metrics.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Metrics, RendersPrometheusText) {
  MetricsRegistry registry;
  registry.counter("requests_total", "Requests.", R"(code="200")").add(3);
  registry.counter("requests_total", "Requests.", R"(code="200")").add();
  registry.counter("requests_total", "Requests.", R"(code="429")").add();
  registry.gauge("queue", "Waiting.").set(2.5);
  Histogram& seconds = registry.histogram("seconds", "Time.", {0.1, 1}, R"(kind="a")");
  seconds.observe(0.1);  // a bound belongs to its own bucket
  seconds.observe(0.5);
  seconds.observe(7);
  EXPECT_EQ(registry.render(),
            "# HELP requests_total Requests.\n# TYPE requests_total counter\n"
            "requests_total{code=\"200\"} 4\nrequests_total{code=\"429\"} 1\n"
            "# HELP queue Waiting.\n# TYPE queue gauge\nqueue 2.5\n"
            "# HELP seconds Time.\n# TYPE seconds histogram\n"
            "seconds_bucket{kind=\"a\",le=\"0.1\"} 1\nseconds_bucket{kind=\"a\",le=\"1\"} 2\n"
            "seconds_bucket{kind=\"a\",le=\"+Inf\"} 3\nseconds_sum{kind=\"a\"} 7.6\nseconds_count{kind=\"a\"} 3\n");
}

TEST(Metrics, EscapesLabels) { EXPECT_EQ(escape_label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd"); }

}  // namespace
}  // namespace sluice
