#pragma once
// HTTP/1 requests (RFC 9112), read strictly: what two servers in a row could read differently is refused with 400, so
// that no request can be smuggled past another one. Pure functions of bytes: no socket, no clock.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/request.h"
#include "server/http/uri.h"

namespace sluice::http {

struct HeadLimits {
  size_t bytes_max = size_t{64} << 10;  // request line and fields, line ends included
  size_t fields_max = 256;
};

// Finds the end of a request's head in bytes that arrive piece by piece; each byte is looked at once. Lines end in
// CRLF; a bare LF is an error. Empty lines before the request line are skipped (they count against the limit).
class HeadScanner {
 public:
  explicit HeadScanner(const HeadLimits& limits) : limits_(limits) {}

  // `bytes`: all that came since the last reset. True when the head is whole (see begin and end), or error() is set.
  bool scan(std::string_view bytes);
  size_t begin() const { return begin_; }  // of the request line
  size_t end() const { return end_; }      // one past the empty line
  const std::optional<ProtocolError>& error() const { return error_; }
  void reset() { *this = HeadScanner(limits_); }

 private:
  bool fail(int status, const char* message) {
    error_ = ProtocolError{status, message};
    return true;
  }

  HeadLimits limits_;
  size_t begin_ = 0;
  size_t line_ = 0;      // where the line being read begins
  size_t searched_ = 0;  // no line end before here
  size_t end_ = 0;
  std::optional<ProtocolError> error_;
};

// How the body of a request is delimited, and what becomes of the connection after it.
struct Framing {
  bool chunked = false;
  uint64_t content_length = 0;  // when not chunked
  bool has_length = false;      // Content-Length was sent
  bool keep_alive = true;
  bool expect_continue = false;  // the client waits for 100 before it sends the body
};

// Reads the head [begin, end) that a HeadScanner found into method, target, path, query, headers, host and version of
// `request`.
std::optional<ProtocolError> parse_head(std::string_view head, const HeadLimits& limits, Request& request,
                                        Framing& framing);

// Takes a chunked body apart. Trailers are checked and dropped.
class ChunkDecoder {
 public:
  ChunkDecoder(size_t body_bytes_max, const HeadLimits& trailers)
      : body_bytes_max_(body_bytes_max), trailers_(trailers) {}

  // Appends what `bytes` holds of the body to `body` and returns how many bytes were used: all, unless done() or
  // error().
  size_t decode(std::string_view bytes, std::string& body);
  bool done() const { return state_ == State::kDone; }
  const std::optional<ProtocolError>& error() const { return error_; }  // 400, 413 or 431

 private:
  enum class State { kSize, kExtensionStart, kExtension, kSizeLf, kBytes, kBytesCr, kBytesLf, kTrailer, kDone };
  void fail(int status, const char* message);
  void read_size_line(char c, size_t body_size);
  void read_trailer(char c);

  size_t body_bytes_max_;
  HeadLimits trailers_;
  State state_ = State::kSize;
  uint64_t left_ = 0;  // of the chunk being read
  int digits_ = 0;
  size_t extension_bytes_ = 0;  // over all chunks
  bool quoted_ = false;         // inside a quoted extension
  size_t trailer_bytes_ = 0;
  size_t trailer_fields_ = 0;
  std::string line_;  // of the trailer
  std::optional<ProtocolError> error_;
};

// RFC 9110 tokens (methods, field names) and field values.
bool valid_token(std::string_view text);
bool valid_field_value(std::string_view text);

}  // namespace sluice::http
