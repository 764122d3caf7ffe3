// HTTP/2 in clear, by nghttp2's client session on a raw socket, and by frames made by hand where a client must
// misbehave.

#include <gmock/gmock.h>
#include <nghttp2/nghttp2.h>

#include <map>

#include "server/http/test_server.h"

namespace sluice::http::testing {
namespace {

using ::testing::HasSubstr;
using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct Answered {
  std::map<std::string, std::string> headers;
  std::vector<std::string> statuses;  // informational ones too
  std::string body;
  bool ended = false;  // END_STREAM came
  bool closed = false;
  uint32_t error = 0;
};

class Http2Client {
 public:
  explicit Http2Client(uint16_t port, bool automatic_windows = true, int receive_buffer = 0)
      : raw(port, receive_buffer) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    if (!automatic_windows) nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&session, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~Http2Client() { nghttp2_session_del(session); }

  // `body` empty: the request ends with its headers. `ends` false: the body stays open.
  int32_t ask(const std::string& method, const std::string& path, const std::string& body = "",
              const HeaderList& more = {}, bool ends = true) {
    HeaderList fields = {{":method", method}, {":scheme", "http"}, {":authority", "x"}, {":path", path}};
    fields.insert(fields.end(), more.begin(), more.end());
    std::vector<nghttp2_nv> values;
    for (auto& [name, value] : fields) {
      values.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(),
                        value.size(), 0});
    }
    nghttp2_data_provider provider{};
    bodies.push_back(std::make_unique<Body>(Body{body, 0, ends}));
    provider.source.ptr = bodies.back().get();
    provider.read_callback = read_body;
    return nghttp2_submit_request(session, nullptr, values.data(), values.size(),
                                  body.empty() && ends ? nullptr : &provider, nullptr);
  }

  // Sends and receives until `condition`; false when it never came true.
  template <class Condition>
  bool run(const Condition& condition, milliseconds patience = milliseconds(5000)) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      flush();
      if (condition()) break;
      if (std::chrono::steady_clock::now() > until) return false;
      raw.receive(milliseconds(10));
      feed();
      if (raw.ended()) return condition();
    }
    flush();
    return true;
  }
  void flush() {
    const uint8_t* bytes = nullptr;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(session, &bytes)) > 0)
      raw.send({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
  }
  void feed() {
    const std::string_view fresh = std::string_view(raw.received()).substr(fed);
    nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(fresh.data()), fresh.size());
    fed += fresh.size();
  }
  const Answered& answer(int32_t id) {
    run([&] { return answers[id].closed; });
    return answers[id];
  }

  RawClient raw;
  nghttp2_session* session = nullptr;
  std::map<int32_t, Answered> answers;
  std::optional<uint32_t> goaway;

 private:
  struct Body {
    std::string text;
    size_t sent;
    bool ends;
  };
  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    auto& body = *static_cast<Body*>(source->ptr);
    const size_t step = std::min(size, body.text.size() - body.sent);
    if (step == 0 && !body.ends) return NGHTTP2_ERR_DEFERRED;
    std::copy_n(body.text.data() + body.sent, step, into);
    body.sent += step;
    if (body.sent == body.text.size() && body.ends) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(step);
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* self) {
    Answered& answer = static_cast<Http2Client*>(self)->answers[frame->hd.stream_id];
    const std::string key(reinterpret_cast<const char*>(name), name_size);
    answer.headers[key] = std::string(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status") answer.statuses.push_back(answer.headers[key]);
    return 0;
  }
  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* self) {
    static_cast<Http2Client*>(self)->answers[id].body.append(reinterpret_cast<const char*>(bytes), size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    auto& client = *static_cast<Http2Client*>(self);
    if (frame->hd.type == NGHTTP2_GOAWAY) client.goaway = frame->goaway.error_code;
    const bool carries_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (carries_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) client.answers[frame->hd.stream_id].ended = true;
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t id, uint32_t error, void* self) {
    Answered& answer = static_cast<Http2Client*>(self)->answers[id];
    answer.closed = true;
    answer.error = error;
    return 0;
  }

  size_t fed = 0;
  std::vector<std::unique_ptr<Body>> bodies;
};

