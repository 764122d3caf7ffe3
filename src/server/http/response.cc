#include "server/http/response.h"

#include "server/http/status.h"

namespace sluice::http {

Task<Result<void>> ResponseWriter::send_error(Error error) {
  const ErrorStatus status = error_status(error.code);
  Headers headers{{"content-type", "application/json"}};
  if (status.retry_later) headers.add("retry-after", kRetryAfterSeconds);
  if (error.code == ErrorCode::kUnauthenticated) headers.add("www-authenticate", "Bearer");
  return send(status.status, std::move(headers), error_body(error));
}

Task<Result<void>> ResponseWriter::send_json(int status, std::string json) {
  return send(status, {{"content-type", "application/json"}}, std::move(json));
}

}  // namespace sluice::http
