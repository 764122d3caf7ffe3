#include "server/http/uri.h"

#include <algorithm>

#include "base/strings.h"

namespace sluice::http {
namespace {

bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);  // the '/'
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(segment.size());
  }
  return false;
}

std::optional<ProtocolError> read_path(std::string_view raw, Request& request) {
  if (raw.find('%') == std::string_view::npos) {
    request.path = raw;
  } else {
    std::optional<std::string> decoded = percent_decode(raw, false);
    if (!decoded) return ProtocolError{400, "the path has a '%' that is not followed by two hexadecimal digits"};
    request.path = std::move(*decoded);
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
    if (std::any_of(request.path.begin(), request.path.end(), is_control)) {
      return ProtocolError{400, "the path has an escaped control character"};
    }
    if (!utf8_valid(request.path)) return ProtocolError{400, "the path is not UTF-8 once its escapes are decoded"};
  }
  if (has_dot_segment(request.path)) return ProtocolError{400, "the path has a '.' or '..' segment: send it resolved"};
  return std::nullopt;
}

}  // namespace

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::optional<ProtocolError> read_target(std::string_view target, Request& request) {
  if (target.empty()) return ProtocolError{400, "the request target is empty"};
  for (const char c : target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7F)
      return ProtocolError{400, "the request target has a character that must be percent-encoded"};
    if (c == '#')
      return ProtocolError{400, "the request target has a fragment: '#' and what follows is not sent to a server"};
  }
  if (target == "*") {
    if (request.method != "OPTIONS") return ProtocolError{400, "the target '*' is only for OPTIONS"};
    request.target = request.path = "*";
    return std::nullopt;
  }
  if (target[0] != '/') {
    const size_t scheme_end = target.find("://");
    const std::string scheme = to_lower_ascii(target.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end));
    if (scheme != "http" && scheme != "https") {
      return ProtocolError{400, "the request target must begin with '/', http:// or https://"};
    }
    target.remove_prefix(scheme_end + 3);
    const std::string_view authority = target.substr(0, target.find_first_of("/?"));
    if (authority.empty() || !valid_host(authority))
      return ProtocolError{400, "the request target names no sound host"};
    request.host = authority;
    target.remove_prefix(authority.size());
  }
  request.target = target.empty() || target[0] != '/' ? "/" + std::string(target) : std::string(target);
  const std::string_view whole = request.target;
  const size_t question = whole.find('?');
  request.query = question == std::string_view::npos ? std::string_view() : whole.substr(question + 1);
  return read_path(whole.substr(0, question), request);
}

bool valid_host(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~%!$&'()*+,;=:[]").find(c) != std::string_view::npos;
  });
}

}  // namespace sluice::http
