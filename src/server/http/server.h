#pragma once
// Server: listens, speaks HTTP/1.1 and HTTP/2 (in clear by prior knowledge, over TLS by ALPN), enforces every limit,
// and gives each request to its route. Owned by one thread, which starts, drains and stops it; handlers run on its I/O
// threads.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "server/http/router.h"

namespace sluice::http {

struct ServerLimits {
  size_t header_bytes_max =
      size_t{64} << 10;                      // request line and headers together; past it 431 (414 for the line alone)
  size_t headers_max = 256;                  // fields; past it 431
  size_t body_bytes_max = size_t{32} << 20;  // past it 413; a route may set its own
  size_t body_bytes_total_max = size_t{1} << 30;  // bodies held by all requests together; past it 503
  int connections_max = 4096;                     // past it 503 and close
  int requests_max = 8192;                        // running at once, over all connections; past it 503
  int streams_max = 128;                          // HTTP/2: open at once per connection
  int requests_per_connection_max = 100'000;      // then the connection is closed politely (0: never)
  std::chrono::milliseconds tls_handshake{10'000};
  std::chrono::milliseconds header_read{
      15'000};  // from a request's first byte (or the connection's start) to its last header
  std::chrono::milliseconds body_read{60'000};    // each further 64 KiB of a body must come within this
  std::chrono::milliseconds keep_alive{75'000};   // idle between requests
  std::chrono::milliseconds write_stall{30'000};  // no byte accepted by the client
};

struct TlsOptions {
  std::string certificate_file;  // PEM, leaf first, then its chain
  std::string key_file;          // PEM
  bool enabled() const { return !certificate_file.empty() || !key_file.empty(); }
};

// One answered request, for the access log. Views live for the call.
struct AccessRecord {
  std::string_view method, path, version, peer, request_id, principal;
  std::string_view route;                 // the route's path, "" when none matched
  int status = 0;                         // 499: the client left before an answer
  uint64_t request_bytes = 0;             // of the body
  uint64_t response_bytes = 0;            // of the body
  std::chrono::microseconds duration{0};  // from the request's first byte to the end of the answer
};

struct ServerOptions {
  std::string host = "127.0.0.1";  // address or name; "::" and "0.0.0.0" for all
  uint16_t port = 8000;            // 0: any free port
  TlsOptions tls;
  int io_threads = 2;
  int blocking_threads = 2;  // for run_blocking
  ServerLimits limits;
  // CORS: origins ("https://example.org") that browsers may call from; "*" for any; empty: none.
  std::vector<std::string> allowed_origins;
  // The two hooks below may be called on any I/O thread at once, must not block, and must not throw.
  // Asked before the body is read, for every route that is not public. May set request.principal.
  // An error is sent to the client as it is (kUnauthenticated adds WWW-Authenticate: Bearer). Empty: all may enter.
  std::function<Result<void>(Request& request, const Route& route)> authenticate;
  // Called after every answer, errors of this layer included. Empty: no access log. log_access is one.
  std::function<void(const AccessRecord&)> on_access;
  // http_requests_total{method,route,code}, http_request_duration_seconds{route}, http_connections,
  // http_requests_running. Must outlive the server. Null: not counted.
  MetricsRegistry* metrics = nullptr;
};

// Writes the record to the log (base/log.h) at level info.
void log_access(const AccessRecord& record);

class Server {
 public:
  // Listens and serves when it returns. Errors name what to change: a port in use, a name that does not resolve, a
  // certificate that cannot be read or does not fit its key. `router` is copied.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Router router);
  // What start() would refuse of address, port and certificate, known before a model has been loaded for minutes.
  // Nothing listens meanwhile.
  static Result<void> check(const ServerOptions& options);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  const Router& router() const;
  int connections() const;

  // Stops accepting, ends idle connections, tells the others that they are on their last requests (Connection: close,
  // GOAWAY), and waits until they have ended or `patience` is over. True when all ended. May be called again.
  bool drain(std::chrono::milliseconds patience);
  // Closes everything at once: handlers are told by on_disconnect and waited for. Idempotent.
  void stop();

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http
