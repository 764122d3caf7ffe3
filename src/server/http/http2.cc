// HTTP/2 on one connection: nghttp2 keeps the protocol's state; here its streams become exchanges.
//
// Rules for the callbacks of nghttp2: they note what happened and resume nothing. What they noted (ready_, woken_) is
// acted on after nghttp2 has returned, because a resumed route may do anything, also end its stream.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>

#include "base/strings.h"
#include "server/http/connection.h"
#include "server/http/exchange.h"
#include "server/http/http1_parser.h"
#include "server/http/serialize.h"

namespace sluice::http {
namespace {

constexpr size_t kHighWater = size_t{64} << 10;       // of a stream's unsent bytes: its route waits from here
constexpr size_t kLowWater = size_t{16} << 10;        // … to here
constexpr size_t kWriteBytes = size_t{64} << 10;      // frames gathered for one write
constexpr size_t kProgressBytes = size_t{64} << 10;   // of a request's body, that each deadline must bring
constexpr int32_t kConnectionWindow = 4 << 20;        // bytes a client may send ahead of us, in all
constexpr uint32_t kStreamWindow = 1 << 20;           // … per stream
constexpr int kContinuationsMax = 64;                 // frames of one header block
constexpr size_t kQueuedFramesMax = 4096;             // unsent
constexpr double kResetBurst = 200;                   // streams that may die unanswered: at once,
constexpr double kResetsPerSecond = 50;               // and for long (CVE-2023-44487)

class Http2;

struct Http2Stream final : public Outlet {
  Http2Stream(Http2& owner, Shard& shard, int32_t stream_id) : connection(owner), id(stream_id), exchange(shard, *this) {}

  Task<Result<void>> send_whole(int status, Headers headers, std::string body, bool length_only) override;
  Task<Result<void>> send_head(int status, Headers headers, bool body_follows) override;
  Task<Result<void>> send_chunk(std::string_view chunk) override;
  Task<Result<void>> send_end() override;
  void cut_off() override;

  size_t unsent() const { return out.size() - out_begin; }

  Http2& connection;
  const int32_t id;
  Exchange exchange;
  // The request
  std::string path;                  // :path
  size_t header_bytes = 0;
  size_t header_count = 0;
  std::optional<Reply> reply;        // an answer that needs no route
  bool headers_done = false;
  bool request_ended = false;
  bool dispatched = false;
  size_t body_progress = 0;
  Time body_deadline = Time::max();
  // The answer
  std::string out;                   // bytes for DATA frames, from out_begin on
  size_t out_begin = 0;
  bool out_ended = false;            // no more will be added
  bool end_sent = false;             // END_STREAM is in a frame
  bool too_slow = false;             // reset because the client did not read
  bool closed = false;               // nghttp2 knows the stream no more
  std::optional<Time> stalled_since; // unsent bytes have not moved since
  size_t wait_until_below = 0;
  std::coroutine_handle<> waiter;    // a route waiting for unsent() to sink
};

class Http2 final : public Protocol {
 public:
  explicit Http2(Connection& connection);
  ~Http2() override { nghttp2_session_del(session_); }

  Task<void> run() override;
  void ended() override;
  void tick(Time now) override;
  void drain() override;

  // For streams
  Task<Result<void>> wait_below(Http2Stream& stream, size_t unsent_max);
  void submit_head(Http2Stream& stream, int status, const Headers& headers, std::optional<uint64_t> length, bool body);
  void resume(Http2Stream& stream);
  void reset(Http2Stream& stream, uint32_t error);

 private:
  using StreamPointer = std::shared_ptr<Http2Stream>;

  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* self);
  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size, const uint8_t* value,
                       size_t value_size, uint8_t flags, void* self);
  static int on_data(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* bytes, size_t size, void* self);
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int on_close(nghttp2_session*, int32_t id, uint32_t error, void* self);
  static ssize_t read_out(nghttp2_session*, int32_t id, uint8_t* into, size_t size, uint32_t* flags, nghttp2_data_source* source, void* self);

