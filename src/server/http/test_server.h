#pragma once
// For the tests of this folder: a server with routes that show what can go wrong, and a plain client on a blocking
// socket that sends exactly the bytes it is given.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/strings.h"
#include "server/http/http.h"

namespace sluice::http::testing {

using std::chrono::milliseconds;

// True as soon as `condition` is, within `patience`.
template <class Condition>
bool eventually(const Condition& condition, milliseconds patience = milliseconds(5000)) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

// A client that sends raw bytes.
class RawClient {
 public:
  // `receive_buffer`: SO_RCVBUF, small for slow readers.
  explicit RawClient(uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    const int at_once = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  void end_sending() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // Closes with a TCP reset.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

  // Reads more into received(); false at the end, on an error, or after `patience`.
  bool receive(milliseconds patience = milliseconds(5000)) {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
    char buffer[65536];
    const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
    if (size <= 0) {
      ended_ = true;
      was_reset_ = size < 0;
      return false;
    }
    received_.append(buffer, static_cast<size_t>(size));
    return true;
  }
  bool receive_until(std::string_view text, milliseconds patience = milliseconds(5000)) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (received_.find(text) == std::string::npos) {
      const auto left = std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0 || !receive(left)) return false;
    }
    return true;
  }
  // Everything until the server closes (or 5 s).
  std::string receive_all() {
    while (receive()) {
    }
    return received_;
  }
  // One response with Content-Length, taken out of received(); "" when none came whole.
  std::string receive_response() {
    if (!receive_until("\r\n\r\n")) return {};
    const size_t head = received_.find("\r\n\r\n") + 4;
    size_t length = 0;
    if (const size_t at = received_.find("content-length: "); at < head) length = std::stoul(received_.substr(at + 16));
    while (received_.size() < head + length) {
      if (!receive()) return {};
    }
    std::string response = received_.substr(0, head + length);
    received_.erase(0, head + length);
    return response;
  }
  const std::string& received() const { return received_; }
  bool ended() const { return ended_; }
  bool was_reset() const { return was_reset_; }

 private:
  int fd_;
  bool connected_ = false;
  bool ended_ = false;
  bool was_reset_ = false;
  std::string received_;
};

inline int status_of(std::string_view response) {
  if (response.size() < 12 || !response.starts_with("HTTP/1.")) return 0;
  return std::stoi(std::string(response.substr(9, 3)));
}
inline std::string body_of(const std::string& response) {
  const size_t head = response.find("\r\n\r\n");
  return head == std::string::npos ? "" : response.substr(head + 4);
}
// The value of a header, by its lower-case name.
inline std::string header_of(const std::string& response, const std::string& name) {
  const size_t at = response.find("\r\n" + name + ": ");
  if (at == std::string::npos || at > response.find("\r\n\r\n")) return "";
  const size_t begin = at + name.size() + 4;
  return response.substr(begin, response.find("\r\n", begin) - begin);
}

// What the routes below saw.
struct Observed {
  std::atomic<int> waiting{0};      // /wait is waiting
  std::atomic<int> disconnects{0};  // on_disconnect was called
  std::atomic<int> ended{0};        // /wait and /flood returned
  std::atomic<int> write_errors{0};
  std::atomic<int> last_error{-1};                     // its ErrorCode
  std::atomic<int64_t> flooded{0};                     // bytes /flood has written
  std::shared_ptr<EventChannel<std::string>> channel;  // of the newest /wait; read after `waiting` was seen
  std::mutex mutex;
  std::vector<std::string> accesses;  // "GET /x 200"
};

// GET /hello; POST /echo; GET /head?…; GET /stream?n=3 (chunks "0\n", "1\n", …); GET and POST /wait (streams what is
// pushed into `channel`); GET /flood (writes until it fails); GET /blob?n=bytes; GET /throw; GET /silent; GET /half
// (start without finish); GET /inject; GET /disconnect-late; POST /tiny (100 bytes at most); GET /public; GET
// /v1/models/{model...}; GET /blocking.
Router test_routes(Observed& observed);

struct TestServer {
  explicit TestServer(ServerOptions options = {}) {
    options.host = "127.0.0.1";
    options.port = 0;
    options.on_access = [this](const AccessRecord& record) {
      const std::lock_guard lock(observed.mutex);
      observed.accesses.push_back(cat(record.method, ' ', record.path, ' ', record.status));
    };
    Result<std::unique_ptr<Server>> started = Server::start(std::move(options), test_routes(observed));
    if (!started.ok()) {
      ADD_FAILURE() << started.error().message;
      return;
    }
    server = std::move(started).value();
  }
  uint16_t port() const { return server->port(); }
  std::string ask(std::string_view bytes) {
    RawClient client(port());
    client.send(bytes);
    return client.receive_response();
  }

  Observed observed;
  std::unique_ptr<Server> server;
};

}  // namespace sluice::http::testing
