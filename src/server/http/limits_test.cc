// Every limit of the server at the limit and past it, slow and absent clients, draining and stopping.

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "server/http/test_server.h"

namespace sluice::http::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kHello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

ServerOptions with(const std::function<void(ServerLimits&)>& change) {
  ServerOptions options;
  change(options.limits);
  return options;
}

TEST(Limits, HeaderBytesAndCount) {
  TestServer test(with([](ServerLimits& limits) { limits.header_bytes_max = 2000, limits.headers_max = 10; }));
  const std::string start = "GET /hello HTTP/1.1\r\nHost: x\r\nX: ";
  const auto of_size = [&](size_t size) { return start + std::string(size - start.size() - 4, 'x') + "\r\n\r\n"; };
  EXPECT_EQ(status_of(test.ask(of_size(2000))), 200);
  const std::string over = test.ask(of_size(2001));
  EXPECT_EQ(status_of(over), 431);
  EXPECT_EQ(header_of(over, "connection"), "close");
  std::string fields = "GET /hello HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 9; ++i) fields += cat("X", i, ": y\r\n");
  EXPECT_EQ(status_of(test.ask(fields + "\r\n")), 200);
  EXPECT_EQ(status_of(test.ask(fields + "One: more\r\n\r\n")), 431);
  EXPECT_EQ(status_of(test.ask("GET /" + std::string(4000, 'x'))), 414);
}

