#include "server/http/server.h"

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <future>

#include "base/log.h"
#include "base/strings.h"
#include "server/http/connection.h"
#include "server/http/tcp_stream.h"
#include "server/http/tls_stream.h"

namespace sluice::http {
namespace asio = boost::asio;
namespace {

using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

constexpr int kRefusedMax = 64;  // connections past the limit that are still told why
constexpr std::chrono::milliseconds kAcceptBackOff{100};
constexpr std::chrono::seconds kStopPatience{10};

asio::io_context& loop_of(IoThread& thread) { return *static_cast<asio::io_context*>(thread.loop()); }

struct Accept {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    acceptor.async_accept(loop_of(thread),
                          [this, coroutine](const boost::system::error_code& code, TcpSocket accepted) {
                            error = code;
                            socket.emplace(std::move(accepted));
                            coroutine.resume();
                          });
  }
  void await_resume() {}

  Acceptor& acceptor;
  IoThread& thread;  // the socket's
  boost::system::error_code error{};
  std::optional<TcpSocket> socket{};
};

std::string peer_name(const TcpSocket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? cat('[', address, "]:", endpoint.port()) : cat(address, ':', endpoint.port());
}

// Runs `function` on `thread` and waits for it.
void run_on(IoThread& thread, const std::function<void()>& function) {
  std::promise<void> done;
  thread.post([&] {
    function();
    done.set_value();
  });
  done.get_future().wait();
}

// Several times within the shortest limit, and not so often that an idle server is busy with it.
std::chrono::milliseconds tick_interval(const ServerLimits& limits) {
  const auto shortest =
      std::min({limits.tls_handshake, limits.header_read, limits.body_read, limits.keep_alive, limits.write_stall});
  return std::clamp(shortest / 8, std::chrono::milliseconds(5), std::chrono::milliseconds(250));
}

Result<asio::ip::tcp::endpoint> resolve(IoThread& thread, const std::string& host, uint16_t port) {
  std::string_view name = host;
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(loop_of(thread));
  const auto found = resolver.resolve(name, std::to_string(port), asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) {
    return invalid_argument(cat("host '", host, "' does not resolve to an address: ", error.message()), "host");
  }
  for (const auto& entry : found) {
    if (entry.endpoint().address().is_v4()) return entry.endpoint();
  }
  return found.begin()->endpoint();
}

enum class Listening { kNow, kLater };

Result<std::unique_ptr<Acceptor>> bind(IoThread& thread, const ServerOptions& options, Listening listening) {
  SLUICE_TRY(const auto endpoint, resolve(thread, options.host, options.port));
  auto acceptor = std::make_unique<Acceptor>(loop_of(thread));
  boost::system::error_code error;
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(Acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) acceptor->set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error && listening == Listening::kNow) acceptor->listen(Acceptor::max_listen_connections, error);
  if (error == asio::error::address_in_use) {
    return Error{ErrorCode::kUnavailable,
                 cat("port ", options.port, " of ", options.host, " is in use by another program; choose another port"),
                 "port",
                 {}};
  }
  if (error == asio::error::access_denied) {
    return Error{ErrorCode::kPermissionDenied,
                 cat("port ", options.port, " may not be used by this user: ports below 1024 need a privilege"),
                 "port",
                 {}};
  }
  if (error)
    return Error{
        ErrorCode::kIo, cat("cannot listen on ", options.host, ':', options.port, ": ", error.message()), "host", {}};
  return acceptor;
}

}  // namespace

struct Server::State {
  // Destroyed in reverse: the threads end before what their coroutines use.
  Service service;
  std::unique_ptr<TlsIdentity> tls;
  std::unique_ptr<BlockingPool> pool;
  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<std::unique_ptr<IoThread>> threads;
  std::unique_ptr<Acceptor> acceptor;  // used on threads[0]
  uint16_t port = 0;
  std::chrono::milliseconds tick_every{250};
  std::atomic<bool> accepting{false};
  bool stopped = false;

  Task<void> accept_connections();
  void adopt(Shard& shard, TcpSocket socket);
  Task<void> serve(Shard& shard, std::shared_ptr<Connection> connection, bool refuse);
  void arm_tick(Shard& shard);
  void stop_accepting();
  bool wait_for_connections(std::chrono::milliseconds patience);
};

Task<void> Server::State::accept_connections() {
  size_t turn = 0;
  Time last_complaint{};
  while (true) {
    Shard& shard = *shards[turn++ % shards.size()];
    Accept accept{*acceptor, *shard.thread};
    co_await accept;
    if (!acceptor->is_open()) break;
    if (accept.error) {
      // No file descriptor or memory left: the connection stays in the kernel's queue until there is.
      const Time now = std::chrono::steady_clock::now();
      if (now - last_complaint > std::chrono::seconds(10)) {
        log::warn("cannot accept connections", {{"error", accept.error.message()}});
        last_complaint = now;
      }
      co_await sleep_for(kAcceptBackOff);
      if (!acceptor->is_open()) break;
      continue;
    }
    if (shard.thread == IoThread::current()) {
      adopt(shard, std::move(*accept.socket));
    } else {
      auto socket = std::make_shared<TcpSocket>(std::move(*accept.socket));
      shard.thread->post([this, &shard, socket] { adopt(shard, std::move(*socket)); });
    }
  }
  accepting = false;
}

