#include "server/http/serialize.h"

#include <charconv>
#include <ctime>

#include "server/http/http1_parser.h"
#include "server/http/status.h"

namespace sluice::http {
namespace {

void append_number(std::string& out, uint64_t number) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

}  // namespace

bool sendable_name(std::string_view name) {
  if (!valid_token(name)) return false;
  for (const std::string_view own :
       {"content-length", "transfer-encoding", "connection", "date", "keep-alive", "upgrade", "proxy-connection"}) {
    if (equals_ignoring_case(name, own)) return false;
  }
  return true;
}

std::string_view sendable_value(std::string_view value, std::string& storage) {
  if (valid_field_value(value)) return value;
  storage.assign(value);
  for (char& c : storage) {
    if (!valid_field_value({&c, 1})) c = ' ';
  }
  return storage;
}

void append_head(std::string& out, const ResponseHead& head, const Headers& headers) {
  out += head.http10 ? "HTTP/1.0 " : "HTTP/1.1 ";
  append_number(out, static_cast<uint64_t>(head.status));
  out += ' ';
  out += reason_phrase(head.status);
  out += "\r\n";
  std::string storage;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (!sendable_name(headers.name(i))) continue;
    out += headers.name(i);
    out += ": ";
    out += sendable_value(headers.value(i), storage);
    out += "\r\n";
  }
  out += "date: ";
  out += http_date();
  if (head.framing == BodyFraming::kLength) {
    out += "\r\ncontent-length: ";
    append_number(out, head.content_length);
  } else if (head.framing == BodyFraming::kChunked) {
    out += "\r\ntransfer-encoding: chunked";
  }
  if (!head.keep_alive) {
    out += "\r\nconnection: close";
  } else if (head.http10) {
    out += "\r\nconnection: keep-alive";
  }
  out += "\r\n\r\n";
}

std::string_view http_date() {
  thread_local std::time_t cached_second = -1;
  thread_local char text[32];
  thread_local size_t size = 0;
  const std::time_t now = std::time(nullptr);
  if (now != cached_second) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&now, &utc);
    char pattern[32];
    // The names are English whatever the locale.
    std::snprintf(pattern, sizeof pattern, "%s, %%d %s %%Y %%H:%%M:%%S GMT", kDays[utc.tm_wday % 7],
                  kMonths[utc.tm_mon % 12]);
    size = std::strftime(text, sizeof text, pattern, &utc);
    cached_second = now;
  }
  return {text, size};
}

}  // namespace sluice::http
