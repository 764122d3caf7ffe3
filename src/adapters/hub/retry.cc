#include "adapters/hub/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace sluice::adapters {

int64_t retry_delay_ms(const RetryPolicy& policy, int failures, double jitter, int64_t asked_ms) {
  const int doublings = std::clamp(failures - 1, 0, 30);
  const double whole =
      std::min(static_cast<double>(policy.first_delay_ms) * static_cast<double>(int64_t{1} << doublings),
               static_cast<double>(policy.delay_max_ms));
  const auto delay = static_cast<int64_t>(whole * (0.5 + 0.5 * jitter));
  return std::max(delay, std::min(asked_ms, policy.wait_max_ms));
}

int64_t parse_retry_after_ms(std::string_view value, int64_t now_unix_s) {
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error == std::errc() && end == value.data() + value.size()) {
    return seconds < 0 ? -1 : std::min<int64_t>(seconds, 1'000'000) * 1000;
  }
  const int64_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return -1;
  return std::clamp<int64_t>(date - now_unix_s, 0, 1'000'000) * 1000;
}

}  // namespace sluice::adapters
