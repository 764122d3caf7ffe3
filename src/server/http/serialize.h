#pragma once
// The bytes of HTTP/1 response heads, and what both protocols add to a response.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/headers.h"

namespace sluice::http {

enum class BodyFraming {
  kNone,    // 204, 304: no body and no length
  kLength,  // Content-Length
  kChunked,
  kToClose,  // HTTP/1.0: the body ends with the connection
};

struct ResponseHead {
  int status = 200;
  BodyFraming framing = BodyFraming::kLength;
  uint64_t content_length = 0;
  bool http10 = false;  // the request was HTTP/1.0
  bool keep_alive = true;
};

// Appends status line, fields, Date, framing and Connection, and the empty line. Nothing a handler gives can add a line
// of its own: see sendable_name and sendable_value.
void append_head(std::string& out, const ResponseHead& head, const Headers& headers);

// False for names that are not tokens and for those this layer sets itself (Content-Length, Transfer-Encoding,
// Connection, Date, Keep-Alive, Upgrade): such a field is left out.
bool sendable_name(std::string_view name);
// The value with every control character but TAB replaced by a space; points to `value` or to `storage`.
std::string_view sendable_value(std::string_view value, std::string& storage);

// "Sun, 06 Nov 1994 08:49:37 GMT", made once per second and thread.
std::string_view http_date();

}  // namespace sluice::http
