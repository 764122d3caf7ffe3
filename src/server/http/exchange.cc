#include "server/http/exchange.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "server/http/status.h"

namespace sluice::http {
namespace {

constexpr std::string_view kJsonType = "application/json";
constexpr size_t kRequestIdMax = 128;
constexpr size_t kShownPathMax = 200;

bool sound_request_id(std::string_view id) {
  return !id.empty() && id.size() <= kRequestIdMax && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == ':';
  });
}

Reply error_reply(int status, std::string_view message) {
  Reply reply{status, {{"content-type", kJsonType}}, error_body(status, message)};
  if (status == 503) reply.headers.add("retry-after", kRetryAfterSeconds);
  return reply;
}

Reply error_reply(const Error& error) {
  const ErrorStatus status = error_status(error.code);
  Reply reply{status.status, {{"content-type", kJsonType}}, error_body(error)};
  if (status.retry_later) reply.headers.add("retry-after", kRetryAfterSeconds);
  if (error.code == ErrorCode::kUnauthenticated) reply.headers.add("www-authenticate", "Bearer");
  return reply;
}

// A path as part of a message.
std::string shortened(const std::string& path) {
  return path.size() <= kShownPathMax ? path
                                      : path.substr(0, utf8_complete_prefix(path.substr(0, kShownPathMax))) + "…";
}

Task<Result<void>> failed(Error error) { co_return error; }
Task<Result<void>> nothing_to_do() { co_return Result<void>(); }

Error gone() { return {ErrorCode::kCancelled, "the client has closed the connection", {}, {}}; }
Error misused(std::string message) { return {ErrorCode::kInternal, std::move(message), {}, {}}; }

bool bodyless(int status) { return status == 204 || status == 304 || status < 200; }

}  // namespace

Reply make_reply(const ProtocolError& error) { return error_reply(error.status, error.message); }

ProtocolError no_room_for_body() {
  return {503, "the server holds as many bytes of requests as it may; try again soon"};
}

Exchange::Exchange(Shard& shard, Outlet& outlet) : shard_(shard), outlet_(outlet) {}

Exchange::~Exchange() { shard_.service.body_bytes -= body_reserved_; }

bool Exchange::origin_allowed(std::string_view origin) const {
  const std::vector<std::string>& allowed = shard_.service.options.allowed_origins;
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& one) { return one == "*" || one == origin; });
}

void Exchange::add_common_headers(Headers& headers) const {
  if (!request.id.empty()) headers.set("x-request-id", request.id);
  if (shard_.service.options.allowed_origins.empty()) return;
  headers.add("vary", "Origin");
  const std::optional<std::string_view> origin = request.headers.find("origin");
  if (origin && origin_allowed(*origin)) {
    headers.add("access-control-allow-origin", *origin);
    headers.add("access-control-expose-headers", "x-request-id, retry-after");
  }
}

std::optional<Reply> Exchange::authenticate(const Route& route) {
  const auto& hook = shard_.service.options.authenticate;
  if (route.is_public || !hook) return std::nullopt;
  const Result<void> entered = hook(request, route);
  if (entered.ok()) return std::nullopt;
  Reply reply = error_reply(entered.error());
  // A page that a person opens: the browser asks for the password. Scripts accept no HTML and are not disturbed.
  const bool page =
      request.method == "GET" && request.headers.get("accept").find("text/html") != std::string_view::npos;
  if (page && entered.error().code == ErrorCode::kUnauthenticated)
    reply.headers.add("www-authenticate", "Basic realm=\"sluice\", charset=\"UTF-8\"");
  return reply;
}

std::optional<Reply> Exchange::admit_options(std::string_view raw_path, const Router::Match& match) {
  std::vector<std::string> methods =
      raw_path == "*" ? std::vector<std::string>{"GET", "HEAD", "POST", "OPTIONS"} : match.allowed;
  const std::optional<std::string_view> origin = request.headers.find("origin");
  const bool preflight = origin && request.headers.has("access-control-request-method");
  Reply reply{204, {{"allow", join(methods, ", ")}}, {}};
  if (preflight && origin_allowed(*origin)) {
    reply.headers.add("access-control-allow-methods", join(methods, ", "));
    const std::string_view wanted = request.headers.get("access-control-request-headers");
    if (!wanted.empty()) reply.headers.add("access-control-allow-headers", wanted);
    reply.headers.add("access-control-max-age", "600");
    return reply;
  }
  if (match.other != nullptr) {
    if (std::optional<Reply> refused = authenticate(*match.other)) return refused;
  }
  return reply;
}

std::optional<Reply> Exchange::admit() {
  const std::string_view sent_id = request.headers.get("x-request-id");
  request.id = sound_request_id(sent_id) ? std::string(sent_id) : shard_.make_request_id();
  Service& service = shard_.service;
  const std::string_view raw_path = std::string_view(request.target).substr(0, request.target.find('?'));
  Router::Match match = service.router.match(request.method, raw_path);
  if (match.route == nullptr) {
    if (request.method == "OPTIONS" && (match.other != nullptr || raw_path == "*"))
      return admit_options(raw_path, match);
    if (match.other == nullptr) {
      const std::string nearest = service.router.nearest_path(request.path);
      return error_reply(
          404, cat("there is no ", shortened(request.path), " here",
                   nearest.empty() ? "; see /openapi.json for what there is" : "; did you mean " + nearest + "?"));
    }
    if (std::optional<Reply> refused = authenticate(*match.other)) return refused;
    Reply reply = error_reply(
        405, cat(shortened(request.path), " does not take ", request.method, "; it takes ", join(match.allowed, ", ")));
    reply.headers.add("allow", join(match.allowed, ", "));
    return reply;
  }
  route_ = match.route;
  route_index_ = static_cast<int>(match.index);
  request.params = std::move(match.params);
  if (std::optional<Reply> refused = authenticate(*route_)) return refused;
  const std::string_view coding = request.headers.get("content-encoding");
  if (!coding.empty() && !equals_ignoring_case(coding, "identity")) {
    Reply reply = error_reply(415, cat("the body is encoded as '", shortened(std::string(coding)),
                                       "', which is not supported: send it as it is"));
    reply.headers.add("accept-encoding", "identity");
    return reply;
  }
  if (service.requests_running.load(std::memory_order_relaxed) >= service.options.limits.requests_max) {
    return error_reply({ErrorCode::kUnavailable, "the server runs as many requests as it may; try again soon", {}, {}});
  }
  return std::nullopt;
}

