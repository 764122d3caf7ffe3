// Parsing of HTTP/1 requests: rules against smuggling one by one, limits at the limit, and llhttp's own test vectors.

#include "server/http/http1_parser.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <tuple>

#include "base/file.h"
#include "base/strings.h"

namespace sluice::http {
namespace {

using ::testing::HasSubstr;

struct Parsed {
  int status = 0;  // 0: parsed; else of the error; -1: more bytes are needed
  std::string message;
  Request request;
  Framing framing;
};

// One request at the front of `bytes`, which are advanced past it. `step`: how many bytes the scanner is given at a
// time.
Parsed parse(std::string_view& bytes, const HeadLimits& limits = {}, size_t step = SIZE_MAX,
             size_t body_max = 1 << 20) {
  Parsed parsed;
  const auto failed = [&](const ProtocolError& error) {
    parsed.status = error.status;
    parsed.message = error.message;
    return std::move(parsed);
  };
  HeadScanner scanner(limits);
  size_t given = std::min(step, bytes.size());
  while (!scanner.scan(bytes.substr(0, given))) {
    if (given == bytes.size()) {
      parsed.status = -1;
      return parsed;
    }
    given = std::min(bytes.size(), given + step);
  }
  if (scanner.error()) return failed(*scanner.error());
  const std::string_view head = bytes.substr(scanner.begin(), scanner.end() - scanner.begin());
  if (const auto error = parse_head(head, limits, parsed.request, parsed.framing)) return failed(*error);
  bytes.remove_prefix(scanner.end());
  if (parsed.framing.chunked) {
    ChunkDecoder decoder(body_max, limits);
    while (!decoder.done() && !decoder.error() && !bytes.empty()) {
      bytes.remove_prefix(decoder.decode(bytes.substr(0, step), parsed.request.body));
    }
    if (decoder.error()) return failed(*decoder.error());
    if (!decoder.done()) parsed.status = -1;
  } else {
    if (bytes.size() < parsed.framing.content_length) parsed.status = -1;
    const auto size = std::min<size_t>(bytes.size(), parsed.framing.content_length);
    parsed.request.body = bytes.substr(0, size);
    bytes.remove_prefix(size);
  }
  return parsed;
}

int status_of(std::string_view bytes) { return parse(bytes).status; }
// The status of a request with these header lines.
int status_with(std::string_view lines, std::string_view body = "") {
  return status_of(cat("POST /x HTTP/1.1\r\nHost: a\r\n", lines, "\r\n", body));
}

TEST(Http1Parser, ReadsTheParts) {
  std::string_view bytes =
      "\r\n\r\nPOST /a%20b/c?x=1&y=%20 HTTP/1.1\r\nHost: Example.org:80\r\nX-Empty:\r\nX-Blanks: \t two words "
      "\t\r\nCONTENT-length: 3\r\n\r\nabcrest";
  const Parsed parsed = parse(bytes);
  ASSERT_EQ(parsed.status, 0) << parsed.message;
  EXPECT_EQ(parsed.request.method, "POST");
  EXPECT_EQ(parsed.request.path, "/a b/c");
  EXPECT_EQ(parsed.request.target, "/a%20b/c?x=1&y=%20");
  EXPECT_EQ(parsed.request.query_param("x"), "1");
  EXPECT_EQ(parsed.request.query_param("y"), " ");
  EXPECT_EQ(parsed.request.query_param("z"), std::nullopt);
  EXPECT_EQ(parsed.request.host, "Example.org:80");
  EXPECT_EQ(parsed.request.headers.find("x-empty"), "");
  EXPECT_EQ(parsed.request.headers.get("X-BLANKS"), "two words");
  EXPECT_EQ(parsed.request.body, "abc");
  EXPECT_TRUE(parsed.framing.keep_alive);
  EXPECT_EQ(bytes, "rest");
}

TEST(Http1Parser, RefusesWhatCouldBeSmuggled) {
  EXPECT_EQ(status_with("Content-Length: 3\r\n", "abc"), 0);
  EXPECT_EQ(status_with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400);
  EXPECT_EQ(status_with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"), 400);
  EXPECT_EQ(status_with("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), 400);
  EXPECT_EQ(status_with("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400);
  for (const char* length :
       {"", "+3", "-3", "3,3", "0x3", "3 3", "3a", "1e1", "99999999999999999999", "18446744073709551619"}) {
    EXPECT_EQ(status_with(cat("Content-Length: ", length, "\r\n"), "abc"), 400) << length;
  }
  for (const char* coding : {"identity", "chunked, chunked", "chunked, gzip", "xchunked", "chunked;q=1",
                             "\x0b"
                             "chunked",
                             ""}) {
    EXPECT_EQ(status_with(cat("Transfer-Encoding: ", coding, "\r\n"), "0\r\n\r\n"), 400) << coding;
  }
  EXPECT_EQ(status_with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501);
  EXPECT_EQ(status_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_with("Content-Length : 3\r\n", "abc"), 400);
  EXPECT_EQ(status_with("X: a\r\n b\r\n"), 400);
  EXPECT_EQ(status_with(" X: a\r\n"), 400);
  EXPECT_EQ(status_with("X\r\n"), 400);
  EXPECT_EQ(status_with(": a\r\n"), 400);
  EXPECT_EQ(status_with("X(: a\r\n"), 400);
  EXPECT_EQ(status_with(std::string("X: a\0b\r\n", 8)), 400);
  EXPECT_EQ(status_with("X: a\rb\r\n"), 400);
  EXPECT_EQ(status_with("X: a\nY: b\r\n"), 400);
  EXPECT_EQ(status_with("X: a\x7f\r\n"), 400);
  EXPECT_EQ(status_with("X: caf\xc3\xa9\tx\r\n"), 0);
}

TEST(Http1Parser, RequestLines) {
  const auto line = [](std::string_view first) { return status_of(cat(first, "\r\nHost: a\r\n\r\n")); };
  EXPECT_EQ(line("GET / HTTP/1.1"), 0);
  EXPECT_EQ(line("M-SEARCH / HTTP/1.1"), 0);
  EXPECT_EQ(line("OPTIONS * HTTP/1.1"), 0);
  for (const char* bad : {"GET /",
                          "GET  / HTTP/1.1",
                          "GET / HTTP/1.1 ",
                          " GET / HTTP/1.1",
                          "GET\t/ HTTP/1.1",
                          "GET / http/1.1",
                          "GET / HTTP/1.",
                          "GET / HTTP/11",
                          "GET * HTTP/1.1",
                          "GET x HTTP/1.1",
                          "GET /a b HTTP/1.1",
                          "GET /\x01 HTTP/1.1",
                          "GET /caf\xc3\xa9 HTTP/1.1",
                          "GET /#a HTTP/1.1",
                          "GET /%zz HTTP/1.1",
                          "GET /%4 HTTP/1.1",
                          "GET /%00 HTTP/1.1",
                          "GET /%ff HTTP/1.1",
                          "GET /a/../b HTTP/1.1",
                          "GET /a/%2E%2e HTTP/1.1",
                          "GET /. HTTP/1.1",
                          "GET http:///x HTTP/1.1",
                          "GET ftp://h/x HTTP/1.1",
                          "G@T / HTTP/1.1",
                          "GET /\rx HTTP/1.1",
                          "GET / HTTP/1.1\rx"}) {
    EXPECT_EQ(line(bad), 400) << bad;
  }
  EXPECT_EQ(line("GET / HTTP/2.0"), 505);
  EXPECT_EQ(line("GET / HTTP/1.2"), 505);
  EXPECT_EQ(line("CONNECT a:1 HTTP/1.1"), 501);
  EXPECT_EQ(line(std::string(25, 'A') + " / HTTP/1.1"), 501);
  EXPECT_EQ(status_of("GET / HTTP/1.1\n\n"), 400);
  EXPECT_EQ(status_of("\x16\x03\x01"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400) << "no Host";
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 0);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
  std::string_view absolute = "GET HTTP://u.example:8?q HTTP/1.1\r\nHost: a\r\n\r\n";
  const Parsed parsed = parse(absolute);
  EXPECT_EQ(parsed.request.host, "u.example:8");
  EXPECT_EQ(parsed.request.target, "/?q");
  EXPECT_EQ(parsed.request.path, "/");
}

TEST(Http1Parser, LimitsHoldAtTheLimit) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string end = "\r\n\r\n";
  const HeadLimits limits{1024, 4};
  for (const size_t step : {size_t{1}, size_t{7}, SIZE_MAX}) {
    const std::string fits = start + std::string(1024 - start.size() - end.size(), 'x') + end;
    std::string_view bytes = fits;
    EXPECT_EQ(parse(bytes, limits, step).status, 0);
    const std::string over = start + std::string(1024 - start.size() - end.size() + 1, 'x') + end;
    bytes = over;
    EXPECT_EQ(parse(bytes, limits, step).status, 431);
    const std::string line = "GET /" + std::string(2000, 'x');
    bytes = line;
    EXPECT_EQ(parse(bytes, limits, step).status, 414);
    const std::string blank(2000, '\n');
    bytes = blank;
    EXPECT_EQ(parse(bytes, limits, step).status, 400);
    std::string empty_lines;
    for (int i = 0; i < 600; ++i) empty_lines += "\r\n";
    bytes = empty_lines;
    EXPECT_EQ(parse(bytes, limits, step).status, 431);
  }
  std::string_view four = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n";
  EXPECT_EQ(parse(four, limits).status, 0);
  std::string_view five = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n";
  EXPECT_EQ(parse(five, limits).status, 431);
}

TEST(Http1Parser, Chunks) {
  const auto chunks = [](std::string_view text, size_t body_max = 100, size_t step = SIZE_MAX) {
    ChunkDecoder decoder(body_max, HeadLimits{256, 2});
    std::string body;
    while (!text.empty() && !decoder.done() && !decoder.error())
      text.remove_prefix(decoder.decode(text.substr(0, step), body));
    return decoder.error() ? std::to_string(decoder.error()->status) : decoder.done() ? body : "more";
  };
  for (const size_t step : {size_t{1}, size_t{2}, SIZE_MAX}) {
    EXPECT_EQ(chunks("3\r\nabc\r\n02;x=\"y\"\r\nde\r\n000\r\n\r\n", 100, step), "abcde");
    EXPECT_EQ(chunks("A\r\n0123456789\r\n0\r\nT: v\r\nU: w\r\n\r\nleft", 100, step), "0123456789");
    EXPECT_EQ(chunks("3\r\nabc\r\n", 100, step), "more");
    EXPECT_EQ(chunks(cat("64\r\n", std::string(100, 'x'), "\r\n0\r\n\r\n"), 100, step), std::string(100, 'x'));
    EXPECT_EQ(chunks(cat("65\r\n", std::string(101, 'x'), "\r\n0\r\n\r\n"), 100, step), "413");
    EXPECT_EQ(chunks("ffffffffffffff\r\n", 100, step), "413");
    EXPECT_EQ(chunks(cat("0\r\nT: ", std::string(300, 'x'), "\r\n\r\n"), 100, step), "431");
    EXPECT_EQ(chunks("0\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n", 100, step), "431");
    for (const char* bad :
         {"\r\n", "g\r\n", "-1\r\n", "+1\r\n", "0x1\r\na\r\n", " 1\r\na\r\n", "1 \r\na\r\n", "1\na\r\n", "1\r\nab\r\n",
          "1\r\na\n0\r\n\r\n", "1;\x01\r\na\r\n", "fffffffffffffffff\r\n", "00000000000000001\r\n", "0\r\nbad\r\n\r\n",
          "0\r\nA : 1\r\n\r\n", "0\r\nA: 1\n\r\n", "1\r\na\r\n\r\n", "1;a\n\r\n", "1;\r\na\r\n"}) {
      EXPECT_EQ(chunks(bad, 100, step), "400") << bad;
    }
  }
}

// llhttp's vectors
// ------------------------------------------------------------------------------------------------------

struct Vector {
  std::string file, name, type, input, log;
};

// The escapes of llhttp's test files: a line that ends in a backslash goes on, \r \n \t \f and \xHH; line ends become
// CRLF.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      out += "\r\n";
    } else if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else {
      const char c = text[++i];
      if (c == '\n') continue;
      if (c == 'r')
        out += '\r';
      else if (c == 'n')
        out += '\n';
      else if (c == 't')
        out += '\t';
      else if (c == 'f')
        out += '\f';
      else if (c == 'x') {
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
        i += 2;
      } else {
        out += '\\';
        out += c;
      }
    }
  }
  return out;
}

std::string fenced(std::string_view text, std::string_view fence, size_t* at) {
  const size_t begin = text.find(fence, *at);
  if (begin == std::string_view::npos) return {};
  const size_t from = text.find('\n', begin) + 1;
  const size_t to = text.find("\n```", from - 1);
  *at = to + 4;
  return std::string(text.substr(from, to > from ? to - from : 0));
}

std::vector<Vector> read_vectors(const std::filesystem::path& folder) {
  std::vector<Vector> vectors;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string text = read_file(entry.path().string()).value();
    for (size_t at = text.find("<!-- meta="); at != std::string::npos; at = text.find("<!-- meta=", at)) {
      Vector vector;
      vector.file = entry.path().filename().string();
      const size_t title = text.rfind("\n#", at);
      const size_t title_text = text.find(' ', title) + 1;
      vector.name = text.substr(title_text, text.find('\n', title_text) - title_text);
      const size_t type = text.find("\"type\"", at) + 6;
      const size_t quote = text.find('"', type) + 1;
      vector.type = text.substr(quote, text.find('"', quote) - quote);
      vector.input = unescape(fenced(text, "```http", &at));
      vector.log = fenced(text, "```log", &at);
      vectors.push_back(std::move(vector));
    }
  }
  return vectors;
}

// Requests one after the other as on a connection: the last one and all bodies together.
std::pair<Parsed, std::string> parse_all(std::string_view bytes) {
  Parsed parsed;
  std::string body;
  while (!bytes.empty()) {
    parsed = parse(bytes);
    body += parsed.request.body;
    if (parsed.status != 0 || !parsed.framing.keep_alive) break;
  }
  return {std::move(parsed), std::move(body)};
}

// The text of all spans of one kind, one after the other.
std::string spans(const std::string& log, const std::string& kind) {
  std::string out;
  const std::string mark = "span[" + kind + "]=\"";
  for (size_t at = log.find(mark); at != std::string::npos; at = log.find(mark, at)) {
    at += mark.size();
    out += unescape(
        log.substr(at, log.find("\"\n", at) == std::string::npos ? log.rfind('"') - at : log.find("\"\n", at) - at));
  }
  return out;
}

// Where we refuse, by design, what llhttp takes.
const char* stricter(const Vector& vector, const Parsed& parsed) {
  if (vector.input.find(" ICE/") != std::string::npos || vector.input.find(" RTSP/") != std::string::npos)
    return "other protocols";
  if (vector.name == "No HTTP version") return "HTTP/0.9";
  if (parsed.status == 501) return "codings other than chunked, CONNECT";
  if (parsed.status == 505) return "other versions";
  for (const char* reason : {"Host has", "fragment", "'*'", "must begin with '/'", "percent-encoded",
                             "names no sound host", "bare line feed", "expectation", "HTTP/1.0"}) {
    if (parsed.message.find(reason) != std::string::npos) return reason;
  }
  return nullptr;
}

TEST(Http1Parser, AgreesWithLlhttpsVectors) {
  const char* shared = std::getenv("SLUICE_SHARED_DATA");
  const std::filesystem::path folder = std::filesystem::path(shared ? shared : SLUICE_SOURCE_DIR "/../shared/data") /
                                       "conformance/llhttp-md/test/request";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "no llhttp vectors at " << folder;
  int agreed = 0, refused_both = 0, strict = 0;
  std::map<std::string, int> why;
  for (const Vector& vector : read_vectors(folder)) {
    const bool error_expected = vector.log.find("error code=") != std::string::npos &&
                                vector.log.find("reason=\"Pause") == std::string::npos &&
                                vector.log.find(" pause") == std::string::npos;
    if (vector.type != "request" || vector.log.find("skip body") != std::string::npos) {
      // Leniency we do not have: it must only not be taken for something else.
      std::string_view bytes = vector.input;
      while (!bytes.empty() && parse(bytes).status == 0) {
      }
      continue;
    }
    // llhttp names an error at its first byte; we may need the head to be whole. It does not ask for Host.
    std::string input = vector.input + (error_expected ? "\r\n\r\n" : "");
    auto [parsed, body] = parse_all(input);
    if (parsed.message.find("asks for a Host") != std::string::npos) {
      for (size_t at = input.find(" HTTP/1.1\r\n"); at != std::string::npos; at = input.find(" HTTP/1.1\r\n", at + 1)) {
        input.insert(at + 11, "Host: h\r\n");
      }
      std::tie(parsed, body) = parse_all(input);
    }
    const std::string label =
        cat(vector.file, ": ", vector.name, "\n", vector.input, "\nours: ", parsed.status, ' ', parsed.message);
    if (parsed.status > 0) {
      if (error_expected) {
        ++refused_both;
        continue;
      }
      const char* reason = stricter(vector, parsed);
      EXPECT_NE(reason, nullptr) << "refused though llhttp takes it: " << label;
      ++strict;
      if (reason) ++why[reason];
      continue;
    }
    const bool method_unknown = vector.log.find("nvalid method") != std::string::npos ||
                                vector.log.find("space after method") != std::string::npos;
    if (error_expected && method_unknown) {
      ++why["unknown methods, left to the router"];
      continue;
    }
    if (vector.log.find("Data after `Connection: close`") != std::string::npos) {
      ++why["bytes after the last request, never looked at"];
      continue;
    }
    if (error_expected) {
      ADD_FAILURE() << "taken though llhttp refuses it: " << label << "\n" << vector.log;
      continue;
    }
    EXPECT_EQ(body, spans(vector.log, "body")) << label;
    ++agreed;
  }
  std::string reasons;
  for (const auto& [reason, count] : why) reasons += cat(' ', reason, '=', count);
  RecordProperty("vectors", cat("taken by both ", agreed, ", refused by both ", refused_both, ", stricter here ",
                                strict, ':', reasons));
  printf("%d taken by both, %d refused by both, %d refused only here:%s\n", agreed, refused_both, strict,
         reasons.c_str());
  EXPECT_GT(agreed, 10);
  EXPECT_GT(refused_both, 30);
}

}  // namespace
}  // namespace sluice::http
