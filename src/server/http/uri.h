#pragma once
// Request targets (RFC 9112 section 3.2, RFC 3986): split, decoded, and refused where they could mean two things.

#include <optional>
#include <string>
#include <string_view>

#include "server/http/request.h"

namespace sluice::http {

// A fault of the message that this layer answers by itself.
struct ProtocolError {
  int status;  // 400, 413, 414, 417, 431, 501, 505
  std::string message;
};

// 0–15, or −1.
int hex_digit(char c);

// "%41+b" → "A+b", or "A b" with plus_is_space. Nothing when a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

// Sets target, path and query of `request` (and host, for the absolute form) from the target as sent. Asks for
// request.method to be set. Refused: control characters, fragments, bad escapes, "." and ".." segments (also escaped),
// paths that are not UTF-8 or hold a NUL or another control character once decoded.
std::optional<ProtocolError> read_target(std::string_view target, Request& request);

// RFC 3986 host with optional port; "" is allowed.
bool valid_host(std::string_view host);

}  // namespace sluice::http