  void headers_came(const StreamPointer& stream);
  void body_came(const StreamPointer& stream, std::string_view bytes);
  void request_came(const StreamPointer& stream);
  void answer_early(const StreamPointer& stream, Reply reply);
  void count_reset();

  bool feed();
  void act();  // on what callbacks noted
  void dispatch(const StreamPointer& stream);
  Task<void> serve(StreamPointer stream);
  void schedule();
  void kick();
  Task<void> pump();
  bool woke_any();
  bool may_end() const;
  void check_end();
  void lose_all();

  Connection& connection_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, StreamPointer> streams_;  // open
  std::deque<StreamPointer> ready_;           // to be given to their routes
  std::deque<StreamPointer> woken_;           // closed, or with room again
  std::string write_buffer_;
  int running_ = 0;                           // serve() coroutines
  int served_ = 0;
  bool in_session_ = false;                   // nghttp2 is on the stack
  bool pumping_ = false;
  bool scheduled_ = false;
  bool draining_ = false;
  bool goaway_sent_ = false;
  bool broken_ = false;                       // the session cannot go on
  bool ended_ = false;
  bool idle_ = true;
  bool settings_came_ = false;
  int continuations_ = 0;
  std::optional<Time> header_block_since_;
  double reset_tokens_ = kResetBurst;
  Time reset_refilled_ = std::chrono::steady_clock::now();
  std::coroutine_handle<> end_waiter_;        // run(), when only coroutines are left to end
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

struct SuspendIn {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) { waiter = coroutine; }
  void await_resume() {}
  std::coroutine_handle<>& waiter;
};

Error gone() { return {ErrorCode::kCancelled, "the client has closed the stream", {}, {}}; }

std::string_view text_of(const uint8_t* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }

Http2::Http2(Connection& connection) : connection_(connection) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* options = nullptr;
  SLUICE_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&options) == 0, "out of memory");
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  nghttp2_option_set_max_settings(options, 32);
  nghttp2_option_set_max_outbound_ack(options, 256);
  nghttp2_option_set_no_closed_streams(options, 1);
  SLUICE_CHECK(nghttp2_session_server_new2(&session_, callbacks, this, options) == 0, "out of memory");
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(options);
  const std::array<nghttp2_settings_entry, 3> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<uint32_t>(connection.limits().streams_max)},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(connection.limits().header_bytes_max)},
  }};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

// What the client sends --------------------------------------------------------------------------------------------------

int Http2::on_begin_frame(nghttp2_session* session, const nghttp2_frame_hd* head, void* self) {
  Http2& http2 = *static_cast<Http2*>(self);
  http2.continuations_ = head->type == NGHTTP2_CONTINUATION ? http2.continuations_ + 1 : 0;
  if (http2.continuations_ > kContinuationsMax) {
    nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    http2.broken_ = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  return 0;
}

int Http2::on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  Http2& http2 = *static_cast<Http2*>(self);
  http2.header_block_since_ = std::chrono::steady_clock::now();
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const int32_t id = frame->hd.stream_id;
  auto stream = std::make_shared<Http2Stream>(http2, http2.connection_.shard(), id);
  stream->exchange.request.arrived_at = *http2.header_block_since_;
  nghttp2_session_set_stream_user_data(session, id, stream.get());
  http2.streams_.emplace(id, std::move(stream));
  return 0;
}

int Http2::on_header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name_bytes, size_t name_size,
                     const uint8_t* value_bytes, size_t value_size, uint8_t, void* self) {
  Http2& http2 = *static_cast<Http2*>(self);
  auto* stream = static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
  if (stream == nullptr || stream->headers_done) return 0;  // a trailer
  const ServerLimits& limits = http2.connection_.limits();
  stream->header_bytes += name_size + value_size + 4;
  const std::string_view name = text_of(name_bytes, name_size);
  const std::string_view value = text_of(value_bytes, value_size);
  if (name.empty() || name[0] != ':') ++stream->header_count;
  if (stream->header_bytes > limits.header_bytes_max || stream->header_count > limits.headers_max) return 0;
  Request& request = stream->exchange.request;
  if (name == ":method") {
    request.method = value;
  } else if (name == ":path") {
    stream->path = value;
  } else if (name == ":authority") {
    request.host = value;
  } else if (!name.empty() && name[0] != ':') {
    request.headers.add(name, value);
  }
  return 0;
}

