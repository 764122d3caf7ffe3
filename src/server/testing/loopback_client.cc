#include "server/testing/loopback_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "base/strings.h"

namespace sluice::testing {

LoopbackClient::LoopbackClient(uint16_t port, std::string_view method, std::string_view path, std::string_view body,
                               const HeaderList& headers)
    : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    closed_ = true;
    return;
  }
  std::string text = cat(method, " ", path, " HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n");
  for (const auto& [name, value] : headers) text += cat(name, ": ", value, "\r\n");
  if (method == "POST") text += cat("content-type: application/json\r\ncontent-length: ", body.size(), "\r\n");
  text += "\r\n";
  text += body;
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    rest.remove_prefix(static_cast<size_t>(sent));
  }
}

LoopbackClient::~LoopbackClient() { leave(); }

void LoopbackClient::leave() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  closed_ = true;
}

bool LoopbackClient::receive(std::chrono::milliseconds patience) {
  if (closed_ || answer_.whole) return false;
  pollfd waiting{fd_, POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
  char buffer[16384];
  const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
  if (size <= 0) {
    closed_ = true;
    if (size == 0 && head_done_ && !chunked_ && !length_) answer_.whole = true;
    return false;
  }
  raw_.append(buffer, static_cast<size_t>(size));
  parse();
  return true;
}

bool LoopbackClient::parse_head() {
  const size_t end = raw_.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const std::vector<std::string> lines = split(raw_.substr(0, end), '\n');
  const std::string_view status = std::string_view(lines.front()).substr(std::min<size_t>(9, lines.front().size()));
  std::from_chars(status.data(), status.data() + status.size(), answer_.status);
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    answer_.headers[to_lower_ascii(lines[i].substr(0, colon))] =
        std::string(trim(std::string_view(lines[i]).substr(colon + 1)));
  }
  raw_.erase(0, end + 4);
  chunked_ = answer_.headers["transfer-encoding"] == "chunked";
  if (const std::string& length = answer_.headers["content-length"]; !length.empty()) {
    size_t value = 0;
    std::from_chars(length.data(), length.data() + length.size(), value);
    length_ = value;
  }
  head_done_ = true;
  return true;
}

void LoopbackClient::parse() {
  if (!head_done_ && !parse_head()) return;
  if (!chunked_) {
    answer_.body += raw_;
    raw_.clear();
    answer_.whole = length_ && answer_.body.size() >= *length_;
    return;
  }
  while (!answer_.whole) {
    const size_t line = raw_.find("\r\n");
    if (line == std::string::npos) return;
    size_t size = 0;
    std::from_chars(raw_.data(), raw_.data() + line, size, 16);
    if (raw_.size() < line + 2 + size + 2) return;
    answer_.body += raw_.substr(line + 2, size);
    raw_.erase(0, line + 2 + size + 2);
    answer_.whole = size == 0;
  }
}

HttpAnswer LoopbackClient::read(std::chrono::milliseconds patience) {
  while (receive(patience)) {
  }
  return answer_;
}

bool LoopbackClient::read_until(std::string_view text, std::chrono::milliseconds patience) {
  while (answer_.body.find(text) == std::string::npos) {
    if (!receive(patience)) return answer_.body.find(text) != std::string::npos;
  }
  return true;
}

HttpAnswer exchange(uint16_t port, std::string_view method, std::string_view path, std::string_view body,
                    const LoopbackClient::HeaderList& headers) {
  return LoopbackClient(port, method, path, body, headers).read();
}

std::vector<std::string> event_payloads(std::string_view body) {
  std::vector<std::string> payloads;
  while (!body.empty()) {
    const size_t end = std::min(body.find("\n\n"), body.size());
    const std::string_view event = body.substr(0, end);
    if (event.starts_with("data: ")) payloads.emplace_back(event.substr(6));
    body.remove_prefix(std::min(end + 2, body.size()));
  }
  return payloads;
}

}  // namespace sluice::testing
