// HTTP/1.0 and 1.1 on one connection: requests one after the other, pipelined or not.

#include <charconv>

#include "server/http/connection.h"
#include "server/http/exchange.h"
#include "server/http/http1_parser.h"
#include "server/http/serialize.h"

namespace sluice::http {
namespace {

constexpr size_t kSmallBody = 16384;  // copied behind its head, to be written as one piece
constexpr uint64_t kDiscardMax = uint64_t{256}
                                 << 10;          // an unwanted body up to this is read, so that the connection lives on
constexpr size_t kReserveMax = size_t{1} << 20;  // of a body, on the word of Content-Length alone

class Http1 final : public Protocol, public Outlet {
 public:
  explicit Http1(Connection& connection)
      : connection_(connection),
        head_limits_{connection.limits().header_bytes_max, connection.limits().headers_max},
        scanner_(head_limits_) {}

  Task<void> run() override;
  void ended() override {
    if (exchange_) exchange_->lost();
  }
  void tick(Time) override {}
  void drain() override {
    draining_ = true;
    if (idle_) connection_.abort();
  }

 private:
  enum class Next { kServe, kClose };

  // The steps of one request. kClose: nothing more is to be done, an answer was given if one was due.
  Task<Next> read_head();
  Task<Next> serve_request();
  Task<Next> read_body();
  Task<Next> read_sized_body();
  Task<Next> read_chunked_body();
  Task<Next> fill_body(size_t received);
  Task<Next> refuse(Reply reply);
  Task<void> fail(ProtocolError error);
  bool body_waits() const { return framing_.chunked || framing_.content_length > 0; }

  Task<Result<void>> send_whole(int status, Headers headers, std::string body, bool length_only) override;
  Task<Result<void>> send_head(int status, Headers headers, bool body_follows) override;
  Task<Result<void>> send_chunk(std::string_view chunk) override;
  Task<Result<void>> send_end() override;
  void cut_off() override { keep_alive_ = false, cut_off_ = true; }
  bool stays_open() const { return keep_alive_ && !draining_ && !connection_.aborted(); }

