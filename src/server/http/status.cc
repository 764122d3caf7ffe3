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

}  // namespace

ErrorStatus error_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return {400, "invalid_request_error", false};
    case ErrorCode::kUnauthenticated:
      return {401, "authentication_error", false};
    case ErrorCode::kPermissionDenied:
      return {403, "permission_error", false};
    case ErrorCode::kNotFound:
      return {404, "not_found_error", false};
    case ErrorCode::kTooLarge:
      return {413, "invalid_request_error", false};
    case ErrorCode::kResourceExhausted:
      return {429, "rate_limit_error", true};
    case ErrorCode::kUnavailable:
      return {503, "service_unavailable_error", true};
    case ErrorCode::kDeadlineExceeded:
      return {504, "timeout_error", false};
    case ErrorCode::kCancelled:
      return {499, "cancelled_error", false};
    case ErrorCode::kUnimplemented:
      return {501, "not_implemented_error", false};
    case ErrorCode::kCorruptData:
      return {400, "invalid_request_error", false};
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return {500, "server_error", false};
  }
  return {500, "server_error", false};
}

std::string error_body(const Error& error) {
  return body_of(error.message, error_status(error.code).type, error.param, error.reason);
}

std::string error_body(int status, std::string_view message, std::string_view code) {
  const std::string_view type = status == 404   ? "not_found_error"
                                : status == 503 ? "service_unavailable_error"
                                : status == 408 ? "timeout_error"
                                : status == 501 ? "not_implemented_error"
                                : status >= 500 ? "server_error"
                                                : "invalid_request_error";
  return body_of(message, type, {}, code);
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