int Http2::on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* self) {
  Http2& http2 = *static_cast<Http2*>(self);
  if (const auto found = http2.streams_.find(id); found != http2.streams_.end()) http2.body_came(found->second, text_of(bytes, size));
  return 0;
}

int Http2::on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  Http2& http2 = *static_cast<Http2*>(self);
  if (frame->hd.type == NGHTTP2_SETTINGS) http2.settings_came_ = true;
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS) http2.header_block_since_.reset();
  const auto found = http2.streams_.find(frame->hd.stream_id);
  if (found == http2.streams_.end()) return 0;
  const StreamPointer stream = found->second;
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (end) stream->request_ended = true;
  if (frame->hd.type == NGHTTP2_HEADERS && !stream->headers_done) http2.headers_came(stream);
  if (end) http2.request_came(stream);
  return 0;
}

int Http2::on_close(nghttp2_session*, int32_t id, uint32_t, void* self) {
  Http2& http2 = *static_cast<Http2*>(self);
  const auto found = http2.streams_.find(id);
  if (found == http2.streams_.end()) return 0;
  found->second->closed = true;
  if (!found->second->end_sent) http2.count_reset();
  http2.woken_.push_back(std::move(found->second));
  http2.streams_.erase(found);
  return 0;
}

// A client that opens and resets streams makes us work for nothing.
void Http2::count_reset() {
  const Time now = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - reset_refilled_).count();
  reset_refilled_ = now;
  reset_tokens_ = std::min(kResetBurst, reset_tokens_ + seconds * kResetsPerSecond) - 1;
  if (reset_tokens_ < 0) {
    reset_tokens_ = kResetBurst;
    nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

void Http2::headers_came(const StreamPointer& stream) {
  stream->headers_done = true;
  const ServerLimits& limits = connection_.limits();
  Exchange& exchange = stream->exchange;
  Request& request = exchange.request;
  request.version = Version::kHttp2;
  request.peer = connection_.peer();
  request.scheme = connection_.secure() ? "https" : "http";
  if (request.host.empty()) request.host = request.headers.get("host");
  if (stream->header_bytes > limits.header_bytes_max || stream->header_count > limits.headers_max) {
    return answer_early(stream, make_reply({431, "the request's headers are too many or too large together"}));
  }
  std::optional<ProtocolError> error;
  if (request.method == "CONNECT") {
    error = ProtocolError{501, "CONNECT is not supported: this server is no proxy"};
  } else if (!valid_host(request.host)) {
    error = ProtocolError{400, ":authority has a character that no host name has"};
  } else if (stream->path.empty() || (stream->path[0] != '/' && stream->path != "*")) {
    error = ProtocolError{400, ":path must begin with '/'"};
  } else {
    error = read_target(stream->path, request);
  }
  if (error) return answer_early(stream, make_reply(*error));
  if (std::optional<Reply> reply = exchange.admit()) return answer_early(stream, std::move(*reply));
  // nghttp2 has checked that it is a number and will check that it is true.
  const std::string_view length = request.headers.get("content-length");
  if (length.size() > 18 || (!length.empty() && std::stoull(std::string(length)) > exchange.body_bytes_max())) {
    return answer_early(stream, make_reply({413, cat("the body is larger than the ", exchange.body_bytes_max(), " bytes allowed here")}));
  }
  if (stream->request_ended) return;
  stream->body_deadline = std::chrono::steady_clock::now() + limits.body_read;
  if (equals_ignoring_case(request.headers.get("expect"), "100-continue")) {
    static constexpr char kName[] = ":status", kValue[] = "100";
    const nghttp2_nv field = {reinterpret_cast<uint8_t*>(const_cast<char*>(kName)),
                              reinterpret_cast<uint8_t*>(const_cast<char*>(kValue)), 7, 3, NGHTTP2_NV_FLAG_NONE};
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream->id, nullptr, &field, 1, nullptr);
  }
}

