// Bytes of a client to the whole connection logic (HTTP/1, and HTTP/2 when they begin with its preface). Whatever
// comes, the answers are well-formed responses one after the other, whole ones as long as they say.

#include <cstdint>
#include <string>

#include "server/http/memory_connection.h"

namespace {

using sluice::http::testing::serve_bytes;

// Takes one response off the front. `last`: it says that the connection closes.
void take_response(std::string_view& bytes, bool& last) {
  SLUICE_CHECK(bytes.starts_with("HTTP/1.1 ") || bytes.starts_with("HTTP/1.0 "), "the answer is no response");
  const size_t end = bytes.find("\r\n\r\n");
  SLUICE_CHECK(end != std::string_view::npos, "a response's head does not end");
  const std::string_view head = bytes.substr(0, end + 4);
  const bool interim = bytes.substr(9, 1) == "1";
  bytes.remove_prefix(head.size());
  last = head.find("\r\nconnection: close\r\n") != std::string_view::npos;
  const size_t length_at = head.find("\r\ncontent-length: ");
  const bool chunked = head.find("\r\ntransfer-encoding: chunked\r\n") != std::string_view::npos;
  SLUICE_CHECK(!(chunked && length_at != std::string_view::npos), "a response has two lengths");
  if (interim || (!chunked && length_at == std::string_view::npos)) return;
  if (chunked) {
    const size_t finish = bytes.find("\r\n0\r\n\r\n");
    // The body of a HEAD's answer is not there.
    if (finish == std::string_view::npos || bytes.starts_with("HTTP/")) return;
    bytes.remove_prefix(finish + 7);
    return;
  }
  const size_t length = std::stoul(std::string(head.substr(length_at + 18)));
  if (bytes.starts_with("HTTP/1.") || bytes.empty()) return;
  SLUICE_CHECK(bytes.size() >= length, "a body is shorter than its length");
  bytes.remove_prefix(length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static constexpr size_t kPieces[] = {1, 2, 7, 64, 1000, 1 << 20};
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string output = serve_bytes(input, kPieces[data[0] % std::size(kPieces)]);
  if (input.starts_with(sluice::http::kHttp2Preface)) return 0;
  std::string_view rest = output;
  bool last = false;
  while (!rest.empty()) {
    SLUICE_CHECK(!last, "an answer after the last one");
    take_response(rest, last);
  }
  return 0;
}
