#include "server/http/http1_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice::http {
namespace {

constexpr size_t kRequestLineMax = 32768;  // past it 414, when the whole head may be longer
constexpr size_t kMethodMax = 24;
constexpr size_t kChunkExtensionBytesMax = 16384;

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<size_t>(c)] = true;
  }
  return table;
}
constexpr std::array<bool, 256> kTokenCharacter = make_token_table();

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<ProtocolError> parse_version(std::string_view version, Request& request) {
  if (version == "HTTP/1.1") {
    request.version = Version::kHttp11;
  } else if (version == "HTTP/1.0") {
    request.version = Version::kHttp10;
  } else {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    const bool sound = version.size() == 8 && version.starts_with("HTTP/") && digit(version[5]) && version[6] == '.' &&
                       digit(version[7]);
    if (!sound) return ProtocolError{400, "the request line must be: method, one space, target, one space, HTTP/1.1"};
    return ProtocolError{505, "this server speaks HTTP/1.0, HTTP/1.1 and HTTP/2, not " + std::string(version)};
  }
  return std::nullopt;
}

std::optional<ProtocolError> parse_request_line(std::string_view line, Request& request) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return ProtocolError{400, "the request line must be: method, one space, target, one space, HTTP/1.1"};
  }
  const std::string_view method = line.substr(0, first);
  if (!valid_token(method)) return ProtocolError{400, "the method is not a token of letters"};
  if (method.size() > kMethodMax) return ProtocolError{501, "the method is not known here"};
  request.method = method;
  if (auto error = parse_version(line.substr(last + 1), request)) return error;
  if (method == "CONNECT") return ProtocolError{501, "CONNECT is not supported: this server is no proxy"};
  return read_target(line.substr(first + 1, last - first - 1), request);
}

std::optional<ProtocolError> parse_length(std::string_view value, Framing& framing) {
  if (framing.has_length) return ProtocolError{400, "Content-Length is sent more than once"};
  if (value.empty() || value.size() > 18)
    return ProtocolError{400, "Content-Length is not a decimal number of at most 18 digits"};
  uint64_t length = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return ProtocolError{400, "Content-Length is not a decimal number of at most 18 digits"};
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  framing.has_length = true;
  framing.content_length = length;
  return std::nullopt;
}

std::optional<ProtocolError> parse_coding(std::string_view value, const Request& request, Framing& framing) {
  if (request.version == Version::kHttp10) return ProtocolError{400, "Transfer-Encoding is not part of HTTP/1.0"};
  if (framing.chunked) return ProtocolError{400, "Transfer-Encoding is sent more than once"};
  if (equals_ignoring_case(value, "chunked")) {
    framing.chunked = true;
    return std::nullopt;
  }
  const size_t comma = value.rfind(',');
  const std::string_view final_coding = comma == std::string_view::npos ? value : trim_blanks(value.substr(comma + 1));
  const bool chunked_once = equals_ignoring_case(final_coding, "chunked") &&
                            !list_has_token(value.substr(0, comma == std::string_view::npos ? 0 : comma), "chunked");
  if (chunked_once)
    return ProtocolError{501, "the only transfer coding supported is 'chunked'; send the body uncompressed"};
  return ProtocolError{400, "the last transfer coding of a request must be 'chunked', once"};
}