void Http2::body_came(const StreamPointer& stream, std::string_view bytes) {
  if (stream->dispatched || !stream->headers_done) return;  // already answered: the rest is of no interest
  Exchange& exchange = stream->exchange;
  std::string& body = exchange.request.body;
  if (bytes.size() > exchange.body_bytes_max() - body.size()) {
    return answer_early(stream, make_reply({413, cat("the body is larger than the ", exchange.body_bytes_max(), " bytes allowed here")}));
  }
  if (!exchange.reserve_body(bytes.size())) return answer_early(stream, make_reply(no_room_for_body()));
  body.append(bytes);
  if (body.size() - stream->body_progress >= kProgressBytes) {
    stream->body_progress = body.size();
    stream->body_deadline = std::chrono::steady_clock::now() + connection_.limits().body_read;
  }
}

void Http2::answer_early(const StreamPointer& stream, Reply reply) {
  stream->reply = std::move(reply);
  request_came(stream);
}

void Http2::request_came(const StreamPointer& stream) {
  stream->body_deadline = Time::max();
  if (std::exchange(stream->dispatched, true)) return;
  ready_.push_back(stream);
}

// False when the connection cannot go on.
bool Http2::feed() {
  const std::string_view bytes = connection_.unread();
  if (bytes.empty()) return true;
  in_session_ = true;
  const ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  in_session_ = false;
  connection_.consume(bytes.size());
  return used >= 0;
}

// What we send -----------------------------------------------------------------------------------------------------------

ssize_t Http2::read_out(nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags, nghttp2_data_source* source, void* self) {
  Http2& http2 = *static_cast<Http2*>(self);
  auto& stream = *static_cast<Http2Stream*>(source->ptr);
  const size_t step = std::min(size, stream.unsent());
  if (step == 0 && !stream.out_ended) return NGHTTP2_ERR_DEFERRED;
  std::copy_n(stream.out.data() + stream.out_begin, step, into);
  stream.out_begin += step;
  stream.stalled_since.reset();
  if (stream.unsent() == 0) {
    stream.out.clear();
    stream.out_begin = 0;
    if (stream.out_ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      stream.end_sent = true;
    }
  } else {
    stream.stalled_since = std::chrono::steady_clock::now();
  }
  if (stream.waiter && (stream.unsent() <= stream.wait_until_below)) {
    if (const auto found = http2.streams_.find(stream.id); found != http2.streams_.end()) http2.woken_.push_back(found->second);
  }
  return static_cast<ssize_t>(step);
}

void Http2::submit_head(Http2Stream& stream, int status, const Headers& headers, std::optional<uint64_t> length, bool body) {
  std::vector<std::pair<std::string, std::string>> fields;
  fields.reserve(headers.size() + 3);
  fields.emplace_back(":status", std::to_string(status));
  for (size_t i = 0; i < headers.size(); ++i) {
    if (!sendable_name(headers.name(i))) continue;
    std::string storage;
    fields.emplace_back(to_lower_ascii(headers.name(i)), std::string(sendable_value(headers.value(i), storage)));
  }
  fields.emplace_back("date", std::string(http_date()));
  if (length) fields.emplace_back("content-length", std::to_string(*length));
  std::vector<nghttp2_nv> values;
  values.reserve(fields.size());
  for (auto& [name, value] : fields) {
    values.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = read_out;
  if (!body) stream.end_sent = true;
  nghttp2_submit_response(session_, stream.id, values.data(), values.size(), body ? &provider : nullptr);
  schedule();
}

void Http2::resume(Http2Stream& stream) {
  if (!stream.stalled_since && stream.unsent() > 0) stream.stalled_since = std::chrono::steady_clock::now();
  nghttp2_session_resume_data(session_, stream.id);
  schedule();
}

void Http2::reset(Http2Stream& stream, uint32_t error) {
  if (stream.closed) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error);
  schedule();
}

