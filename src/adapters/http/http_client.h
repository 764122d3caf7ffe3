#pragma once
// Many HTTP transfers at a time on one thread: start() them, then poll(), which calls their receivers.
// Redirects are followed here, because of the one rule that matters: a secret header goes to the origin it was meant
// for and to no other (url.h, same_origin). HTTP/1.1, so that parallel transfers are parallel connections; connections
// are kept and used again. The proxy variables of the environment (https_proxy, no_proxy, …) are honoured,
// but no proxy stands between this machine and itself.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::adapters {

struct HttpRequest {
  std::string url;
  bool head = false;                        // HEAD instead of GET
  std::optional<std::string> body = {};     // POST it instead
  std::vector<std::string> headers;         // "Name: value"
  std::vector<std::string> secret_headers;  // sent to the url's origin only; never part of a message
  int64_t connect_timeout_ms = 20'000;
  int64_t stall_timeout_ms = 30'000;  // ends when less than 1 KiB/s comes for that long; 0: never
};

using HttpHeaders = std::map<std::string, std::string>;  // names in lower case; the last of equal names

struct HttpHead {
  int status = 0;
  std::string url;                // which answered, after redirects
  HttpHeaders headers;            // of that answer
  std::vector<HttpHeaders> hops;  // of the redirects before it

  const std::string* find(const std::string& name) const;  // of the answer
  const std::string* find_on_way(
      const std::string& name) const;  // of the first redirect that has it, else the answer's
};

struct HttpEnd {
  enum class Kind {
    kWhole,      // all that the server announced has come
    kRefused,    // the receiver returned false
    kBroken,     // no connection, cut connection, stall: worth trying again
    kImpossible  // a bad certificate, address or redirect: trying again will not help
  };
  Kind kind = Kind::kWhole;
  std::string message;  // for a person, when not whole
};

// Called on the thread in poll(), in this order; on_end always and once, unless the transfer is cancelled.
class HttpReceiver {
 public:
  virtual ~HttpReceiver() = default;
  virtual bool on_head(const HttpHead& head) = 0;
  virtual bool on_body(std::string_view bytes) = 0;
  virtual void on_end(const HttpEnd& end) = 0;
};

// One thread. Destroying it ends what is running without further calls.
class HttpClient {
 public:
  // `certificates`: a file with the trusted certificates, or "" for the system's.
  static Result<std::unique_ptr<HttpClient>> create(std::string user_agent, std::string certificates);
  virtual ~HttpClient() = default;

  // The receiver must live until its on_end.
  virtual void start(const HttpRequest& request, HttpReceiver& receiver) = 0;
  // Waits up to `timeout_ms` for something to happen and makes the calls. kInternal if the library fails.
  virtual Result<void> poll(int timeout_ms) = 0;
  // Ends the transfers of one receiver, or all, without further calls to them. Not from inside a receiver.
  virtual void cancel(HttpReceiver& receiver) = 0;
  virtual void cancel_all() = 0;
  virtual int active() const = 0;
};

// Blocks for one answer on a client without other transfers. kTooLarge past `body_max`; kCancelled.
struct HttpAnswer {
  HttpHead head;
  std::string body;
  HttpEnd end;
};
Result<HttpAnswer> fetch(HttpClient& client, const HttpRequest& request, size_t body_max,
                         const std::function<bool()>& cancelled);

}  // namespace sluice::adapters
