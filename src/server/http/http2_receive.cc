#include <algorithm>
#include <array>

#include "base/strings.h"
#include "server/http/http1_parser.h"
#include "server/http/http2.h"

namespace sluice::http {
namespace {

constexpr int32_t kConnectionWindow = 4 << 20;  // bytes a client may send ahead of us, in all
constexpr uint32_t kStreamWindow = 1 << 20;     // … per stream
constexpr int kContinuationsMax = 64;           // frames of one header block
constexpr double kResetsPerSecond = 50;         // and for long (CVE-2023-44487)

}  // namespace

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
  if (const auto found = http2.streams_.find(id); found != http2.streams_.end())
    http2.body_came(found->second, text_of(bytes, size));
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
    return answer_early(
        stream,
        make_reply({413, cat("the body is larger than the ", exchange.body_bytes_max(), " bytes allowed here")}));
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
    return answer_early(
        stream,
        make_reply({413, cat("the body is larger than the ", exchange.body_bytes_max(), " bytes allowed here")}));
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

}  // namespace sluice::http
