#pragma once
// A request as a handler sees it: whole (the body has been read), checked against the limits, the same for
// HTTP/1.0, 1.1 and 2.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/headers.h"

namespace sluice::http {

enum class Version { kHttp10, kHttp11, kHttp2 };

struct Request {
  std::string method;  // "GET"; upper case as sent
  std::string target;  // as sent, in origin form: "/v1/models/a%20b?x=1"; "*" only for OPTIONS
  std::string path;    // percent-decoded, begins with '/', no "." or ".." segments, no control characters, UTF-8
  std::string query;   // after '?', as sent
  Headers headers;     // trailers are dropped
  std::string body;
  std::string host;    // Host or :authority, as sent
  std::string scheme;  // "http" or "https"
  std::string peer;    // "127.0.0.1:51234", "[::1]:51234"
  Version version = Version::kHttp11;
  std::string id;  // the client's X-Request-Id if it sent a sound one, else made here; sent back with the answer
  std::vector<std::pair<std::string, std::string>> params;  // what the {names} of the route's path stood for
  std::string principal;                                    // set by the authentication hook: who is asking
  std::chrono::steady_clock::time_point arrived_at;         // when its first byte was read

  // The first query parameter of that name, decoded ('+' is a space); nothing when absent.
  std::optional<std::string> query_param(std::string_view name) const;
  // The value of {name} in the route's path, or "".
  std::string_view param(std::string_view name) const;
};

std::string_view version_name(Version version);  // "HTTP/1.1"

}  // namespace sluice::http