std::string patterned(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 11 + i / 253);
  return text;
}

TEST(Http2, AnswersManyStreamsAtOnce) {
  TestServer test;
  Http2Client client(test.port());
  std::vector<int32_t> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(client.ask("POST", "/echo", cat("body ", i)));
  for (int i = 0; i < 100; ++i) {
    const Answered& answer = client.answer(ids[static_cast<size_t>(i)]);
    EXPECT_EQ(answer.headers.at(":status"), "200");
    EXPECT_EQ(answer.headers.at("x-version"), "HTTP/2");
    EXPECT_EQ(answer.body, cat("body ", i));
    EXPECT_EQ(answer.headers.at("content-length"), std::to_string(answer.body.size()));
    EXPECT_TRUE(answer.ended);
  }
}

TEST(Http2, BodiesLargerThanEveryWindow) {
  TestServer test;
  Http2Client client(test.port());
  const std::string body = patterned(9'000'000);
  EXPECT_TRUE(client.answer(client.ask("POST", "/echo", body)).body == body);
}

TEST(Http2, StreamsHeadsAndErrors) {
  TestServer test;
  Http2Client client(test.port());
  EXPECT_EQ(client.answer(client.ask("GET", "/stream?n=4")).body, "0\n1\n2\n3\n");
  const Answered& head = client.answer(client.ask("HEAD", "/hello"));
  EXPECT_EQ(head.headers.at("content-length"), "6");
  EXPECT_EQ(head.body, "");
  const Answered& missing = client.answer(client.ask("GET", "/hell"));
  EXPECT_EQ(missing.headers.at(":status"), "404");
  EXPECT_THAT(missing.body, HasSubstr("not_found_error"));
  EXPECT_EQ(client.answer(client.ask("GET", "/../x")).headers.at(":status"), "400");
  EXPECT_EQ(client.answer(client.ask("GET", "/throw")).headers.at(":status"), "500");
  EXPECT_EQ(client.answer(client.ask("GET", "/v1/models/a%2Fb")).body, "a/b");
  const Answered& half = client.answer(client.ask("GET", "/half"));
  EXPECT_FALSE(half.ended);
  EXPECT_EQ(half.error, static_cast<uint32_t>(NGHTTP2_INTERNAL_ERROR));
  const Answered& injected = client.answer(client.ask("GET", "/inject?v=a%0d%0ab"));
  EXPECT_EQ(injected.headers.at("x-echo"), "a  b");
  EXPECT_EQ(client.answer(client.ask("GET", "/blocking")).body, "moved and back, from the pool");
}

// curl and httpx lose an answer that is followed by a reset while they send.
TEST(Http2, ABodyThatIsNotWantedMayBeSentToItsEnd) {
  TestServer test;
  Http2Client client(test.port());
  const auto begin = std::chrono::steady_clock::now();
  const Answered& refused = client.answer(client.ask("POST", "/none", std::string(3 << 20, 'x')));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1500));
  EXPECT_EQ(refused.headers.at(":status"), "404");
  EXPECT_TRUE(refused.ended);
  EXPECT_EQ(client.answer(client.ask("GET", "/hello")).headers.at(":status"), "200");
}

