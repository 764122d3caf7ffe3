#include "server/http/status.h"

#include "base/json.h"

namespace sluice::http {
namespace {

std::string body_of(std::string_view message, std::string_view type, std::string_view param, std::string_view code) {
  std::string out = R"({"error":{"message":)";
  append_json_string(out, message);
  out += R"(,"type":)";
  append_json_string(out, type);
  out += R"(,"param":)";
  if (param.empty()) {
    out += "null";
  } else {
    append_json_string(out, param);
  }
  out += R"(,"code":)";
  if (code.empty()) {
    out += "null";
  } else {
    append_json_string(out, code);
  }
  out += "}}";
  return out;
}

std::string_view status_reason(int status) {
  switch (status) {
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 408:
      return "timeout";
    case 413:
      return "request_too_large";
    case 414:
      return "uri_too_long";
    case 415:
      return "unsupported_media_type";
    case 417:
      return "expectation_failed";
    case 431:
      return "headers_too_large";
    case 501:
      return "not_implemented";
    case 503:
      return "service_unavailable";
    case 505:
      return "version_not_supported";
    default:
      return status >= 500 ? "server_error" : "bad_request";
  }
}

}  // namespace

ErrorStatus error_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return {400, "invalid_request_error", false, "invalid_value"};
    case ErrorCode::kUnauthenticated:
      return {401, "authentication_error", false, "invalid_api_key"};
    case ErrorCode::kPermissionDenied:
      return {403, "permission_error", false, "permission_denied"};
    case ErrorCode::kNotFound:
      return {404, "not_found_error", false, "not_found"};
    case ErrorCode::kTooLarge:
      return {413, "invalid_request_error", false, "request_too_large"};
    case ErrorCode::kResourceExhausted:
      return {429, "rate_limit_error", true, "rate_limit_exceeded"};
    case ErrorCode::kUnavailable:
      return {503, "service_unavailable_error", true, "service_unavailable"};
    case ErrorCode::kDeadlineExceeded:
      return {504, "timeout_error", false, "timeout"};
    case ErrorCode::kCancelled:
      return {499, "cancelled_error", false, "cancelled"};
    case ErrorCode::kUnimplemented:
      return {501, "not_implemented_error", false, "not_implemented"};
    case ErrorCode::kCorruptData:
      return {400, "invalid_request_error", false, "invalid_value"};
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return {500, "server_error", false, "server_error"};
  }
  return {500, "server_error", false, "server_error"};
}

std::string error_body(const Error& error) {
  const ErrorStatus status = error_status(error.code);
  return body_of(error.message, status.type, error.param, error.reason.empty() ? status.reason : error.reason);
}

std::string error_body(int status, std::string_view message, std::string_view code) {
  const std::string_view type = status == 404   ? "not_found_error"
                                : status == 503 ? "service_unavailable_error"
                                : status == 408 ? "timeout_error"
                                : status == 501 ? "not_implemented_error"
                                : status >= 500 ? "server_error"
                                                : "invalid_request_error";
  return body_of(message, type, {}, code.empty() ? status_reason(status) : code);
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

}  // namespace sluice::http