  Connection& connection_;
  const HeadLimits head_limits_;
  HeadScanner scanner_;
  Framing framing_;
  std::unique_ptr<Exchange> exchange_;
  size_t body_progress_ = 0;  // bytes of the body when the deadline was last moved
  int served_ = 0;
  bool idle_ = true;  // between requests, nothing of the next one has come
  bool draining_ = false;
  bool keep_alive_ = true;
  bool cut_off_ = false;
  bool chunked_ = false;  // the answer being written
  std::string out_;
};

Task<void> Http1::run() {
  const int served_max = connection_.limits().requests_per_connection_max;
  while (keep_alive_ && !draining_) {
    if (co_await read_head() == Next::kClose) break;
    ++served_;
    if (served_max > 0 && served_ >= served_max) keep_alive_ = false;
    const Next next = co_await serve_request();
    exchange_.reset();
    if (cut_off_) connection_.abort();
    if (next == Next::kClose) break;
  }
}

Task<Http1::Next> Http1::read_head() {
  scanner_.reset();
  framing_ = {};
  cut_off_ = false;
  exchange_ = std::make_unique<Exchange>(connection_.shard(), *this);
  Request& request = exchange_->request;
  idle_ = connection_.unread().empty();
  if (idle_ && served_ > 0) connection_.set_deadline(connection_.limits().keep_alive);
  request.arrived_at = std::chrono::steady_clock::now();
  if (!idle_) connection_.set_deadline(connection_.limits().header_read);
  while (!scanner_.scan(connection_.unread())) {
    const Connection::Filled filled = co_await connection_.fill();
    if (filled == Connection::Filled::kTimeout && !idle_) {
      co_await fail({408, "the request's headers did not come in time"});
      co_return Next::kClose;
    }
    if (filled != Connection::Filled::kBytes) co_return Next::kClose;
    if (idle_) {
      idle_ = false;
      request.arrived_at = std::chrono::steady_clock::now();
      connection_.set_deadline(connection_.limits().header_read);
    }
  }
  connection_.clear_deadline();
  request.peer = connection_.peer();
  request.scheme = connection_.secure() ? "https" : "http";
  std::optional<ProtocolError> error = scanner_.error();
  if (!error) {
    const std::string_view head = connection_.unread().substr(scanner_.begin(), scanner_.end() - scanner_.begin());
    error = parse_head(head, head_limits_, request, framing_);
  }
  if (error) {
    co_await fail(std::move(*error));
    co_return Next::kClose;
  }
  connection_.consume(scanner_.end());
  keep_alive_ = keep_alive_ && framing_.keep_alive;
  co_return Next::kServe;
}

// A fault after which the bytes that follow mean nothing: answers, and the connection closes.
Task<void> Http1::fail(ProtocolError error) {
  connection_.linger();
  keep_alive_ = false;
  if (exchange_->request.method.empty()) exchange_->request.method = "GET";
  co_await exchange_->reply(make_reply(error));
}

Task<Http1::Next> Http1::serve_request() {
  if (std::optional<Reply> reply = exchange_->admit()) co_return co_await refuse(std::move(*reply));
  if (body_waits() && co_await read_body() == Next::kClose) co_return Next::kClose;
  if (connection_.at_end()) exchange_->lost();
  connection_.watch();
  co_await exchange_->run();
  co_return stays_open() ? Next::kServe : Next::kClose;
}

// Answers before the body was read. A small one is skipped; a large one, or one that waits for 100, ends the
// connection.
Task<Http1::Next> Http1::refuse(Reply reply) {
  if (body_waits()) {
    const bool small = !framing_.chunked && framing_.content_length <= kDiscardMax && !framing_.expect_continue;
    if (!small) {
      connection_.linger();
      keep_alive_ = false;
    } else {
      connection_.set_deadline(connection_.limits().header_read);
      uint64_t left = framing_.content_length;
      while (true) {
        const size_t step = static_cast<size_t>(std::min<uint64_t>(left, connection_.unread().size()));
        connection_.consume(step);
        left -= step;
        if (left == 0) break;
        if (co_await connection_.fill() != Connection::Filled::kBytes) {
          keep_alive_ = false;
          break;
        }
      }
      connection_.clear_deadline();
    }
  }
  co_await exchange_->reply(std::move(reply));
  co_return stays_open() ? Next::kServe : Next::kClose;
}

Task<Http1::Next> Http1::read_body() {
  if (framing_.content_length > exchange_->body_bytes_max()) {
    co_return co_await refuse(make_reply(
        {413, "the body is larger than the " + std::to_string(exchange_->body_bytes_max()) + " bytes allowed here"}));
  }
  if (framing_.expect_continue && connection_.unread().empty()) {
    if (!(co_await connection_.write("HTTP/1.1 100 Continue\r\n\r\n")).ok()) co_return Next::kClose;
  }
  body_progress_ = 0;
  connection_.set_deadline(connection_.limits().body_read);
  const Next next = framing_.chunked ? co_await read_chunked_body() : co_await read_sized_body();
  connection_.clear_deadline();
  co_return next;
}

// Waits for more of a body of which `received` bytes have come.
Task<Http1::Next> Http1::fill_body(size_t received) {
  if (received - body_progress_ >= kProgressBytes) {
    body_progress_ = received;
    connection_.set_deadline(connection_.limits().body_read);
  }
  switch (co_await connection_.fill()) {
    case Connection::Filled::kBytes:
      co_return Next::kServe;
    case Connection::Filled::kTimeout:
      co_await fail({408, "the request's body came too slowly"});
      break;
    case Connection::Filled::kEnd:
      if (!connection_.aborted()) co_await fail({400, "the request's body ended before its announced length"});
      break;
  }
  co_return Next::kClose;
}

Task<Http1::Next> Http1::read_sized_body() {
  std::string& body = exchange_->request.body;
  const auto length = static_cast<size_t>(framing_.content_length);
  body.reserve(std::min(length, kReserveMax));
  while (true) {
    const std::string_view bytes = connection_.unread().substr(0, length - body.size());
    body.append(bytes);
    connection_.consume(bytes.size());
    if (!exchange_->reserve_body(bytes.size())) {
      co_await fail(no_room_for_body());
      co_return Next::kClose;
    }
    if (body.size() == length) co_return Next::kServe;
    if (co_await fill_body(body.size()) == Next::kClose) co_return Next::kClose;
  }
}

Task<Http1::Next> Http1::read_chunked_body() {
  std::string& body = exchange_->request.body;
  ChunkDecoder decoder(exchange_->body_bytes_max(), head_limits_);
  while (true) {
    const size_t before = body.size();
    connection_.consume(decoder.decode(connection_.unread(), body));
    std::optional<ProtocolError> error = decoder.error();
    if (!error && !exchange_->reserve_body(body.size() - before)) {
      error = no_room_for_body();
    }
    if (error) {
      co_await fail(std::move(*error));
      co_return Next::kClose;
    }
    if (decoder.done()) co_return Next::kServe;
    if (co_await fill_body(body.size()) == Next::kClose) co_return Next::kClose;
  }
}

Task<Result<void>> Http1::send_whole(int status, Headers headers, std::string body, bool length_only) {
  const bool http10 = exchange_->request.version == Version::kHttp10;
  const BodyFraming framing = status == 204 || status == 304 ? BodyFraming::kNone : BodyFraming::kLength;
  out_.clear();
  append_head(out_, {status, framing, body.size(), http10, stays_open()}, headers);
  if (length_only) body.clear();
  if (body.size() <= kSmallBody) {
    out_ += body;
    co_return co_await connection_.write(out_);
  }
  const std::string_view pieces[] = {out_, body};
  co_return co_await connection_.write(std::span(pieces));
}

Task<Result<void>> Http1::send_head(int status, Headers headers, bool body_follows) {
  const bool http10 = exchange_->request.version == Version::kHttp10;
  chunked_ = body_follows && !http10;
  BodyFraming framing = BodyFraming::kChunked;
  if (status == 204 || status == 304) framing = BodyFraming::kNone;
  if (http10 && framing == BodyFraming::kChunked) {
    framing = BodyFraming::kToClose;
    keep_alive_ = false;
  }
  out_.clear();
  append_head(out_, {status, framing, 0, http10, stays_open()}, headers);
  co_return co_await connection_.write(out_);
}

Task<Result<void>> Http1::send_chunk(std::string_view chunk) {
  if (!chunked_) co_return co_await connection_.write(chunk);
  char size[20];
  char* end = std::to_chars(size, size + 16, chunk.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  const std::string_view pieces[] = {{size, static_cast<size_t>(end - size)}, chunk, "\r\n"};
  co_return co_await connection_.write(std::span(pieces));
}

Task<Result<void>> Http1::send_end() {
  if (!chunked_) co_return Result<void>();
  co_return co_await connection_.write("0\r\n\r\n");
}

}  // namespace

std::unique_ptr<Protocol> make_http1(Connection& connection) { return std::make_unique<Http1>(connection); }

}  // namespace sluice::http