// Fields with a meaning for framing; all are stored by the caller.
std::optional<ProtocolError> read_field(std::string_view name, std::string_view value, Request& request,
                                        Framing& framing) {
  switch (name.size()) {
    case 4:
      if (equals_ignoring_case(name, "host")) {
        if (request.headers.has("host")) return ProtocolError{400, "Host is sent more than once"};
        if (!valid_host(value)) return ProtocolError{400, "Host has a character that no host name has"};
      }
      break;
    case 6:
      if (equals_ignoring_case(name, "expect") && request.version == Version::kHttp11) {
        if (!equals_ignoring_case(value, "100-continue"))
          return ProtocolError{417, "the only expectation supported is 100-continue"};
        framing.expect_continue = true;
      }
      break;
    case 10:
      if (equals_ignoring_case(name, "connection")) {
        if (list_has_token(value, "close")) {
          framing.keep_alive = false;
        } else if (request.version == Version::kHttp10 && list_has_token(value, "keep-alive")) {
          framing.keep_alive = true;
        }
      }
      break;
    case 14:
      if (equals_ignoring_case(name, "content-length")) return parse_length(value, framing);
      break;
    case 17:
      if (equals_ignoring_case(name, "transfer-encoding")) return parse_coding(value, request, framing);
      break;
    default:
      break;
  }
  return std::nullopt;
}

// "name: value" without its line end.
std::optional<ProtocolError> split_field(std::string_view line, std::string_view& name, std::string_view& value) {
  if (line[0] == ' ' || line[0] == '\t')
    return ProtocolError{400, "a header is folded over two lines, which HTTP no longer allows"};
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return ProtocolError{400, "a header line has no colon"};
  name = line.substr(0, colon);
  if (!valid_token(name))
    return ProtocolError{400, "a header's name is empty or has a space or another character that names do not have"};
  value = trim_blanks(line.substr(colon + 1));
  if (!valid_field_value(value)) return ProtocolError{400, "a header's value has a control character"};
  return std::nullopt;
}

}  // namespace

bool valid_token(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return kTokenCharacter[static_cast<unsigned char>(c)]; });
}

bool valid_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
  });
}

bool HeadScanner::scan(std::string_view bytes) {
  if (error_ || end_ > 0) return true;
  size_t from = std::max(line_, searched_);
  while (true) {
    const auto* newline = from < bytes.size()
                              ? static_cast<const char*>(std::memchr(bytes.data() + from, '\n', bytes.size() - from))
                              : nullptr;
    if (newline == nullptr) break;
    const auto at = static_cast<size_t>(newline - bytes.data());
    if (at >= limits_.bytes_max) break;
    if (at == line_ || bytes[at - 1] != '\r') return fail(400, "a line ends in a bare line feed: lines end in CR LF");
    const bool empty = at - 1 == line_;
    if (!empty && !kTokenCharacter[static_cast<unsigned char>(bytes[begin_])]) {
      return fail(400, "this is not an HTTP request");
    }
    if (empty && line_ > begin_) {
      end_ = at + 1;
      return true;
    }
    line_ = from = at + 1;
    if (empty) begin_ = line_;
  }
  searched_ = bytes.size();
  const char* const first = begin_ < bytes.size() ? bytes.data() + begin_ : nullptr;
  if (first != nullptr && *first != '\r' && !kTokenCharacter[static_cast<unsigned char>(*first)]) {
    return fail(400, "this is not an HTTP request; is the client speaking TLS to a port without it?");
  }
  if (line_ == begin_ && bytes.size() - begin_ >= std::min(kRequestLineMax, limits_.bytes_max)) {
    return fail(414, "the request line is too long");
  }
  if (bytes.size() >= limits_.bytes_max) return fail(431, "the request's headers are too large together");
  return false;
}

std::optional<ProtocolError> parse_head(std::string_view head, const HeadLimits& limits, Request& request,
                                        Framing& framing) {
  size_t line_end = head.find('\r');
  if (head[line_end + 1] != '\n')
    return ProtocolError{400, "the request line has a carriage return that does not end it"};
  if (auto error = parse_request_line(head.substr(0, line_end), request)) return error;
  framing.keep_alive = request.version == Version::kHttp11;
  head.remove_prefix(line_end + 2);
  const bool absolute = !request.host.empty();
  while (true) {
    line_end = head.find('\r');
    if (line_end + 1 >= head.size() || head[line_end + 1] != '\n') {
      return ProtocolError{400, "a header has a carriage return that does not end its line"};
    }
    if (line_end == 0) break;
    std::string_view name, value;
    if (auto error = split_field(head.substr(0, line_end), name, value)) return error;
    if (auto error = read_field(name, value, request, framing)) return error;
    if (request.headers.size() == limits.fields_max) return ProtocolError{431, "the request has too many headers"};
    request.headers.add(name, value);
    head.remove_prefix(line_end + 2);
  }
  if (framing.chunked && framing.has_length)
    return ProtocolError{400, "both Transfer-Encoding and Content-Length are sent"};
  const std::optional<std::string_view> host = request.headers.find("host");
  if (!host && request.version == Version::kHttp11) return ProtocolError{400, "HTTP/1.1 asks for a Host header"};
  if (host && !absolute) request.host = *host;
  return std::nullopt;
}

