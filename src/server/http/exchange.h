#pragma once
// Exchange: one request and its answer, the part that HTTP/1 and HTTP/2 share: routing, CORS, authentication, limits,
// the rules of ResponseWriter, counting and the access log. Outlet: the part that differs, how the answer's bytes
// leave.

#include <optional>
#include <string>

#include "server/http/request.h"
#include "server/http/response.h"
#include "server/http/shard.h"
#include "server/http/uri.h"

namespace sluice::http {

class Outlet {
 public:
  virtual ~Outlet() = default;
  // `length_only`: the answer to a HEAD: the body's length is told, the body is not sent.
  virtual Task<Result<void>> send_whole(int status, Headers headers, std::string body, bool length_only) = 0;
  // `body_follows` false: send_chunk is never called.
  virtual Task<Result<void>> send_head(int status, Headers headers, bool body_follows) = 0;
  virtual Task<Result<void>> send_chunk(std::string_view chunk) = 0;
  virtual Task<Result<void>> send_end() = 0;
  // The answer stays unfinished, and the client must see that.
  virtual void cut_off() = 0;
};

// An answer made by this layer.
struct Reply {
  int status = 200;
  Headers headers;
  std::string body;
};
Reply make_reply(const ProtocolError& error);  // 503 comes with Retry-After
ProtocolError no_room_for_body();              // for a reserve_body that failed

class Exchange final : public ResponseWriter {
 public:
  Exchange(Shard& shard, Outlet& outlet);
  ~Exchange() override;
  Exchange(const Exchange&) = delete;

  Request request;

  // Asked once when the request's head is read and before its body is: the answer, if it is not for the route to give.
  std::optional<Reply> admit();
  // Valid after admit() returned nothing.
  size_t body_bytes_max() const;
  // Takes `bytes` more of the room that all bodies share; false when there is none.
  bool reserve_body(size_t bytes);

  // Gives the request to its route; returns when the answer has ended, however.
  Task<void> run();
  // Answers with `reply` instead.
  Task<void> reply(Reply reply);
  // The client has gone. Tells the handler, once.
  void lost();

  // After run or reply: false when the answer was cut off or never sent.
  bool finished() const { return state_ == State::kFinished; }

  Task<Result<void>> send(int status, Headers headers, std::string body) override;
  Task<Result<void>> start(int status, Headers headers) override;
  Task<Result<void>> write(std::string_view chunk) override;
  Task<Result<void>> finish() override;
  bool started() const override { return state_ != State::kNew; }
  bool disconnected() const override { return lost_; }
  void on_disconnect(std::function<void()> function) override;

 private:
  enum class State { kNew, kStreaming, kFinished, kBroken };
  std::optional<Reply> admit_options(std::string_view raw_path, const Router::Match& match);
  std::optional<Reply> authenticate(const Route& route);
  bool origin_allowed(std::string_view origin) const;
  void add_common_headers(Headers& headers) const;
  Task<void> answer();
  void record();

  Shard& shard_;
  Outlet& outlet_;
  const Route* route_ = nullptr;
  int route_index_ = -1;
  State state_ = State::kNew;
  bool lost_ = false;
  std::function<void()> on_disconnect_;
  int status_ = 499;
  uint64_t response_bytes_ = 0;
  size_t body_reserved_ = 0;
};

}  // namespace sluice::http
