#pragma once
// The one table between sluice's errors and HTTP, and the error body that OpenAI's clients understand.

#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::http {

struct ErrorStatus {
  int status;               // 429
  std::string_view type;    // OpenAI's error type: "rate_limit_error"
  bool retry_later;         // Retry-After is sent
  std::string_view reason;  // the body's code where the error says none: "rate_limit_exceeded"
};

ErrorStatus error_status(ErrorCode code);

// {"error":{"message":…,"type":…,"param":…|null,"code":…}}. `code` is Error::reason, else that of its status.
std::string error_body(const Error& error);
// The same for errors of HTTP itself, which have a status but no ErrorCode (405, 408, 431, 505).
std::string error_body(int status, std::string_view message, std::string_view code = {});

// "Not Found"; "Status" for a code without a name.
std::string_view reason_phrase(int status);

inline constexpr std::string_view kRetryAfterSeconds = "1";

}  // namespace sluice::http
