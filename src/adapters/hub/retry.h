#pragma once
// When a failed request is made again. Pure.

#include <cstdint>
#include <string_view>

namespace sluice::adapters {

struct RetryPolicy {
  int failures_max = 6;  // in a row; then the error stands
  int64_t first_delay_ms = 500;
  int64_t delay_max_ms = 30'000;
  int64_t wait_max_ms = 300'000;  // a server may ask for this much by Retry-After, not more
};

// The wait after the `failures`-th failure in a row (from 1): doubling, and between half and all of that by `jitter` in
// [0, 1), so that many clients do not come back at once. `asked_ms` is the server's wish, or -1.
int64_t retry_delay_ms(const RetryPolicy& policy, int failures, double jitter, int64_t asked_ms);

// Retry-After as milliseconds: seconds, or a date (RFC 9110, 10.2.3). -1 when it is neither.
int64_t parse_retry_after_ms(std::string_view value, int64_t now_unix_s);

}  // namespace sluice::adapters