TEST(Limits, BodyBytes) {
  TestServer test(with([](ServerLimits& limits) { limits.body_bytes_max = 100'000; }));
  const auto sized = [&](std::string_view path, size_t size) {
    return status_of(test.ask(
        cat("POST ", path, " HTTP/1.1\r\nHost: x\r\nContent-Length: ", size, "\r\n\r\n", std::string(size, 'b'))));
  };
  const auto chunked = [&](size_t size) {
    std::string request = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (size_t sent = 0; sent < size; sent += 1000) request += "3e8\r\n" + std::string(1000, 'b') + "\r\n";
    return status_of(test.ask(request + "0\r\n\r\n"));
  };
  EXPECT_EQ(sized("/echo", 100'000), 200);
  EXPECT_EQ(sized("/echo", 100'001), 413);
  EXPECT_EQ(sized("/echo", 5'000'000), 413);
  EXPECT_EQ(sized("/tiny", 100), 200);
  EXPECT_EQ(sized("/tiny", 101), 413);
  EXPECT_EQ(chunked(100'000), 200);
  EXPECT_EQ(chunked(101'000), 413);
  EXPECT_EQ(status_of(test.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999\r\n\r\n")), 413);
}

// Many clients read no answer before they have sent everything, and lose it when they cannot.
TEST(Limits, ABodyFarOverTheLimitIsReadToItsEnd) {
  TestServer test(with([](ServerLimits& limits) { limits.body_bytes_max = 100'000; }));
  RawClient client(test.port());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n"));
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(client.send(std::string(1'000'000, 'b'))) << i;
  EXPECT_EQ(status_of(client.receive_response()), 413);
}

TEST(Limits, BodiesTogether) {
  TestServer test(with([](ServerLimits& limits) { limits.body_bytes_total_max = 100'000; }));
  RawClient holder(test.port());
  holder.send(cat("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 80000\r\n\r\n", std::string(80'000, 'b')));
  ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
  const std::string request =
      cat("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n", std::string(30'000, 'b'));
  const std::string refused = test.ask(request);
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_EQ(header_of(refused, "retry-after"), "1");
  test.observed.channel->close();
  EXPECT_TRUE(eventually([&] { return status_of(test.ask(request)) == 200; })) << "the room is given back";
}

TEST(Limits, Connections) {
  TestServer test(with([](ServerLimits& limits) { limits.connections_max = 2; }));
  RawClient first(test.port()), second(test.port());
  first.send(kHello);
  second.send(kHello);
  EXPECT_EQ(status_of(first.receive_response()), 200);
  EXPECT_EQ(status_of(second.receive_response()), 200);
  RawClient third(test.port());
  third.send(kHello);
  const std::string refused = third.receive_all();
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_EQ(header_of(refused, "retry-after"), "1");
  EXPECT_TRUE(third.ended());
  first.close();
  EXPECT_TRUE(eventually([&] { return status_of(test.ask(kHello)) == 200; }));
}

TEST(Limits, RequestsRunning) {
  TestServer test(with([](ServerLimits& limits) { limits.requests_max = 1; }));
  RawClient waiting(test.port());
  waiting.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
  EXPECT_EQ(status_of(test.ask(kHello)), 503);
  test.observed.channel->push_last("x");
  EXPECT_TRUE(eventually([&] { return status_of(test.ask(kHello)) == 200; }));
}

TEST(Limits, RequestsPerConnection) {
  TestServer test(with([](ServerLimits& limits) { limits.requests_per_connection_max = 2; }));
  RawClient client(test.port());
  client.send(kHello);
  EXPECT_EQ(header_of(client.receive_response(), "connection"), "");
  client.send(kHello);
  EXPECT_EQ(header_of(client.receive_response(), "connection"), "close");
  EXPECT_FALSE(client.receive());
  EXPECT_TRUE(client.ended());
}

TEST(Limits, SlowHeadersAndIdleConnections) {
  TestServer test(with(
      [](ServerLimits& limits) { limits.header_read = milliseconds(200), limits.keep_alive = milliseconds(400); }));
  RawClient silent(test.port()), slow(test.port()), idle(test.port());
  idle.send(kHello);
  EXPECT_EQ(status_of(idle.receive_response()), 200);
  const auto start = Clock::now();
  // A byte now and then does not help: the deadline is for the whole head.
  std::thread dripping([&] {
    for (int i = 0; i < 80 && slow.send("X"); ++i) std::this_thread::sleep_for(milliseconds(20));
  });
  const std::string all = slow.receive_all();
  EXPECT_EQ(status_of(all), 408);
  EXPECT_LT(Clock::now() - start, milliseconds(3000));
  EXPECT_EQ(silent.receive_all(), "");
  EXPECT_TRUE(silent.ended());
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_TRUE(idle.ended());
  EXPECT_GE(Clock::now() - start, milliseconds(390));
  dripping.join();
}

TEST(Limits, SlowBodies) {
  TestServer test(with([](ServerLimits& limits) { limits.body_read = milliseconds(500); }));
  RawClient slow(test.port());
  slow.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  std::thread dripping([&] {
    for (int i = 0; i < 80 && slow.send("X"); ++i) std::this_thread::sleep_for(milliseconds(20));
  });
  EXPECT_EQ(status_of(slow.receive_all()), 408);
  dripping.join();
  // One that is merely long, and keeps coming, is read.
  RawClient steady(test.port());
  steady.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n");
  std::thread sending([&] {
    for (int i = 0; i < 10; ++i) {
      steady.send(std::string(70'000, 'x'));
      std::this_thread::sleep_for(milliseconds(50));
    }
  });
  EXPECT_EQ(status_of(steady.receive_response()), 200);
  sending.join();
}

TEST(Limits, AReaderThatStopsIsDroppedAndTheRouteTold) {
  TestServer test(with([](ServerLimits& limits) { limits.write_stall = milliseconds(300); }));
  RawClient client(test.port(), 4096);
  client.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return test.observed.ended == 1; }));
  EXPECT_EQ(test.observed.disconnects, 1);
  EXPECT_EQ(test.observed.last_error, static_cast<int>(ErrorCode::kDeadlineExceeded));
  EXPECT_LT(test.observed.flooded, 16 << 20) << "what is unsent is bounded";
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
}

TEST(Limits, ASlowReaderIsServedAtItsPace) {
  TestServer test(with([](ServerLimits& limits) { limits.write_stall = milliseconds(2000); }));
  RawClient client(test.port(), 4096);
  client.send("GET /blob?n=8000000 HTTP/1.1\r\nHost: x\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(150));
  const std::string response = client.receive_response();
  EXPECT_EQ(body_of(response).size(), 8'000'000U);
}

TEST(Limits, FileDescriptorsRunOut) {
  TestServer test;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  RawClient client(test.port());  // opened while there is room; the server accepts it or not
  client.send(kHello);
  EXPECT_EQ(status_of(client.receive_response()), 200);
  const int probe = ::dup(0);
  const rlimit tight{static_cast<rlim_t>(probe + 1), before.rlim_max};
  RawClient queued(test.port());
  ::setrlimit(RLIMIT_NOFILE, &tight);
  ::close(probe);
  // `queued` may have been accepted before the limit; this one cannot be opened at all, so only the server's survival
  // and its answer to the one it has are checked.
  client.send(kHello);
  EXPECT_EQ(status_of(client.receive_response()), 200);
  ::setrlimit(RLIMIT_NOFILE, &before);
  queued.send(kHello);
  EXPECT_EQ(status_of(queued.receive_response()), 200);
}

TEST(Drain, LetsRunningRequestsEndAndClosesTheRest) {
  TestServer test;
  RawClient idle(test.port()), busy(test.port());
  idle.send(kHello);
  EXPECT_EQ(status_of(idle.receive_response()), 200);
  busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
  EXPECT_FALSE(test.server->drain(milliseconds(100)));
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(RawClient(test.port()).connected());
  EXPECT_EQ(test.observed.disconnects, 0);
  test.observed.channel->push_last("the end");
  EXPECT_TRUE(test.server->drain(milliseconds(5000)));
  EXPECT_THAT(busy.receive_all(), HasSubstr("the end\r\n0\r\n\r\n"));
  EXPECT_TRUE(busy.ended());
}

TEST(Drain, ARequestUnderWayIsToldThatItIsTheLast) {
  TestServer test;
  RawClient client(test.port());
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.receive_response(), "HTTP/1.1 100 Continue\r\n\r\n");
  std::thread draining([&] { EXPECT_TRUE(test.server->drain(milliseconds(5000))); });
  std::this_thread::sleep_for(milliseconds(30));
  client.send("abcd");
  const std::string response = client.receive_response();
  EXPECT_EQ(body_of(response), "abcd");
  EXPECT_EQ(header_of(response, "connection"), "close");
  client.close();
  draining.join();
}

TEST(Stop, EndsEverythingAtOnce) {
  TestServer test;
  RawClient waiting(test.port()), idle(test.port());
  waiting.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
  const auto start = Clock::now();
  test.server->stop();
  EXPECT_LT(Clock::now() - start, milliseconds(1000));
  EXPECT_EQ(test.observed.disconnects, 1);
  EXPECT_EQ(test.observed.ended, 1);
  EXPECT_THAT(waiting.receive_all(), Not(HasSubstr("\r\n0\r\n")));
  EXPECT_TRUE(test.server->drain(milliseconds(0)));
}

TEST(Load, ManyConnectionsComeAndGo) {
  ServerOptions options;
  options.io_threads = 3;
  TestServer test(options);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        RawClient client(test.port());
        for (int k = 0; k < 3; ++k) {
          const std::string body = cat(t, '-', i, '-', k);
          client.send(cat("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
          if (body_of(client.receive_response()) == body) ++right;
        }
        if (i % 3 == 0) client.reset();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8 * 40 * 3);
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
}

}  // namespace
}  // namespace sluice::http::testing
