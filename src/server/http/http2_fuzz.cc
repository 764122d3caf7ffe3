// Frames of a client to the HTTP/2 connection: the preface and SETTINGS are given, the rest is the input.

#include <cstdint>
#include <string>

#include "server/http/memory_connection.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static constexpr size_t kPieces[] = {1, 7, 64, 1 << 20};
  static const std::string kSettings("\0\0\0\x04\0\0\0\0\0", 9);
  std::string input(sluice::http::kHttp2Preface);
  input += kSettings;
  input.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string output = sluice::http::testing::serve_bytes(input, kPieces[data[0] % std::size(kPieces)]);
  // Every byte belongs to a frame.
  size_t at = 0;
  while (at + 9 <= output.size()) {
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(output[at + i])); };
    at += 9 + (byte(0) << 16 | byte(1) << 8 | byte(2));
  }
  SLUICE_CHECK(at == output.size(), "the answer is not a sequence of whole frames");
  return 0;
}
