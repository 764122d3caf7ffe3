#include "server/http/connection.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "server/http/serialize.h"
#include "server/http/status.h"

namespace sluice::http {
namespace {

constexpr size_t kBufferSmall = 8192;              // held by an idle connection
constexpr size_t kBufferLarge = size_t{64} << 10;  // while a body is read
constexpr size_t kLingerBytesMax = size_t{128} << 20;
constexpr std::chrono::milliseconds kLinger{2000};

struct Suspend {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) { waiter = coroutine; }
  void await_resume() {}
  std::coroutine_handle<>& waiter;
};

}  // namespace

Connection::Connection(Shard& shard, std::unique_ptr<Stream> stream, std::string peer)
    : shard_(shard), stream_(std::move(stream)), peer_(std::move(peer)), secure_(shard.service.options.tls.enabled()) {}

Connection::~Connection() = default;

void Connection::consume(size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_ && !reading_) begin_ = end_ = 0;
}

void Connection::resize_buffer(size_t capacity) {
  auto other = std::make_unique_for_overwrite<char[]>(capacity);
  if (end_ > begin_) std::memcpy(other.get(), buffer_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  buffer_ = std::move(other);
  capacity_ = capacity;
}

void Connection::make_room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == 0 && watching_ && capacity_ > kBufferSmall) {
    resize_buffer(kBufferSmall);
  } else if (end_ == 0 && filled_buffer_ && capacity_ < kBufferLarge) {
    resize_buffer(kBufferLarge);
  } else if (end_ == capacity_) {
    resize_buffer(begin_ > capacity_ / 2 ? capacity_ : std::max(capacity_ * 2, kBufferSmall));
  }
}

void Connection::start_read() {
  make_room();
  reading_ = true;
  spawn(read_once());
}

Task<void> Connection::read_once() {
  do {
    const Result<size_t> size = co_await stream_->read_some({buffer_.get() + end_, capacity_ - end_});
    if (size.ok() && *size > 0) {
      end_ += *size;
      filled_buffer_ = end_ == capacity_;
      total_read_ += *size;
    } else {
      at_end_ = true;
      if (!size.ok()) aborted_ = true;
    }
    // While a handler works, what comes is kept; reading stops when the buffer is full, so a client cannot fill memory.
  } while (watching_ && !waiter_ && !at_end_ && end_ < capacity_);
  reading_ = false;
  if (waiter_) {
    wake();
  } else if (at_end_ && protocol_) {
    protocol_->ended();
  }
}

void Connection::wake() {
  if (const auto waiter = std::exchange(waiter_, nullptr)) waiter.resume();
}

Task<Connection::Filled> Connection::fill() {
  const uint64_t before = total_read_;
  watching_ = false;
  timed_out_ = false;
  if (!reading_ && !at_end_) start_read();
  while (total_read_ == before && !at_end_ && !timed_out_) co_await Suspend{waiter_};
  if (total_read_ != before) co_return Filled::kBytes;
  co_return at_end_ ? Filled::kEnd : Filled::kTimeout;
}

void Connection::interrupt() {
  if (!waiter_ || shard_.thread == nullptr) return;
  shard_.thread->post([self = shared_from_this()] {
    self->timed_out_ = true;
    self->wake();
  });
}

void Connection::watch() {
  watching_ = true;
  if (!reading_ && !at_end_ && (begin_ == end_ || end_ < capacity_)) start_read();
}

Task<Result<void>> Connection::write(std::span<const std::string_view> pieces) {
  if (aborted_) co_return Error{ErrorCode::kCancelled, "the client has closed the connection", {}, {}};
  Result<void> written = co_await stream_->write(pieces);
  if (!written.ok()) {
    if (stalled_) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limits().write_stall).count();
      written =
          Error{ErrorCode::kDeadlineExceeded, "the client read nothing for " + std::to_string(seconds) + " s", {}, {}};
    }
    abort();
  }
  co_return written;
}

Task<Result<void>> Connection::write(std::string_view bytes) {
  const std::string_view pieces[] = {bytes};
  co_return co_await write(std::span(pieces));
}

void Connection::tick(Time now) {
  if (const auto since = stream_->stalled_since(); since && now - *since > limits().write_stall) {
    stalled_ = true;
    abort();
    return;
  }
  if (now > deadline_ && handshaking_) {
    abort();
    return;
  }
  if (now > deadline_ && waiter_) {
    deadline_ = Time::max();
    timed_out_ = true;
    wake();
    return;
  }
  if (protocol_) protocol_->tick(now);
}

void Connection::drain() {
  if (protocol_) {
    protocol_->drain();
  } else {
    abort();
  }
}

void Connection::abort() {
  if (!aborted_) {
    aborted_ = at_end_ = true;
    stream_->abort();
    if (protocol_) protocol_->ended();
  }
  wake();
}

// Bytes the client was still sending when the answer was complete are read for a while: closing on them would reset the
// connection, and the client might never see the answer.
Task<void> Connection::discard_rest() {
  set_deadline(kLinger);
  const uint64_t before = total_read_;
  while (!at_end_ && total_read_ - before < kLingerBytesMax) {
    consume(unread().size());
    if (co_await fill() != Filled::kBytes) break;
  }
}

Task<void> Connection::close() {
  if (!aborted_) {
    co_await stream_->end_writing();
    if (lingers_) co_await discard_rest();
  }
  aborted_ = at_end_ = true;
  stream_->abort();
  clear_deadline();
  while (reading_) co_await Suspend{waiter_};
}

Task<void> Connection::run() {
  set_deadline(limits().tls_handshake);
  handshaking_ = true;
  const Result<std::string> protocol = co_await stream_->handshake();
  handshaking_ = false;
  if (protocol.ok() && !aborted_) {
    bool http2 = *protocol == "h2";
    bool timed_out = false;
    set_deadline(limits().header_read);
    // In clear, HTTP/2 begins with its preface. The first bytes tell.
    while (!http2 && protocol->empty()) {
      const std::string_view first = unread().substr(0, kHttp2Preface.size());
      if (!first.empty() && first != kHttp2Preface.substr(0, first.size())) break;
      http2 = first.size() == kHttp2Preface.size();
      if (http2) break;
      const Filled filled = co_await fill();
      timed_out = filled == Filled::kTimeout;
      if (filled != Filled::kBytes) break;
    }
    // A client that says nothing at all is not worth an answer.
    if (timed_out && unread().empty()) abort();
    protocol_ = http2 ? make_http2(*this) : make_http1(*this);
    if (shard_.service.draining) protocol_->drain();
    co_await protocol_->run();
  }
  co_await close();
  protocol_.reset();
}

Task<void> Connection::refuse() {
  lingers_ = true;
  set_deadline(kLinger);
  if (!secure_) {
    std::string answer;
    const std::string body = error_body(503, "the server has as many connections as it may; try again soon");
    append_head(answer, {503, BodyFraming::kLength, body.size(), false, false},
                {{"content-type", "application/json"}, {"retry-after", kRetryAfterSeconds}});
    (void)co_await write(answer + body);
  }
  co_await close();
}

}  // namespace sluice::http
