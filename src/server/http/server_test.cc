// HTTP/1 on real sockets: what a client sees.

#include <gmock/gmock.h>

#include "base/json.h"
#include "server/http/test_server.h"

namespace sluice::http::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Task<void> hello(const Request&, ResponseWriter& writer) {
  (void)co_await writer.send(200, {{"content-type", "text/plain"}}, "Hello\n");
}
Task<void> echo(const Request& request, ResponseWriter& writer) {
  (void)co_await writer.send(
      200, {{"content-type", "application/octet-stream"}, {"x-version", version_name(request.version)}}, request.body);
}
Task<void> stream(const Request& request, ResponseWriter& writer) {
  if (!(co_await writer.start(200, {{"content-type", "text/event-stream"}})).ok()) co_return;
  const int count = std::stoi(request.query_param("n").value_or("3"));
  for (int i = 0; i < count; ++i) {
    if (!(co_await writer.write(cat(i, '\n'))).ok()) co_return;
  }
  (void)co_await writer.finish();
}
Task<void> throws(const Request&, ResponseWriter&) {
  throw std::runtime_error("a fault of the route");
  co_return;
}
Task<void> silent(const Request&, ResponseWriter&) { co_return; }
Task<void> half(const Request&, ResponseWriter& writer) {
  (void)co_await writer.start(200, {});
  (void)co_await writer.write("the first half");
}
Task<void> inject(const Request& request, ResponseWriter& writer) {
  Headers headers{{"x-echo", request.query_param("v").value_or("")},
                  {"bad name", "x"},
                  {"x-a\r\nx-b", "x"},
                  {"Content-Length", "999"}};
  (void)co_await writer.send(200, std::move(headers), "ok");
}
Task<void> blob(const Request& request, ResponseWriter& writer) {
  (void)co_await writer.send(200, {}, std::string(std::stoul(request.query_param("n").value_or("10")), 'b'));
}
Task<void> model(const Request& request, ResponseWriter& writer) {
  (void)co_await writer.send(200, {{"x-principal", request.principal}}, std::string(request.param("model")));
}
Task<void> blocking(const Request&, ResponseWriter& writer) {
  const std::thread::id here = std::this_thread::get_id();
  const std::thread::id there = co_await run_blocking([] { return std::this_thread::get_id(); });
  std::string thrown = "nothing";
  try {
    co_await run_blocking([] { throw std::runtime_error("from the pool"); });
  } catch (const std::exception& exception) {
    thrown = exception.what();
  }
  const bool right = here != there && here == std::this_thread::get_id();
  (void)co_await writer.send(200, {}, cat(right ? "moved and back, " : "wrong thread, ", thrown));
}

}  // namespace

Router test_routes(Observed& observed) {
  Router router;
  const auto add = [&](std::string method, std::string path, Answer answer) {
    router.add({std::move(method), std::move(path), std::move(answer)});
  };
  add("GET", "/hello", hello);
  add("POST", "/echo", echo);
  add("GET", "/stream", stream);
  add("GET", "/throw", throws);
  add("GET", "/silent", silent);
  add("GET", "/half", half);
  add("GET", "/inject", inject);
  add("GET", "/blob", blob);
  add("GET", "/blocking", blocking);
  add("GET", "/v1/models/{model...}", model);
  Route tiny{"POST", "/tiny", echo};
  tiny.body_bytes_max = 100;
  router.add(tiny);
  Route open{"GET", "/public", hello};
  open.is_public = true;
  router.add(open);
  // The lambdas below live in the router, which outlives every request: their captures are safe.
  const Answer wait = [&observed](const Request&, ResponseWriter& writer) -> Task<void> {
    auto channel = std::make_shared<EventChannel<std::string>>(16);
    observed.channel = channel;
    writer.on_disconnect([&observed, channel] {
      ++observed.disconnects;
      channel->close();
    });
    (void)co_await writer.start(200, {{"content-type", "text/event-stream"}});
    ++observed.waiting;
    while (std::optional<std::string> event = co_await channel->next()) {
      if (!(co_await writer.write(*event)).ok()) break;
    }
    (void)co_await writer.finish();
    ++observed.ended;
  };
  add("GET", "/wait", wait);
  add("POST", "/wait", wait);
  add("GET", "/flood", [&observed](const Request&, ResponseWriter& writer) -> Task<void> {
    writer.on_disconnect([&observed] { ++observed.disconnects; });
    (void)co_await writer.start(200, {});
    const std::string chunk(65536, 'f');
    while (true) {
      const Result<void> written = co_await writer.write(chunk);
      if (!written.ok()) {
        observed.last_error = static_cast<int>(written.error().code);
        break;
      }
      observed.flooded += static_cast<int64_t>(chunk.size());
    }
    ++observed.write_errors;
    ++observed.ended;
  });
  return router;
}

