#include "server/http/http2.h"

#include <algorithm>

#include "base/strings.h"
#include "server/http/serialize.h"

namespace sluice::http {
namespace {

constexpr size_t kHighWater = size_t{64} << 10;   // of a stream's unsent bytes: its route waits from here
constexpr size_t kLowWater = size_t{16} << 10;    // … to here
constexpr size_t kWriteBytes = size_t{64} << 10;  // frames gathered for one write
constexpr size_t kQueuedFramesMax = 4096;         // unsent
// How long a client may go on sending a body that is not wanted. Many that are reset while they send never read the
// answer that came before.
constexpr std::chrono::milliseconds kDiscard{2000};

struct SuspendIn {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) { waiter = coroutine; }
  void await_resume() {}
  std::coroutine_handle<>& waiter;
};

Error stream_gone() { return {ErrorCode::kCancelled, "the client has closed the stream", {}, {}}; }

}  // namespace

// What we send
// -----------------------------------------------------------------------------------------------------------

ssize_t Http2::read_out(nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags,
                        nghttp2_data_source* source, void* self) {
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
    if (const auto found = http2.streams_.find(stream.id); found != http2.streams_.end())
      http2.woken_.push_back(found->second);
  }
  return static_cast<ssize_t>(step);
}

void Http2::submit_head(Http2Stream& stream, int status, const Headers& headers, std::optional<uint64_t> length,
                        bool body) {
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
    values.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
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
  if (stream.exchange.disconnected() || (stream.closed && !stream.end_sent)) co_return stream_gone();
  co_return Result<void>();
}

Task<Result<void>> Http2Stream::send_whole(int status, Headers headers, std::string body, bool length_only) {
  if (closed) co_return stream_gone();
  const bool has_body = !length_only && !body.empty();
  const bool tell_length = status != 204 && status != 304;
  const size_t length = body.size();
  if (has_body) out = std::move(body);
  out_ended = true;
  connection.submit_head(*this, status, headers, tell_length ? std::optional<uint64_t>(length) : std::nullopt,
                         has_body);
  if (!has_body) co_return Result<void>();
  stalled_since = std::chrono::steady_clock::now();
  co_return co_await connection.wait_below(*this, 0);
}

Task<Result<void>> Http2Stream::send_head(int status, Headers headers, bool body_follows) {
  if (closed) co_return stream_gone();
  connection.submit_head(*this, status, headers, std::nullopt, body_follows);
  co_return Result<void>();
}

Task<Result<void>> Http2Stream::send_chunk(std::string_view chunk) {
  if (closed) co_return stream_gone();
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
  if (closed) co_return stream_gone();
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

// Routes
// ------------------------------------------------------------------------------------------------------------------

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
  // The answer is whole; what the client still sends of its request is read and forgotten, for a while.
  if (!stream->request_ended && exchange.finished())
    stream->discard_deadline = std::chrono::steady_clock::now() + kDiscard;
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
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                          NGHTTP2_NO_ERROR, nullptr, 0);
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
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                          NGHTTP2_NO_ERROR, nullptr, 0);
    schedule();
  }
  std::vector<StreamPointer> all;
  for (const auto& [id, stream] : streams_) all.push_back(stream);
  for (const StreamPointer& stream : all) {
    if (stream->stalled_since && now - *stream->stalled_since > connection_.limits().write_stall) {
      stream->stalled_since.reset();
      stream->too_slow = true;
      reset(*stream, NGHTTP2_CANCEL);
    } else if (now > stream->discard_deadline || (draining_ && stream->discard_deadline != Time::max())) {
      stream->discard_deadline = Time::max();
      reset(*stream, NGHTTP2_NO_ERROR);
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

// The connection
// ----------------------------------------------------------------------------------------------------------

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
    if (settings_came_ && idle_ && served_ == 0 && streams_.empty())
      connection_.set_deadline(connection_.limits().keep_alive);
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
      nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                            NGHTTP2_NO_ERROR, nullptr, 0);
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

std::unique_ptr<Protocol> make_http2(Connection& connection) { return std::make_unique<Http2>(connection); }

}  // namespace sluice::http
