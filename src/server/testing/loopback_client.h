#pragma once
// For tests: a blocking HTTP/1.1 client over loopback, one request per connection. Reads whole answers, or streams
// piece by piece with the time left to the test to leave in the middle.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::testing {

struct HttpAnswer {
  int status = 0;                              // 0: no answer came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
  bool whole = false;                          // it ended as its framing says
};

class LoopbackClient {
 public:
  using HeaderList = std::vector<std::pair<std::string, std::string>>;

  // Connects and sends; answers are then read by the functions below.
  LoopbackClient(uint16_t port, std::string_view method, std::string_view path, std::string_view body = {},
                 const HeaderList& headers = {});
  ~LoopbackClient();
  LoopbackClient(const LoopbackClient&) = delete;
  LoopbackClient& operator=(const LoopbackClient&) = delete;

  // The rest of the answer, to its end or until `patience` has passed without a byte.
  HttpAnswer read(std::chrono::milliseconds patience = std::chrono::seconds(20));
  // Reads until the body so far holds `text`; false when the answer ends or `patience` passes first.
  bool read_until(std::string_view text, std::chrono::milliseconds patience = std::chrono::seconds(20));
  const HttpAnswer& answer() const { return answer_; }
  void leave();  // closes the connection now

 private:
  bool receive(std::chrono::milliseconds patience);
  void parse();
  bool parse_head();

  int fd_ = -1;
  std::string raw_;  // received and not yet parsed
  bool head_done_ = false;
  bool closed_ = false;
  bool chunked_ = false;
  std::optional<size_t> length_;
  HttpAnswer answer_;
};

// One whole exchange.
HttpAnswer exchange(uint16_t port, std::string_view method, std::string_view path, std::string_view body = {},
                    const LoopbackClient::HeaderList& headers = {});

// The `data: …` payloads of an event stream, in order. Comments are left out.
std::vector<std::string> event_payloads(std::string_view body);

}  // namespace sluice::testing
