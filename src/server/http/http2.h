#pragma once
// HTTP/2 on one connection: nghttp2 keeps the protocol's state; here its streams become exchanges. http2.cc: sending,
// routes, the connection's course. http2_receive.cc: what the client sends. Included by these two alone.
//
// Rules for the callbacks of nghttp2: they note what happened and resume nothing. What they noted (ready_, woken_) is
// acted on after nghttp2 has returned, because a resumed route may do anything, also end its stream.

#include <nghttp2/nghttp2.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/connection.h"
#include "server/http/exchange.h"

namespace sluice::http {

inline constexpr double kResetBurst = 200;  // streams that may die unanswered at once

class Http2;

struct Http2Stream final : public Outlet {
  Http2Stream(Http2& owner, Shard& shard, int32_t stream_id)
      : connection(owner), id(stream_id), exchange(shard, *this) {}

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
  std::string path;  // :path
  size_t header_bytes = 0;
  size_t header_count = 0;
  std::optional<Reply> reply;  // an answer that needs no route
  bool headers_done = false;
  bool request_ended = false;
  bool dispatched = false;
  size_t body_progress = 0;
  Time body_deadline = Time::max();
  Time discard_deadline = Time::max();  // answered before its body had come: how long the rest may take
  // The answer
  std::string out;  // bytes for DATA frames, from out_begin on
  size_t out_begin = 0;
  bool out_ended = false;             // no more will be added
  bool end_sent = false;              // END_STREAM is in a frame
  bool too_slow = false;              // reset because the client did not read
  bool closed = false;                // nghttp2 knows the stream no more
  std::optional<Time> stalled_since;  // unsent bytes have not moved since
  size_t wait_until_below = 0;
  std::coroutine_handle<> waiter;  // a route waiting for unsent() to sink
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
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t flags, void* self);
  static int on_data(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* bytes, size_t size, void* self);
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int on_close(nghttp2_session*, int32_t id, uint32_t error, void* self);
  static ssize_t read_out(nghttp2_session*, int32_t id, uint8_t* into, size_t size, uint32_t* flags,
                          nghttp2_data_source* source, void* self);

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
  int running_ = 0;  // serve() coroutines
  int served_ = 0;
  bool in_session_ = false;  // nghttp2 is on the stack
  bool pumping_ = false;
  bool scheduled_ = false;
  bool draining_ = false;
  bool goaway_sent_ = false;
  bool broken_ = false;  // the session cannot go on
  bool ended_ = false;
  bool idle_ = true;
  bool settings_came_ = false;
  int continuations_ = 0;
  std::optional<Time> header_block_since_;
  double reset_tokens_ = kResetBurst;
  Time reset_refilled_ = std::chrono::steady_clock::now();
  std::coroutine_handle<> end_waiter_;  // run(), when only coroutines are left to end
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

inline std::string_view text_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace sluice::http