TEST(Http2, LimitsOfARequest) {
  ServerOptions options;
  options.limits.header_bytes_max = 4000;
  options.limits.headers_max = 20;
  TestServer test(options);
  Http2Client client(test.port());
  EXPECT_EQ(client.answer(client.ask("POST", "/tiny", std::string(100, 'x'))).headers.at(":status"), "200");
  const Answered& over = client.answer(client.ask("POST", "/tiny", std::string(101, 'x')));
  EXPECT_EQ(over.headers.at(":status"), "413");
  const int32_t open = client.ask("POST", "/tiny", "", {{"content-length", "5000"}}, false);
  ASSERT_TRUE(client.run([&] { return client.answers[open].ended; }));
  EXPECT_FALSE(client.answers[open].closed) << "the client is not cut off while it sends";
  const Answered& announced = client.answer(open);
  EXPECT_EQ(announced.headers.at(":status"), "413");
  EXPECT_TRUE(announced.ended);
  EXPECT_EQ(announced.error, static_cast<uint32_t>(NGHTTP2_NO_ERROR)) << "the rest of the body is not wanted";
  EXPECT_EQ(client.answer(client.ask("GET", "/hello", "", {{"x", std::string(4000, 'y')}})).headers.at(":status"),
            "431");
  HeaderList many;
  for (int i = 0; i < 21; ++i) many.emplace_back(cat("x", i), "y");
  EXPECT_EQ(client.answer(client.ask("GET", "/hello", "", many)).headers.at(":status"), "431");
  many.pop_back();
  EXPECT_EQ(client.answer(client.ask("GET", "/hello", "", many)).headers.at(":status"), "200");
}

TEST(Http2, ExpectContinue) {
  TestServer test;
  Http2Client client(test.port());
  const Answered& answer = client.answer(client.ask("POST", "/echo", "abc", {{"expect", "100-continue"}}));
  EXPECT_THAT(answer.statuses, ::testing::ElementsAre("100", "200"));
  EXPECT_EQ(answer.body, "abc");
}

TEST(Http2, AuthenticationComesBeforeTheBody) {
  ServerOptions options;
  options.authenticate = [](Request&, const Route&) -> Result<void> {
    return Error{ErrorCode::kUnauthenticated, "no", {}, {}};
  };
  TestServer test(options);
  Http2Client client(test.port());
  const Answered& answer = client.answer(client.ask("POST", "/echo", "begin", {}, false));
  EXPECT_EQ(answer.headers.at(":status"), "401");
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(client.answer(client.ask("GET", "/public")).headers.at(":status"), "200");
}

TEST(Http2, AResetReachesTheWaitingRouteAndSparesOthers) {
  TestServer test;
  Http2Client client(test.port());
  const int32_t id = client.ask("GET", "/wait");
  ASSERT_TRUE(client.run([&] { return test.observed.waiting == 1; }));
  nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  EXPECT_TRUE(client.run([&] { return test.observed.disconnects == 1 && test.observed.ended == 1; }));
  EXPECT_EQ(client.answer(client.ask("GET", "/hello")).body, "Hello\n");
}

TEST(Http2, EventsReachTheClientAsTheyCome) {
  TestServer test;
  Http2Client client(test.port());
  const int32_t id = client.ask("GET", "/wait");
  ASSERT_TRUE(client.run([&] { return test.observed.waiting == 1; }));
  std::string all;
  for (int i = 0; i < 5; ++i) {
    const std::string event = cat("event ", i, ';');
    all += event;
    test.observed.channel->push(event);
    EXPECT_TRUE(client.run([&] { return client.answers[id].body == all; }));
  }
  test.observed.channel->push_last("end");
  EXPECT_EQ(client.answer(id).body, all + "end");
}

TEST(Http2, AClosedConnectionReachesEveryRoute) {
  TestServer test;
  {
    Http2Client client(test.port());
    for (int i = 0; i < 10; ++i) client.ask("GET", "/wait");
    ASSERT_TRUE(client.run([&] { return test.observed.waiting == 10; }));
  }
  EXPECT_TRUE(eventually([&] { return test.observed.disconnects == 10 && test.observed.ended == 10; }));
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
}

TEST(Http2, AStreamThatIsNotReadIsReset) {
  ServerOptions options;
  options.limits.write_stall = milliseconds(300);
  TestServer test(options);
  // No window updates: the client takes 64 KiB and no more.
  Http2Client client(test.port(), false);
  const int32_t id = client.ask("GET", "/flood");
  EXPECT_TRUE(client.run([&] { return client.answers[id].closed; }));
  EXPECT_EQ(client.answers[id].error, static_cast<uint32_t>(NGHTTP2_CANCEL));
  EXPECT_EQ(client.answers[id].body.size(), 65535U);
  EXPECT_TRUE(eventually([&] { return test.observed.ended == 1; }));
  EXPECT_EQ(test.observed.last_error, static_cast<int>(ErrorCode::kDeadlineExceeded));
  EXPECT_LT(test.observed.flooded, 1 << 20);
}

