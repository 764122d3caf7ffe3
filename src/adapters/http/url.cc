#include "adapters/http/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <cctype>
#include <memory>

#include "base/strings.h"

namespace sluice::adapters {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

Url parse(const std::string& text) {
  Url url(curl_url());
  if (url != nullptr && curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) url.reset();
  return url;
}

std::string part(const Url& url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool is_http(const std::string& scheme) { return scheme == "http" || scheme == "https"; }

}  // namespace

std::string escape_url(std::string_view text, std::string_view keep) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool unreserved = byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~');
    if (unreserved || keep.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

Result<std::string> redirect_target(const std::string& from, const std::string& location) {
  const Url url = parse(from);
  if (url == nullptr) return invalid_argument(cat("not an address: ", display_url(from)));
  const std::string before = part(url, CURLUPART_SCHEME);
  if (curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK ||
      !is_http(part(url, CURLUPART_SCHEME))) {
    return invalid_argument(cat(display_url(from), " redirects to something that is no http address"));
  }
  if (before == "https" && part(url, CURLUPART_SCHEME) != "https") {
    return Error{ErrorCode::kPermissionDenied,
                 cat(display_url(from), " redirects from https to plain http, which is not followed"),
                 {},
                 {}};
  }
  return part(url, CURLUPART_URL);
}

bool same_origin(const std::string& a, const std::string& b) {
  const Url left = parse(a), right = parse(b);
  if (left == nullptr || right == nullptr) return false;
  return part(left, CURLUPART_SCHEME) == part(right, CURLUPART_SCHEME) &&
         to_lower_ascii(part(left, CURLUPART_HOST)) == to_lower_ascii(part(right, CURLUPART_HOST)) &&
         part(left, CURLUPART_PORT, CURLU_DEFAULT_PORT) == part(right, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

bool is_loopback(const std::string& text) {
  const Url url = parse(text);
  if (url == nullptr) return false;
  const std::string host = to_lower_ascii(part(url, CURLUPART_HOST));
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) == 1) return ntohl(address.s_addr) >> 24 == 127;
  return host == "localhost" || host == "[::1]";
}

std::string display_url(const std::string& text) {
  const Url url = parse(text);
  if (url == nullptr) return "(an address that cannot be read)";
  const std::string port = part(url, CURLUPART_PORT);
  std::string path = part(url, CURLUPART_PATH);
  if (path == "/") path.clear();
  return utf8_sanitize(
      cat(part(url, CURLUPART_SCHEME), "://", part(url, CURLUPART_HOST), port.empty() ? "" : ":", port, path));
}

}  // namespace sluice::adapters