void Server::State::adopt(Shard& shard, TcpSocket socket) {
  const int count = service.connections.fetch_add(1) + 1;
  const int over = count - service.options.limits.connections_max;
  if (over > kRefusedMax || service.draining) {
    service.connections.fetch_sub(1);
    return;
  }
  std::string peer = peer_name(socket);
  std::unique_ptr<Stream> stream = make_tcp_stream(std::move(socket));
  if (tls) stream = tls->wrap(std::move(stream));
  auto connection = std::make_shared<Connection>(shard, std::move(stream), std::move(peer));
  shard.connections.insert(connection);
  if (shard.connections.size() == 1) arm_tick(shard);
  spawn(serve(shard, std::move(connection), over > 0));
}

Task<void> Server::State::serve(Shard& shard, std::shared_ptr<Connection> connection, bool refuse) {
  if (service.connections_gauge) service.connections_gauge->add(1);
  co_await (refuse ? connection->refuse() : connection->run());
  if (service.connections_gauge) service.connections_gauge->add(-1);
  shard.connections.erase(connection);
  service.connections.fetch_sub(1);
}

void Server::State::arm_tick(Shard& shard) {
  shard.tick = shard.thread->call_at(std::chrono::steady_clock::now() + tick_every, [this, &shard] {
    const Time now = std::chrono::steady_clock::now();
    // A copy: a tick may end connections.
    const std::vector<std::shared_ptr<Connection>> all(shard.connections.begin(), shard.connections.end());
    for (const auto& connection : all) connection->tick(now);
    if (!shard.connections.empty()) arm_tick(shard);
  });
}

void Server::State::stop_accepting() {
  if (!acceptor) return;
  run_on(*threads[0], [this] {
    boost::system::error_code ignored;
    acceptor->close(ignored);
  });
  while (accepting) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  run_on(*threads[0], [this] { acceptor.reset(); });
}

bool Server::State::wait_for_connections(std::chrono::milliseconds patience) {
  const Time until = std::chrono::steady_clock::now() + patience;
  while (service.connections.load() > 0) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

Result<void> Server::check(const ServerOptions& options) {
  if (options.tls.enabled()) SLUICE_RETURN_IF_ERROR(TlsIdentity::load(options.tls));
  IoThread thread;
  SLUICE_RETURN_IF_ERROR(bind(thread, options, Listening::kLater));
  return {};
}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Router router) {
  auto state = std::make_unique<State>();
  if (options.tls.enabled()) {
    SLUICE_TRY(state->tls, TlsIdentity::load(options.tls));
  }
  Service& service = state->service;
  service.options = std::move(options);
  service.router = std::move(router);
  if (MetricsRegistry* metrics = service.options.metrics) {
    service.connections_gauge = &metrics->gauge("http_connections", "Open connections.");
    service.running_gauge = &metrics->gauge("http_requests_running", "Requests being answered.");
  }
  state->tick_every = tick_interval(service.options.limits);
  state->pool = std::make_unique<BlockingPool>(std::max(1, service.options.blocking_threads));
  for (int i = 0; i < std::max(1, service.options.io_threads); ++i) {
    state->threads.push_back(std::make_unique<IoThread>(state->pool.get()));
    state->shards.push_back(std::make_unique<Shard>(service, state->threads.back().get()));
  }
  SLUICE_TRY(state->acceptor, bind(*state->threads[0], service.options, Listening::kNow));
  state->port = state->acceptor->local_endpoint().port();
  state->accepting = true;
  run_on(*state->threads[0], [&] { spawn(state->accept_connections()); });
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() { stop(); }

uint16_t Server::port() const { return state_->port; }
const Router& Server::router() const { return state_->service.router; }
int Server::connections() const { return state_->service.connections.load(); }

bool Server::drain(std::chrono::milliseconds patience) {
  if (state_->stopped) return true;
  state_->service.draining = true;
  state_->stop_accepting();
  for (const auto& shard : state_->shards) {
    run_on(*shard->thread, [&shard] {
      const std::vector<std::shared_ptr<Connection>> all(shard->connections.begin(), shard->connections.end());
      for (const auto& connection : all) connection->drain();
    });
  }
  return state_->wait_for_connections(patience);
}

void Server::stop() {
  if (state_ == nullptr || state_->stopped) return;
  state_->stopped = true;
  state_->service.draining = true;
  state_->stop_accepting();
  for (const auto& shard : state_->shards) {
    run_on(*shard->thread, [&shard] {
      const std::vector<std::shared_ptr<Connection>> all(shard->connections.begin(), shard->connections.end());
      for (const auto& connection : all) connection->abort();
    });
  }
  if (!state_->wait_for_connections(kStopPatience)) {
    // A route still waits for something that may yet wake it on these threads: they must stay.
    log::error("routes did not end when the server stopped", {{"connections", state_->service.connections.load()}});
    (void)state_.release();
    return;
  }
  for (const auto& shard : state_->shards) {
    run_on(*shard->thread, [&shard] { shard->tick.cancel(); });
  }
  state_->threads.clear();
}

void log_access(const AccessRecord& record) {
  log::info("request", {{"method", record.method},
                        {"path", record.path},
                        {"status", record.status},
                        {"duration_us", record.duration.count()},
                        {"bytes", record.response_bytes},
                        {"peer", record.peer},
                        {"version", record.version},
                        {"request_id", record.request_id},
                        {"principal", record.principal}});
}

}  // namespace sluice::http
