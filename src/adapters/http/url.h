#pragma once
// The few questions asked about addresses: joining, escaping, where a redirect leads and whether a secret may follow
// it.

#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::adapters {

// Percent-encodes all but unreserved characters (RFC 3986, 2.3); `keep` names further ones to leave, such as "/".
std::string escape_url(std::string_view text, std::string_view keep = "");

// The address a Location header leads to, which may be relative. kInvalidArgument when it is no http(s) address;
// kPermissionDenied when it leads from https to http.
Result<std::string> redirect_target(const std::string& from, const std::string& location);

// Scheme, host and port are equal: only then may a credential meant for one be sent to the other.
bool same_origin(const std::string& a, const std::string& b);

// The address is of this machine: localhost, 127.0.0.0/8 or [::1].
bool is_loopback(const std::string& url);

// For messages: without user, password, query and fragment, where secrets and signatures stand.
std::string display_url(const std::string& url);

}  // namespace sluice::adapters
