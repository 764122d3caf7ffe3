#pragma once
// What connections share. Service: one per server, read-only but for its counters. Shard: one per I/O thread, touched
// by that thread alone.

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "base/metrics.h"
#include "server/http/io_thread.h"
#include "server/http/server.h"

namespace sluice::http {

class Connection;

struct Service {
  ServerOptions options;
  Router router;
  std::atomic<int> connections{0};
  std::atomic<int> requests_running{0};
  std::atomic<size_t> body_bytes{0};  // held by all requests
  std::atomic<bool> draining{false};
  Gauge* connections_gauge = nullptr;  // null without a registry
  Gauge* running_gauge = nullptr;
};

class Shard {
 public:
  // `thread` may be null in tests whose streams never wait.
  Shard(Service& service, IoThread* thread) : service(service), thread(thread) {}

  // Counts one answer. `route` is an index into the router's routes, or -1.
  void count(int route, std::string_view method, int status, double seconds);
  // A new request id: "req_" and 24 hexadecimal digits.
  std::string make_request_id();

  Service& service;
  IoThread* const thread;
  std::unordered_set<std::shared_ptr<Connection>> connections;
  IoThread::Timer tick;  // armed while there are connections

 private:
  std::unordered_map<uint64_t, Counter*> counters_;      // by route, method, status
  std::unordered_map<uint64_t, Histogram*> histograms_;  // by route
  uint64_t random_state_ = 0;
};

}  // namespace sluice::http