size_t Exchange::body_bytes_max() const {
  return route_ != nullptr && route_->body_bytes_max > 0 ? route_->body_bytes_max
                                                         : shard_.service.options.limits.body_bytes_max;
}

bool Exchange::reserve_body(size_t bytes) {
  std::atomic<size_t>& held = shard_.service.body_bytes;
  if (held.fetch_add(bytes, std::memory_order_relaxed) + bytes > shard_.service.options.limits.body_bytes_total_max) {
    held.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  body_reserved_ += bytes;
  return true;
}

Task<void> Exchange::answer() {
  bool thrown = false;
  try {
    co_await route_->answer(request, *this);
  } catch (const std::exception& exception) {
    thrown = true;
    log::error("a route threw an exception",
               {{"route", route_->path}, {"request_id", request.id}, {"what", exception.what()}});
  } catch (...) {
    thrown = true;
    log::error("a route threw something", {{"route", route_->path}, {"request_id", request.id}});
  }
  if (state_ == State::kNew && !lost_) {
    if (!thrown) log::error("a route ended without an answer", {{"route", route_->path}, {"request_id", request.id}});
    (void)co_await send_error({ErrorCode::kInternal, "the server failed to answer; its log says why", {}, {}});
  }
}

Task<void> Exchange::run() {
  Service& service = shard_.service;
  const int running = service.requests_running.fetch_add(1, std::memory_order_relaxed) + 1;
  if (service.running_gauge) service.running_gauge->set(running);
  co_await answer();
  on_disconnect_ = nullptr;
  if (state_ == State::kNew || state_ == State::kStreaming) {
    outlet_.cut_off();
    state_ = State::kBroken;
  }
  const int left = service.requests_running.fetch_sub(1, std::memory_order_relaxed) - 1;
  if (service.running_gauge) service.running_gauge->set(left);
  record();
}

Task<void> Exchange::reply(Reply reply) {
  (void)co_await send(reply.status, std::move(reply.headers), std::move(reply.body));
  record();
}

void Exchange::record() {
  const auto duration = std::chrono::steady_clock::now() - request.arrived_at;
  shard_.count(route_index_, request.method, status_, std::chrono::duration<double>(duration).count());
  const auto& hook = shard_.service.options.on_access;
  if (!hook) return;
  AccessRecord record;
  record.method = request.method;
  record.path = request.path;
  record.version = version_name(request.version);
  record.peer = request.peer;
  record.request_id = request.id;
  record.principal = request.principal;
  record.route = route_ ? std::string_view(route_->path) : std::string_view();
  record.status = status_;
  record.request_bytes = request.body.size();
  record.response_bytes = response_bytes_;
  record.duration = std::chrono::duration_cast<std::chrono::microseconds>(duration);
  hook(record);
}

void Exchange::lost() {
  if (lost_) return;
  lost_ = true;
  if (const auto function = std::exchange(on_disconnect_, nullptr)) function();
}

void Exchange::on_disconnect(std::function<void()> function) {
  if (lost_) {
    on_disconnect_ = nullptr;
    function();
  } else {
    on_disconnect_ = std::move(function);
  }
}

Task<Result<void>> Exchange::send(int status, Headers headers, std::string body) {
  if (state_ != State::kNew) return failed(misused("send() after an answer was begun"));
  state_ = State::kFinished;
  status_ = status;
  if (bodyless(status)) body.clear();
  const bool head = request.method == "HEAD";
  response_bytes_ = head ? 0 : body.size();
  add_common_headers(headers);
  return outlet_.send_whole(status, std::move(headers), std::move(body), head);
}

Task<Result<void>> Exchange::start(int status, Headers headers) {
  if (state_ != State::kNew) return failed(misused("start() after an answer was begun"));
  if (lost_) return failed(gone());
  state_ = State::kStreaming;
  status_ = status;
  add_common_headers(headers);
  return outlet_.send_head(status, std::move(headers), request.method != "HEAD" && !bodyless(status));
}

Task<Result<void>> Exchange::write(std::string_view chunk) {
  if (state_ != State::kStreaming) return failed(misused("write() outside start() and finish()"));
  if (lost_) return failed(gone());
  if (chunk.empty() || request.method == "HEAD" || bodyless(status_)) return nothing_to_do();
  response_bytes_ += chunk.size();
  return outlet_.send_chunk(chunk);
}

Task<Result<void>> Exchange::finish() {
  if (state_ != State::kStreaming) return failed(misused("finish() without start()"));
  if (lost_) return failed(gone());
  state_ = State::kFinished;
  if (request.method == "HEAD" || bodyless(status_)) return nothing_to_do();
  return outlet_.send_end();
}

}  // namespace sluice::http