TEST(Http2, AConnectionThatIsNotReadIsDropped) {
  ServerOptions options;
  options.limits.write_stall = milliseconds(300);
  TestServer test(options);
  Http2Client client(test.port(), true, 4096);
  nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
  nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30};
  nghttp2_submit_settings(client.session, NGHTTP2_FLAG_NONE, &window, 1);
  client.ask("GET", "/flood");
  client.flush();
  EXPECT_TRUE(eventually([&] { return test.observed.ended == 1; }));
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
}

TEST(Http2, SlowBodiesAndIdleConnections) {
  ServerOptions options;
  options.limits.body_read = milliseconds(200);
  options.limits.keep_alive = milliseconds(400);
  TestServer test(options);
  Http2Client client(test.port());
  const Answered& slow = client.answer(client.ask("POST", "/echo", "begin", {}, false));
  EXPECT_EQ(slow.headers.at(":status"), "408");
  EXPECT_TRUE(client.run([&] { return client.raw.ended(); }));
  EXPECT_EQ(client.goaway, static_cast<uint32_t>(NGHTTP2_NO_ERROR));
}

TEST(Http2, DrainLetsStreamsEnd) {
  TestServer test;
  Http2Client idle(test.port()), busy(test.port());
  EXPECT_EQ(idle.answer(idle.ask("GET", "/hello")).body, "Hello\n");
  const int32_t id = busy.ask("GET", "/wait");
  ASSERT_TRUE(busy.run([&] { return test.observed.waiting == 1; }));
  EXPECT_FALSE(test.server->drain(milliseconds(50)));
  EXPECT_TRUE(idle.run([&] { return idle.raw.ended(); }));
  EXPECT_EQ(idle.goaway, static_cast<uint32_t>(NGHTTP2_NO_ERROR));
  test.observed.channel->push_last("the end");
  EXPECT_EQ(busy.answer(id).body, "the end");
  EXPECT_TRUE(busy.run([&] { return busy.raw.ended(); }));
  idle.raw.close();
  busy.raw.close();
  EXPECT_TRUE(test.server->drain(milliseconds(5000)));
}

TEST(Http2, StopEndsStreams) {
  TestServer test;
  Http2Client client(test.port());
  client.ask("GET", "/wait");
  ASSERT_TRUE(client.run([&] { return test.observed.waiting == 1; }));
  test.server->stop();
  EXPECT_EQ(test.observed.ended, 1);
}

// Misbehaviour
// ----------------------------------------------------------------------------------------------------------

std::string frame(uint8_t type, uint8_t flags, uint32_t id, std::string_view payload = {}) {
  std::string out;
  const auto size = static_cast<uint32_t>(payload.size());
  for (const int shift : {16, 8, 0}) out += static_cast<char>(size >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(id >> shift);
  return out + std::string(payload);
}
const std::string kStart = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + frame(NGHTTP2_SETTINGS, 0, 0);
// GET http://x/wait by HPACK: indexed :method GET and :scheme http, literal :path and :authority.
const std::string kGetWait = "\x82\x86\x04\x05/wait\x01\x01x";

// What the server's GOAWAY says, or -1.
int goaway_error(const std::string& bytes) {
  for (size_t at = 0; at + 9 <= bytes.size();) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
    const size_t size = static_cast<size_t>(byte(0)) << 16 | static_cast<size_t>(byte(1)) << 8 | byte(2);
    if (byte(3) == NGHTTP2_GOAWAY && at + 17 <= bytes.size()) return byte(16);
    at += 9 + size;
  }
  return -1;
}

TEST(Http2, RapidResetEndsTheConnection) {
  TestServer test;
  RawClient client(test.port());
  std::string bytes = kStart;
  for (uint32_t id = 1; id < 2 * 2000; id += 2) {
    bytes += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, kGetWait);
    bytes += frame(NGHTTP2_RST_STREAM, 0, id, std::string("\0\0\0\x08", 4));
  }
  client.send(bytes);
  const std::string all = client.receive_all();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(goaway_error(all), NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_LE(test.observed.waiting, 400);
  EXPECT_TRUE(eventually([&] { return test.observed.ended == test.observed.waiting; }));
}