Task<Result<void>> Http2::wait_below(Http2Stream& stream, size_t unsent_max) {
  while (stream.unsent() > unsent_max && !stream.closed && !stream.exchange.disconnected()) {
    stream.wait_until_below = unsent_max;
    co_await SuspendIn{stream.waiter};
  }
  if (stream.too_slow) co_return Error{ErrorCode::kDeadlineExceeded, "the client did not read its stream", {}, {}};
  if (stream.exchange.disconnected() || (stream.closed && !stream.end_sent)) co_return gone();
  co_return Result<void>();
}

Task<Result<void>> Http2Stream::send_whole(int status, Headers headers, std::string body, bool length_only) {
  if (closed) co_return gone();
  const bool has_body = !length_only && !body.empty();
  const bool tell_length = status != 204 && status != 304;
  const size_t length = body.size();
  if (has_body) out = std::move(body);
  out_ended = true;
  connection.submit_head(*this, status, headers, tell_length ? std::optional<uint64_t>(length) : std::nullopt, has_body);
  if (!has_body) co_return Result<void>();
  stalled_since = std::chrono::steady_clock::now();
  co_return co_await connection.wait_below(*this, 0);
}

Task<Result<void>> Http2Stream::send_head(int status, Headers headers, bool body_follows) {
  if (closed) co_return gone();
  connection.submit_head(*this, status, headers, std::nullopt, body_follows);
  co_return Result<void>();
}

Task<Result<void>> Http2Stream::send_chunk(std::string_view chunk) {
  if (closed) co_return gone();
  if (out_begin > kHighWater) {
    out.erase(0, out_begin);
    out_begin = 0;
  }
  out += chunk;
  connection.resume(*this);
  if (unsent() <= kHighWater) co_return Result<void>();
  co_return co_await connection.wait_below(*this, kLowWater);
}

Task<Result<void>> Http2Stream::send_end() {
  if (closed) co_return gone();
  out_ended = true;
  connection.resume(*this);
  co_return co_await connection.wait_below(*this, 0);
}

void Http2Stream::cut_off() { connection.reset(*this, NGHTTP2_INTERNAL_ERROR); }

// Gathers what the handlers of one turn of the loop have to say into few writes.
void Http2::schedule() {
  if (in_session_ || pumping_ || scheduled_) return;
  IoThread* thread = connection_.shard().thread;
  if (thread == nullptr) return kick();
  scheduled_ = true;
  thread->post([this, alive = std::weak_ptr<int>(alive_), connection = connection_.shared_from_this()] {
    if (alive.expired()) return;
    scheduled_ = false;
    kick();
  });
}

void Http2::kick() {
  if (!pumping_ && !in_session_) spawn(pump());
}

Task<void> Http2::pump() {
  pumping_ = true;
  while (true) {
    write_buffer_.clear();
    in_session_ = true;
    while (write_buffer_.size() < kWriteBytes) {
      const uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size < 0) broken_ = true;
      if (size <= 0) break;
      write_buffer_.append(text_of(bytes, static_cast<size_t>(size)));
    }
    in_session_ = false;
    const bool woke = woke_any();
    if (write_buffer_.empty()) {
      if (woke) continue;
      break;
    }
    if (!(co_await connection_.write(write_buffer_)).ok()) break;
  }
  pumping_ = false;
  if (write_buffer_.capacity() > 2 * kWriteBytes) write_buffer_ = {};
  check_end();
}

// Routes ------------------------------------------------------------------------------------------------------------------

bool Http2::woke_any() {
  bool any = false;
  while (!woken_.empty()) {
    const StreamPointer stream = std::move(woken_.front());
    woken_.pop_front();
    any = true;
    if (stream->closed && !stream->end_sent) stream->exchange.lost();
    if (const auto waiter = std::exchange(stream->waiter, nullptr)) waiter.resume();
  }
  return any;
}

void Http2::act() {
  woke_any();
  while (!ready_.empty()) {
    const StreamPointer stream = std::move(ready_.front());
    ready_.pop_front();
    if (!stream->closed) dispatch(stream);
  }
  kick();
}

void Http2::dispatch(const StreamPointer& stream) {
  // Streams that were reset no longer count for nghttp2, but their routes may still be running.
  if (running_ >= 2 * connection_.limits().streams_max) return reset(*stream, NGHTTP2_REFUSED_STREAM);
  const int served_max = connection_.limits().requests_per_connection_max;
  if (served_max > 0 && ++served_ >= served_max) drain();
  spawn(serve(stream));
}

