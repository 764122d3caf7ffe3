#pragma once
// For the fuzz targets: a whole connection, from the first byte to its close, whose client is a string.

#include <algorithm>

#include "base/check.h"
#include "server/http/connection.h"

namespace sluice::http::testing {

// Gives `input` in pieces, then the end; keeps what is written. Never waits, so everything runs on the caller's thread.
class MemoryStream final : public Stream {
 public:
  MemoryStream(std::string_view input, size_t piece, std::string& output)
      : input_(input), piece_(piece), output_(output) {}

  Task<Result<std::string>> handshake() override { co_return std::string(); }
  Task<Result<size_t>> read_some(std::span<char> into) override {
    if (aborted_) co_return Error{ErrorCode::kCancelled, "aborted", {}, {}};
    SLUICE_CHECK(!into.empty(), "a read into no room");
    const size_t size = std::min({into.size(), piece_, input_.size()});
    std::copy_n(input_.data(), size, into.data());
    input_.remove_prefix(size);
    co_return size;
  }
  Task<Result<void>> write(std::span<const std::string_view> pieces) override {
    if (aborted_) co_return Error{ErrorCode::kCancelled, "aborted", {}, {}};
    for (const std::string_view piece : pieces) output_ += piece;
    co_return Result<void>();
  }
  Task<void> end_writing() override { co_return; }
  void abort() override { aborted_ = true; }
  std::optional<Time> stalled_since() const override { return std::nullopt; }

 private:
  std::string_view input_;
  size_t piece_;
  std::string& output_;
  bool aborted_ = false;
};

inline Task<void> fuzz_echo(const Request& request, ResponseWriter& writer) {
  SLUICE_CHECK(!request.path.empty() && request.body.size() <= 4096, "a request past its limits reached a route");
  (void)co_await writer.send(200, {{"x-path", request.path}, {"x-query", request.query}}, "=" + request.body);
}
inline Task<void> fuzz_stream(const Request& request, ResponseWriter& writer) {
  if (!(co_await writer.start(200, {{"x-host", request.host}})).ok()) co_return;
  for (int i = 0; i < 20; ++i) {
    if (!(co_await writer.write(std::string(static_cast<size_t>(i) * 700, 's'))).ok()) co_return;
  }
  (void)co_await writer.finish();
}

// Serves `input`, given `piece` bytes at a time, and returns what the client would read.
inline std::string serve_bytes(std::string_view input, size_t piece) {
  static Service* service = [] {
    auto* made = new Service;
    made->options.limits.header_bytes_max = 2048;
    made->options.limits.headers_max = 16;
    made->options.limits.body_bytes_max = 4096;
    made->options.limits.streams_max = 8;
    made->options.allowed_origins = {"*"};
    made->router.add({"POST", "/echo", fuzz_echo});
    made->router.add({"GET", "/stream", fuzz_stream});
    made->router.add({"GET", "/v1/models/{model...}", fuzz_echo});
    return made;
  }();
  Shard shard(*service, nullptr);
  std::string output;
  bool ended = false;
  const auto serve = [&]() -> Task<void> {
    const auto connection =
        std::make_shared<Connection>(shard, std::make_unique<MemoryStream>(input, piece, output), "fuzz");
    co_await connection->run();
    ended = true;
  };
  spawn(serve());
  SLUICE_CHECK(ended, "a connection whose client has gone must end");
  SLUICE_CHECK(service->requests_running == 0 && service->body_bytes == 0, "an account does not balance");
  return output;
}

}  // namespace sluice::http::testing