TEST(Http2, OrdinaryCancellationIsNoAttack) {
  TestServer test;
  Http2Client client(test.port());
  for (int i = 0; i < 50; ++i) {
    const int32_t id = client.ask("GET", "/wait");
    ASSERT_TRUE(client.run([&] { return test.observed.waiting == i + 1; }));
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
  EXPECT_EQ(client.answer(client.ask("GET", "/hello")).body, "Hello\n");
}

TEST(Http2, FloodsEndTheConnection) {
  TestServer test;
  const auto flood = [&](const std::string& start, const std::string& unit, int count) {
    RawClient client(test.port(), 4096);
    std::string bytes = kStart + start;
    for (int i = 0; i < count; ++i) bytes += unit;
    std::thread sending([&] { client.send(bytes); });
    // Does not read while it sends: what must be answered piles up at the server.
    sending.join();
    client.receive_all();
    return client.ended();
  };
  EXPECT_TRUE(flood(frame(NGHTTP2_HEADERS, 0, 1, kGetWait), frame(NGHTTP2_CONTINUATION, 0, 1), 5000)) << "CONTINUATION";
  EXPECT_TRUE(flood("", frame(NGHTTP2_PING, 0, 0, "12345678"), 300'000)) << "PING";
  EXPECT_TRUE(flood("", frame(NGHTTP2_SETTINGS, 0, 0, std::string("\0\x04\0\0\xff\xff", 6)), 300'000)) << "SETTINGS";
  EXPECT_TRUE(eventually([&] { return test.server->connections() == 0; }));
  EXPECT_EQ(test.observed.waiting, 0);
}

TEST(Http2, NonsenseEndsTheConnection) {
  TestServer test;
  const auto error_of = [&](const std::string& bytes) {
    RawClient client(test.port());
    client.send(kStart + bytes);
    const std::string all = client.receive_all();
    EXPECT_TRUE(client.ended());
    return goaway_error(all);
  };
  EXPECT_EQ(error_of(frame(NGHTTP2_DATA, 0, 0, "x")), NGHTTP2_PROTOCOL_ERROR);
  EXPECT_EQ(error_of(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff")),
            NGHTTP2_COMPRESSION_ERROR);
  EXPECT_EQ(error_of(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2, kGetWait)), NGHTTP2_PROTOCOL_ERROR);
  EXPECT_EQ(error_of(frame(NGHTTP2_SETTINGS, 0, 0, "123")), NGHTTP2_FRAME_SIZE_ERROR);
  EXPECT_EQ(error_of(frame(NGHTTP2_DATA, 0, 1, std::string(20000, 'x'))), NGHTTP2_FRAME_SIZE_ERROR);
  // The preface's beginning and then something else is HTTP/1, and wrong.
  RawClient client(test.port());
  client.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
  EXPECT_EQ(status_of(client.receive_all()), 505);
}

TEST(Http2, HeaderBlocksThatDoNotEnd) {
  ServerOptions options;
  options.limits.header_read = milliseconds(200);
  TestServer test(options);
  RawClient client(test.port());
  client.send(kStart + frame(NGHTTP2_HEADERS, 0, 1, kGetWait));
  client.receive_all();
  EXPECT_TRUE(client.ended());
}

TEST(Http2, MoreStreamsThanAllowedAreRefused) {
  ServerOptions options;
  options.limits.streams_max = 5;
  TestServer test(options);
  RawClient client(test.port());
  std::string bytes = kStart;
  for (uint32_t id = 1; id < 2 * 20; id += 2)
    bytes += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, kGetWait);
  client.send(bytes);
  ASSERT_TRUE(eventually([&] { return test.observed.waiting == 5; }));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(test.observed.waiting, 5);
}

}  // namespace
}  // namespace sluice::http::testing