void ChunkDecoder::fail(int status, const char* message) { error_ = ProtocolError{status, message}; }

// The line before a chunk: its size, perhaps extensions, CR LF.
void ChunkDecoder::read_size_line(char c, size_t body_size) {
  const int digit = hex_digit(c);
  switch (state_) {
    case State::kSize:
      if (digit >= 0) {
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        if (++digits_ > 15) fail(400, "a chunk's size has too many digits");
      } else if (digits_ == 0) {
        fail(400, "a chunk does not begin with its size in hexadecimal digits");
      } else if (c == ';') {
        state_ = State::kExtensionStart;
      } else if (c == '\r') {
        state_ = State::kSizeLf;
      } else {
        fail(400, "a chunk's size is followed by something else than ';' or CR LF");
      }
      break;
    case State::kExtensionStart:
    case State::kExtension:
      if (++extension_bytes_ > kChunkExtensionBytesMax) fail(400, "the chunk extensions are too long");
      if (c == '"') quoted_ = !quoted_;
      if (c == '\r' && (quoted_ || state_ == State::kExtensionStart))
        fail(400, "a chunk extension is empty or a quote in it does not end");
      if (c != '\r' && !valid_field_value({&c, 1})) fail(400, "a chunk extension has a control character");
      state_ = c == '\r' ? State::kSizeLf : State::kExtension;
      break;
    default:
      if (c != '\n') return fail(400, "a chunk's size line does not end in CR LF");
      if (left_ > body_bytes_max_ - std::min(body_bytes_max_, body_size)) return fail(413, "the body is too large");
      digits_ = 0;
      state_ = left_ == 0 ? State::kTrailer : State::kBytes;
      break;
  }
}

void ChunkDecoder::read_trailer(char c) {
  if (++trailer_bytes_ > trailers_.bytes_max) return fail(431, "the trailers are too large together");
  if (c != '\n') {
    line_ += c;
    return;
  }
  if (line_.empty() || line_.back() != '\r') return fail(400, "a trailer line does not end in CR LF");
  line_.pop_back();
  if (line_.empty()) {
    state_ = State::kDone;
    return;
  }
  std::string_view name, value;
  error_ = split_field(line_, name, value);
  if (!error_ && ++trailer_fields_ > trailers_.fields_max) fail(431, "the body has too many trailers");
  line_.clear();
}

size_t ChunkDecoder::decode(std::string_view bytes, std::string& body) {
  size_t at = 0;
  while (at < bytes.size() && state_ != State::kDone && !error_) {
    const char c = bytes[at];
    if (state_ == State::kBytes) {
      const auto take = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - at));
      body.append(bytes.substr(at, take));
      left_ -= take;
      at += take;
      if (left_ == 0) state_ = State::kBytesCr;
      continue;
    }
    ++at;
    if (state_ == State::kBytesCr || state_ == State::kBytesLf) {
      if (c != (state_ == State::kBytesCr ? '\r' : '\n')) fail(400, "a chunk is longer than its size");
      state_ = state_ == State::kBytesCr ? State::kBytesLf : State::kSize;
    } else if (state_ == State::kTrailer) {
      read_trailer(c);
    } else {
      read_size_line(c, body.size());
    }
  }
  return at;
}

}  // namespace sluice::http
