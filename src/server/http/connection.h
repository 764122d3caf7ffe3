#pragma once
// Connection: one client's connection from accept to close: its stream, what was read and not yet used, its deadlines.
// Protocol: what is spoken on it, HTTP/1 (http1.cc) or HTTP/2 (http2.cc). Both live on one I/O thread.
//
// A read is kept pending nearly always, so that the client's leaving is noticed while a handler works; bytes that come
// meanwhile wait in the buffer for their turn.

#include <coroutine>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "server/http/shard.h"
#include "server/http/stream.h"

namespace sluice::http {

using Time = Stream::Time;

constexpr size_t kProgressBytes = size_t{64} << 10;  // of a request's body, that each deadline must bring

class Protocol {
 public:
  virtual ~Protocol() = default;
  // Serves until the connection is to be closed.
  virtual Task<void> run() = 0;
  // The client has ended its sending side, or the connection is lost. No coroutine may be resumed from here but by way
  // of Exchange::lost.
  virtual void ended() = 0;
  // Several times a second.
  virtual void tick(Time now) = 0;
  // The server is draining: end soon.
  virtual void drain() = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Shard& shard, std::unique_ptr<Stream> stream, std::string peer);
  ~Connection();

  // The whole life; returns when closed and no read or write is pending. The caller keeps a shared_ptr until then.
  Task<void> run();
  // Like run, for a connection past the limit: says 503 and closes.
  Task<void> refuse();

  // From the shard, on its thread.
  void tick(Time now);
  void drain();
  void abort();

  // For protocols
  // ------------------------------------------------------------------------------------------------------
  std::string_view unread() const { return {buffer_.get() + begin_, end_ - begin_}; }
  void consume(size_t bytes);
  enum class Filled { kBytes, kEnd, kTimeout };
  // Waits until there is more in unread(), at most until the deadline. kEnd: the client sends no more, or is gone.
  Task<Filled> fill();
  // Makes a fill() that waits return kTimeout soon, though not from within this call.
  void interrupt();
  // Keeps a read pending without waiting for it; Protocol::ended is called when it finds the end.
  void watch();
  // When fill() gives up; and, while nothing fills, nothing.
  void set_deadline(Time when) { deadline_ = when; }
  void set_deadline(std::chrono::milliseconds from_now) { deadline_ = std::chrono::steady_clock::now() + from_now; }
  void clear_deadline() { deadline_ = Time::max(); }

  // Writes all pieces. An error says that the client is gone (kCancelled) or reads too slowly (kDeadlineExceeded).
  Task<Result<void>> write(std::span<const std::string_view> pieces);
  Task<Result<void>> write(std::string_view bytes);

  // The client may still be sending: when the connection closes, what it sends is read for a while.
  void linger() { lingers_ = true; }

  // True once the client's sending side has ended or the connection was aborted.
  bool at_end() const { return at_end_; }
  bool aborted() const { return aborted_; }
  Shard& shard() { return shard_; }
  const ServerLimits& limits() const { return shard_.service.options.limits; }
  const std::string& peer() const { return peer_; }
  bool secure() const { return secure_; }

 private:
  void start_read();
  Task<void> read_once();
  void make_room();
  void resize_buffer(size_t capacity);
  void wake();
  Task<void> close();
  Task<void> discard_rest();

  Shard& shard_;
  std::unique_ptr<Stream> stream_;
  std::string peer_;
  bool secure_ = false;
  std::unique_ptr<Protocol> protocol_;

  std::unique_ptr<char[]> buffer_;
  size_t begin_ = 0, end_ = 0, capacity_ = 0;
  uint64_t total_read_ = 0;
  bool reading_ = false;        // a read is pending: the buffer may not move
  bool watching_ = false;       // go on reading when it ends
  bool filled_buffer_ = false;  // the last read took all the room there was
  bool handshaking_ = false;
  bool at_end_ = false;
  bool aborted_ = false;
  bool timed_out_ = false;
  bool stalled_ = false;
  bool lingers_ = false;
  std::coroutine_handle<> waiter_;
  Time deadline_ = Time::max();
};

// http1.cc, http2.cc
std::unique_ptr<Protocol> make_http1(Connection& connection);
std::unique_ptr<Protocol> make_http2(Connection& connection);
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace sluice::http
