#include "server/http/tcp_stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace sluice::http {
namespace asio = boost::asio;
namespace {

constexpr size_t kPiecesPerCall = 16;

Error socket_error(const char* what, const char* why) { return {ErrorCode::kCancelled, cat(what, ": ", why), {}, {}}; }

struct ReadSome {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    socket.async_read_some(asio::buffer(into.data(), into.size()),
                           [this, coroutine](const boost::system::error_code& code, size_t bytes) {
                             error = code;
                             size = bytes;
                             coroutine.resume();
                           });
  }
  void await_resume() {}

  TcpSocket& socket;
  std::span<char> into;
  boost::system::error_code error{};
  size_t size = 0;
};

struct WaitWritable {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    socket.async_wait(TcpSocket::wait_write, [this, coroutine](const boost::system::error_code& code) {
      error = code;
      coroutine.resume();
    });
  }
  void await_resume() {}

  TcpSocket& socket;
  boost::system::error_code error{};
};

class TcpStream final : public Stream {
 public:
  explicit TcpStream(TcpSocket socket) : socket_(std::move(socket)) {
    const int fd = socket_.native_handle();
    const auto set = [fd](int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
    set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 256 << 10);
  }

  Task<Result<std::string>> handshake() override { co_return std::string(); }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    if (!socket_.is_open()) co_return socket_error("read", "the connection is closed");
    ReadSome read{socket_, into};
    co_await read;
    if (read.error == asio::error::eof) co_return size_t{0};
    if (read.error) co_return socket_error("read", read.error.message().c_str());
    co_return read.size;
  }

  Task<Result<void>> write(std::span<const std::string_view> pieces) override {
    size_t skip = 0;  // of the first piece, already sent
    while (true) {
      while (!pieces.empty() && pieces.front().size() == skip) {
        pieces = pieces.subspan(1);
        skip = 0;
      }
      if (pieces.empty()) break;
      if (!socket_.is_open()) co_return socket_error("write", "the connection is closed");
      const ssize_t sent = send(pieces, skip);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) co_return socket_error("write", std::strerror(errno));
        if (!stalled_since_) stalled_since_ = std::chrono::steady_clock::now();
        WaitWritable wait{socket_};
        co_await wait;
        if (wait.error) co_return socket_error("write", wait.error.message().c_str());
        continue;
      }
      stalled_since_.reset();
      auto left = static_cast<size_t>(sent);
      while (left > 0) {
        const size_t step = std::min(left, pieces.front().size() - skip);
        left -= step;
        skip += step;
        if (skip == pieces.front().size()) {
          pieces = pieces.subspan(1);
          skip = 0;
        }
      }
    }
    stalled_since_.reset();
    co_return Result<void>();
  }

  Task<void> end_writing() override {
    if (socket_.is_open()) ::shutdown(socket_.native_handle(), SHUT_WR);
    co_return;
  }

  void abort() override {
    if (!socket_.is_open()) return;
    if (stalled_since_) {
      const linger reset{1, 0};
      ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  std::optional<Time> stalled_since() const override { return stalled_since_; }

 private:
  ssize_t send(std::span<const std::string_view> pieces, size_t skip) {
    std::array<iovec, kPiecesPerCall> vectors;
    const size_t count = std::min(pieces.size(), kPiecesPerCall);
    for (size_t i = 0; i < count; ++i) {
      const std::string_view piece = pieces[i].substr(i == 0 ? skip : 0);
      vectors[i] = {const_cast<char*>(piece.data()), piece.size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  TcpSocket socket_;
  std::optional<Time> stalled_since_;
};

}  // namespace

std::unique_ptr<Stream> make_tcp_stream(TcpSocket socket) { return std::make_unique<TcpStream>(std::move(socket)); }

}  // namespace sluice::http
