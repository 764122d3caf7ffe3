#pragma once
// ResponseWriter: how a handler answers one request. Either send() once, or start(), write() any number of times, and
// finish(). Written by the connection (http1.cc, http2.cc); a handler only uses it, on its own I/O thread, and does not
// keep it after it has returned.
//
// A handler that returns without having answered gets 500 sent for it; one that returns after start() without finish()
// has its stream cut off, so that the client can tell that the answer is not whole.

#include <functional>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/result.h"
#include "server/http/headers.h"
#include "server/http/task.h"

namespace sluice::http {

class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  // A whole response. Content-Length, Date, X-Request-Id and connection headers are added here. The body is left out
  // for HEAD. kCancelled when the client has gone, kDeadlineExceeded when it read too slowly (the connection is then
  // dropped): the handler need not act on either.
  virtual Task<Result<void>> send(int status, Headers headers, std::string body) = 0;

  // A response of unknown length. start() does not wait for the client; write() returns when the chunk has been given
  // to the kernel or, for HTTP/2, to a bounded buffer of the stream; so a slow reader slows the handler, and after
  // ServerLimits::write_stall it is an error. `chunk` must live until write has returned. An empty chunk does nothing.
  virtual Task<Result<void>> start(int status, Headers headers) = 0;
  virtual Task<Result<void>> write(std::string_view chunk) = 0;
  virtual Task<Result<void>> finish() = 0;

  // True once start or send was called.
  virtual bool started() const = 0;

  // The client has gone: it closed the connection or reset the stream, a write failed or stalled, or the server stops
  // at once. Nothing written from then on arrives with certainty. (A client that only closes its sending side counts as
  // gone for streams; a whole response is still sent to it.)
  virtual bool disconnected() const = 0;
  // `function` is called once, on this I/O thread, as soon as disconnected() becomes true, also while the handler waits
  // for something else; at once when it is true already; never after the handler has returned. It must not block or
  // throw. One function: a second call replaces the first.
  virtual void on_disconnect(std::function<void()> function) = 0;

  // send() of an error: status and Retry-After by status.h, body in OpenAI's form.
  Task<Result<void>> send_error(Error error);
  // send() of JSON text / of a JSON value.
  Task<Result<void>> send_json(int status, std::string json);
};

}  // namespace sluice::http
