#pragma once
// Stream: bytes to and from one client, over TCP or TLS, or from memory in tests. Bound to one I/O thread.

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/http/task.h"

namespace sluice::http {

class Stream {
 public:
  using Time = std::chrono::steady_clock::time_point;
  virtual ~Stream() = default;

  // Makes the connection ready; the protocol agreed by ALPN ("h2", "http/1.1") or "" when there was none.
  virtual Task<Result<std::string>> handshake() = 0;
  // Waits for bytes: how many came, 0 at the end of the stream. One read at a time; a write may run beside it.
  virtual Task<Result<size_t>> read_some(std::span<char> into) = 0;
  // Returns when all pieces were given to the kernel, in one call where possible. One write at a time. The array and
  // the bytes must live until then.
  virtual Task<Result<void>> write(std::span<const std::string_view> pieces) = 0;
  // Says the end to the client (TLS close_notify, TCP FIN); reading goes on. Best effort.
  virtual Task<void> end_writing() = 0;
  // Closes at once, with a reset when bytes are unsent: what waits here returns with an error. Idempotent.
  virtual void abort() = 0;
  // While a write waits for the client: since when not a byte was taken.
  virtual std::optional<Time> stalled_since() const = 0;
};

}  // namespace sluice::http