namespace {

TEST(Http1, AnswersAndKeepsTheConnection) {
  TestServer test;
  RawClient client(test.port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string response = client.receive_response();
    EXPECT_EQ(status_of(response), 200);
    EXPECT_EQ(body_of(response), "Hello\n");
    EXPECT_EQ(header_of(response, "content-type"), "text/plain");
    EXPECT_EQ(header_of(response, "connection"), "");
    EXPECT_THAT(header_of(response, "date"), HasSubstr(" GMT"));
    EXPECT_THAT(header_of(response, "x-request-id"), HasSubstr("req_"));
  }
}

TEST(Http1, EchoesBodiesOfEveryFraming) {
  TestServer test;
  RawClient client(test.port());
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(body_of(client.receive_response()), "hello");
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;name=value\r\n "
      "world\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(body_of(client.receive_response()), "hello world");
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(body_of(client.receive_response()), "");
  std::string large(3'000'000, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 + i / 251);
  client.send(cat("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ", large.size(), "\r\n\r\n"));
  // From a thread: an echo of this size does not fit between two sockets.
  std::thread sender([&] { client.send(large); });
  EXPECT_EQ(body_of(client.receive_response()), large);
  sender.join();
}

TEST(Http1, ReadsByteByByte) {
  TestServer test;
  RawClient client(test.port());
  for (const char c :
       std::string("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")) {
    client.send({&c, 1});
    if (c == '\n') std::this_thread::sleep_for(milliseconds(2));
  }
  EXPECT_EQ(body_of(client.receive_response()), "abc");
}

TEST(Http1, PipelinedRequestsAreAnsweredInOrder) {
  TestServer test;
  RawClient client(test.port());
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    const std::string body = cat("number ", i);
    requests += cat("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
  }
  client.send(requests);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(body_of(client.receive_response()), cat("number ", i));
}

TEST(Http1, BytesThatComeWhileARouteWaitsAreKept) {
  TestServer test;
  RawClient client(test.port());
  client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /hel");
  ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
  client.send("lo HTTP/1.1\r\nHost: x\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(20));
  test.observed.channel->push_last("last words");
  ASSERT_TRUE(client.receive_until("Hello\n"));
  EXPECT_THAT(client.received(), HasSubstr("a\r\nlast words\r\n0\r\n\r\nHTTP/1.1 200 OK"));
  EXPECT_EQ(test.observed.disconnects, 0);
}

TEST(Http1, AClientThatEndsItsSideStillGetsWholeAnswers) {
  TestServer test;
  RawClient client(test.port());
  client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  client.end_sending();
  const std::string all = client.receive_all();
  EXPECT_EQ(all.find("Hello\n"), all.rfind("HTTP/1.1 200") - 6);
  EXPECT_TRUE(client.ended());
}

TEST(Http1, ConnectionCloseAndHttp10) {
  TestServer test;
  RawClient closing(test.port());
  closing.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n");
  std::string all = closing.receive_all();
  EXPECT_EQ(header_of(all, "connection"), "close");
  EXPECT_TRUE(closing.ended());
  RawClient old(test.port());
  old.send("GET /hello HTTP/1.0\r\n\r\n");
  all = old.receive_all();
  EXPECT_TRUE(all.starts_with("HTTP/1.0 200 OK"));
  EXPECT_TRUE(old.ended());
  RawClient kept(test.port());
  for (int i = 0; i < 2; ++i) {
    kept.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(header_of(kept.receive_response(), "connection"), "keep-alive");
  }
  // A stream of HTTP/1.0 has no chunks: it ends with the connection.
  RawClient streaming(test.port());
  streaming.send("GET /stream?n=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(body_of(streaming.receive_all()), "0\n1\n");
}

TEST(Http1, StreamsInChunks) {
  TestServer test;
  RawClient client(test.port());
  client.send("GET /stream?n=3 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(client.receive_until("0\r\n\r\n"));
  EXPECT_EQ(header_of(client.received(), "transfer-encoding"), "chunked");
  EXPECT_EQ(body_of(client.received()), "2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n");
}

TEST(Http1, HeadHasTheHeadersOfGet) {
  TestServer test;
  RawClient client(test.port());
  client.send(
      "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: "
      "x\r\n\r\n");
  ASSERT_TRUE(client.receive_until("Hello\n"));
  EXPECT_EQ(header_of(client.received(), "content-length"), "6");
  EXPECT_EQ(client.received().find("Hello\n"), client.received().size() - 6);
  EXPECT_THAT(client.received(), Not(HasSubstr("2\r\n0\n")));
}

TEST(Http1, ExpectContinue) {
  TestServer test;
  RawClient client(test.port());
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.receive_until("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("abc");
  ASSERT_TRUE(client.receive_until("abc"));
  // A refusal comes instead of 100, and the body is not waited for.
  RawClient refused(test.port());
  refused.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  const std::string all = refused.receive_all();
  EXPECT_EQ(status_of(all), 404);
  EXPECT_EQ(header_of(all, "connection"), "close");
  EXPECT_EQ(status_of(test.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: magic\r\n\r\nabc")),
            417);
}

TEST(Http1, ErrorsOfThisLayerAreInOpenAiForm) {
  TestServer test;
  const std::string missing = test.ask("GET /helo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(missing), 404);
  const Result<Json> body = parse_json(body_of(missing));
  ASSERT_TRUE(body.ok());
  EXPECT_EQ((*body)["error"]["type"], "not_found_error");
  EXPECT_THAT(std::string((*body)["error"]["message"]), HasSubstr("/hello"));
  EXPECT_EQ((*body)["error"]["code"], "not_found");
  const std::string method = test.ask("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(method), 405);
  EXPECT_EQ(header_of(method, "allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(status_of(test.ask("GET /hello HTTP/3.0\r\nHost: x\r\n\r\n")), 505);
  EXPECT_EQ(status_of(test.ask("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")), 501);
  EXPECT_EQ(status_of(test.ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")), 501);
  EXPECT_EQ(status_of(test.ask("\x16\x03\x01\x02\x01\x01")), 400);
}

TEST(Http1, RoutesThatFail) {
  TestServer test;
  RawClient client(test.port());
  for (const char* path : {"/throw", "/silent"}) {
    client.send(cat("GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n"));
    const std::string response = client.receive_response();
    EXPECT_EQ(status_of(response), 500);
    EXPECT_THAT(response, HasSubstr("server_error"));
    EXPECT_THAT(response, Not(HasSubstr("a fault of the route")));
  }
  // A stream that was begun and not ended is cut off, so that the client can tell.
  client.send("GET /half HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string all = client.receive_all();
  EXPECT_THAT(all, HasSubstr("the first half"));
  EXPECT_THAT(all, Not(HasSubstr("\r\n0\r\n")));
  EXPECT_TRUE(client.ended());
}

TEST(Http1, NothingARouteSaysBecomesALineOfItsOwn) {
  TestServer test;
  const std::string response = test.ask("GET /inject?v=a%0d%0aset-cookie:%20x=1%00 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(header_of(response, "x-echo"), "a  set-cookie: x=1 ");
  EXPECT_EQ(header_of(response, "set-cookie"), "");
  EXPECT_THAT(response, Not(HasSubstr("bad name")));
  EXPECT_THAT(response, Not(HasSubstr("x-b")));
  EXPECT_EQ(header_of(response, "content-length"), "2");
}

TEST(Http1, AbsoluteTargetsAndPathParameters) {
  TestServer test;
  EXPECT_EQ(body_of(test.ask("GET http://example.org/v1/models/a%2Fb/c%20d HTTP/1.1\r\nHost: x\r\n\r\n")), "a/b/c d");
  EXPECT_EQ(status_of(test.ask("GET /v1/../hello HTTP/1.1\r\nHost: x\r\n\r\n")), 400);
  EXPECT_EQ(status_of(test.ask("GET /%2e%2e/hello HTTP/1.1\r\nHost: x\r\n\r\n")), 400);
  EXPECT_EQ(status_of(test.ask("GET /hel%6Co HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
}

TEST(Http1, RunBlockingLeavesAndReturns) {
  TestServer test;
  EXPECT_EQ(body_of(test.ask("GET /blocking HTTP/1.1\r\nHost: x\r\n\r\n")), "moved and back, from the pool");
}

TEST(Http1, TheDisconnectIsNoticedWhileTheRouteWaits) {
  for (const bool reset : {false, true}) {
    TestServer test;
    RawClient client(test.port());
    client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return test.observed.waiting == 1; }));
    EXPECT_EQ(test.observed.disconnects, 0);
    if (reset) {
      client.reset();
    } else {
      client.close();
    }
    EXPECT_TRUE(eventually([&] { return test.observed.disconnects == 1 && test.observed.ended == 1; }));
    EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
  }
}

TEST(Http1, RequestIdsOfTheClientAreKept) {
  TestServer test;
  EXPECT_EQ(header_of(test.ask("GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc-1\r\n\r\n"), "x-request-id"),
            "abc-1");
  EXPECT_THAT(header_of(test.ask("GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: a b\r\n\r\n"), "x-request-id"),
              HasSubstr("req_"));
}

TEST(Http1, AuthenticationComesBeforeTheBodyAndSparesPublicRoutes) {
  ServerOptions options;
  options.authenticate = [](Request& request, const Route&) -> Result<void> {
    if (request.headers.get("authorization") != "Bearer right")
      return Error{ErrorCode::kUnauthenticated, "wrong key", {}, "invalid_api_key"};
    request.principal = "alice";
    return {};
  };
  TestServer test(options);
  for (const Route& route : test.server->router().routes()) {
    const std::string path = route.path.starts_with("/v1/models") ? "/v1/models/m" : route.path;
    const std::string response = test.ask(cat(route.method, ' ', path, " HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_EQ(status_of(response), route.is_public ? 200 : 401) << path;
    EXPECT_EQ(status_of(test.ask(cat("PATCH ", path, " HTTP/1.1\r\nHost: x\r\n\r\n"))), route.is_public ? 405 : 401)
        << path;
  }
  const std::string refused = test.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n");
  EXPECT_EQ(status_of(refused), 401);
  EXPECT_EQ(header_of(refused, "www-authenticate"), "Bearer");
  EXPECT_THAT(refused, HasSubstr(R"("code":"invalid_api_key")"));
  const std::string entered = test.ask("GET /v1/models/m HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\n\r\n");
  EXPECT_EQ(header_of(entered, "x-principal"), "alice");
  // After a refusal with a small body the connection goes on with the next request.
  RawClient client(test.port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /public HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(client.receive_response()), 401);
  EXPECT_EQ(status_of(client.receive_response()), 200);
}

TEST(Http1, CorsOnlyForAllowedOrigins) {
  ServerOptions options;
  options.allowed_origins = {"https://good.example"};
  TestServer test(options);
  const std::string preflight = test.ask(
      "OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: https://good.example\r\nAccess-Control-Request-Method: POST\r\n"
      "Access-Control-Request-Headers: authorization\r\n\r\n");
  EXPECT_EQ(status_of(preflight), 204);
  EXPECT_EQ(header_of(preflight, "access-control-allow-origin"), "https://good.example");
  EXPECT_EQ(header_of(preflight, "access-control-allow-methods"), "POST, OPTIONS");
  EXPECT_EQ(header_of(preflight, "access-control-allow-headers"), "authorization");
  const std::string bad = test.ask("GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://bad.example\r\n\r\n");
  EXPECT_EQ(status_of(bad), 200);
  EXPECT_EQ(header_of(bad, "access-control-allow-origin"), "");
  EXPECT_EQ(header_of(bad, "vary"), "Origin");
  TestServer closed;
  EXPECT_EQ(header_of(closed.ask("GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://good.example\r\n\r\n"),
                      "access-control-allow-origin"),
            "");
  EXPECT_EQ(status_of(closed.ask("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")), 204);
}

TEST(Http1, CountsAndLogsEveryAnswer) {
  MetricsRegistry metrics;
  ServerOptions options;
  options.metrics = &metrics;
  TestServer test(options);
  test.ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  test.ask("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
  test.ask("BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  test.ask("nonsense\r\n\r\n");
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(test.observed.mutex);
    return test.observed.accesses.size() == 4;
  }));
  EXPECT_EQ(test.observed.accesses[0], "GET /hello 200");
  const std::string text = metrics.render();
  EXPECT_THAT(text, HasSubstr(R"(http_requests_total{method="GET",route="/hello",code="200"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(http_requests_total{method="GET",route="unmatched",code="404"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(http_requests_total{method="OTHER",route="unmatched",code="405"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(route="unmatched",code="400"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(http_request_duration_seconds_count{route="/hello"} 1)"));
  EXPECT_THAT(text, HasSubstr("http_requests_running 0"));
}

TEST(Server, SaysWhyItCannotStart) {
  TestServer test;
  ServerOptions options;
  options.port = test.port();
  Observed observed;
  const auto in_use = Server::start(options, test_routes(observed));
  ASSERT_FALSE(in_use.ok());
  EXPECT_THAT(in_use.error().message, HasSubstr("in use"));
  EXPECT_THAT(Server::check(options).error().message, HasSubstr("in use"));
  options.port = 0;
  options.host = "no-such-host.invalid";
  const auto no_host = Server::start(options, test_routes(observed));
  ASSERT_FALSE(no_host.ok());
  EXPECT_EQ(no_host.error().param, "host");
  EXPECT_EQ(Server::check(options).error().param, "host");
}

TEST(Server, ACheckLeavesThePortFree) {
  uint16_t port = 0;
  {
    TestServer test;
    port = test.port();
  }
  ServerOptions options;
  options.port = port;
  ASSERT_TRUE(Server::check(options).ok());
  EXPECT_FALSE(RawClient(port).connected());
  Observed observed;
  EXPECT_TRUE(Server::start(options, test_routes(observed)).ok());
}

TEST(Http1, EncodedBodiesAreRefusedByName) {
  TestServer test;
  RawClient client(test.port());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nab"));
  const std::string refused = client.receive_response();
  EXPECT_THAT(refused, HasSubstr("HTTP/1.1 415 "));
  EXPECT_THAT(refused, HasSubstr("gzip"));
  EXPECT_THAT(refused, HasSubstr(R"("code":"unsupported_media_type")"));
  ASSERT_TRUE(
      client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\nab"));
  EXPECT_THAT(client.receive_response(), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace sluice::http::testing