Task<void> Http2::serve(StreamPointer stream) {
  ++running_;
  Exchange& exchange = stream->exchange;
  if (stream->reply) {
    co_await exchange.reply(std::move(*stream->reply));
  } else {
    co_await exchange.run();
  }
  // The answer is whole; what the client still sends of its request is not wanted.
  if (!stream->request_ended && exchange.finished()) reset(*stream, NGHTTP2_NO_ERROR);
  --running_;
  check_end();
}

void Http2::lose_all() {
  std::vector<StreamPointer> all;
  for (const auto& [id, stream] : streams_) all.push_back(stream);
  for (const StreamPointer& stream : all) stream->exchange.lost();
}

void Http2::ended() { lose_all(); }

void Http2::drain() {
  if (ended_ || std::exchange(draining_, true)) return;
  if (streams_.empty() && running_ == 0) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr, 0);
    goaway_sent_ = true;
  } else {
    // Requests under way when this reaches the client are still served; the last word follows with the next tick.
    nghttp2_submit_shutdown_notice(session_);
  }
  schedule();
}

void Http2::tick(Time now) {
  if (ended_) return;
  if (header_block_since_ && now - *header_block_since_ > connection_.limits().header_read) return connection_.abort();
  if (draining_ && !goaway_sent_) {
    goaway_sent_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr, 0);
    schedule();
  }
  std::vector<StreamPointer> all;
  for (const auto& [id, stream] : streams_) all.push_back(stream);
  for (const StreamPointer& stream : all) {
    if (stream->stalled_since && now - *stream->stalled_since > connection_.limits().write_stall) {
      stream->stalled_since.reset();
      stream->too_slow = true;
      reset(*stream, NGHTTP2_CANCEL);
    } else if (now > stream->body_deadline) {
      answer_early(stream, make_reply({408, "the request's body came too slowly"}));
    }
  }
  if (!ready_.empty()) act();
  const bool idle = streams_.empty() && running_ == 0;
  if (idle && !idle_) connection_.set_deadline(connection_.limits().keep_alive);
  if (!idle && idle_) connection_.clear_deadline();
  idle_ = idle;
  check_end();
}

// The connection ----------------------------------------------------------------------------------------------------------

bool Http2::may_end() const {
  if (pumping_ || running_ > 0 || scheduled_) return false;
  if (broken_) return true;
  if (goaway_sent_ && streams_.empty()) return true;
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

void Http2::check_end() {
  if (end_waiter_) {
    if (!pumping_ && running_ == 0) std::exchange(end_waiter_, nullptr).resume();
  } else if (may_end()) {
    connection_.interrupt();
  }
}

Task<void> Http2::run() {
  kick();
  while (true) {
    const bool sound = feed();
    if (settings_came_ && idle_ && served_ == 0 && streams_.empty()) connection_.set_deadline(connection_.limits().keep_alive);
    act();
    if (!sound) broken_ = true;
    // It sends what must be answered and does not read the answers.
    if (nghttp2_session_get_outbound_queue_size(session_) > kQueuedFramesMax) connection_.abort();
    if (may_end()) break;
    if (!streams_.empty() && std::exchange(idle_, false)) connection_.clear_deadline();
    const Connection::Filled filled = co_await connection_.fill();
    if (filled == Connection::Filled::kBytes) continue;
    if (filled == Connection::Filled::kTimeout && !may_end()) {
      if (!idle_) continue;
      nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr, 0);
      kick();
    }
    break;
  }
  ended_ = true;
  connection_.linger();
  connection_.clear_deadline();
  lose_all();
  for (const auto& [id, stream] : streams_) woken_.push_back(stream);
  woke_any();
  while (pumping_ || running_ > 0) co_await SuspendIn{end_waiter_};
}

}  // namespace

std::unique_ptr<Protocol> make_http2(Connection& connection) { return std::make_unique<Http2>(connection); }

}  // namespace sluice::http
