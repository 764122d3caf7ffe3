#include "adapters/http/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "adapters/http/url.h"
#include "base/strings.h"

namespace sluice::adapters {
namespace {

constexpr int kRedirectsMax = 10;
constexpr size_t kHeadersMax = 256;  // of one answer
constexpr long kStallBytesPerSecond = 1024;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

HttpEnd::Kind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpEnd::Kind::kWhole;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT:
      return HttpEnd::Kind::kImpossible;
    default:
      return HttpEnd::Kind::kBroken;
  }
}

// One request with its redirects.
struct Transfer {
  HttpRequest request;
  HttpReceiver* receiver = nullptr;
  std::string url;      // of this hop
  bool secrets = true;  // still at the origin of request.url
  HttpHead head;
  int hop_status = 0;
  HttpHeaders hop_headers;
  bool head_given = false;
  bool refused = false;
  std::unique_ptr<CURL, FreeEasy> easy;
  std::unique_ptr<curl_slist, FreeList> headers;
  char error[CURL_ERROR_SIZE] = {};

  // The head of an answer that is no redirect goes to the receiver once, before any of its body.
  bool give_head() {
    if (head_given) return !refused;
    head_given = true;
    head.status = hop_status;
    head.url = url;
    head.headers = hop_headers;
    refused = !receiver->on_head(head);
    return !refused;
  }
};

size_t on_header(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line = trim(std::string_view(bytes, size * count));
  if (line.starts_with("HTTP/")) {  // also after "100 Continue"
    transfer.hop_headers.clear();
    transfer.hop_status = 0;
    const size_t space = std::min(line.find(' '), line.size());
    for (const char c : line.substr(std::min(space + 1, line.size()), 3)) {
      transfer.hop_status = c >= '0' && c <= '9' ? transfer.hop_status * 10 + (c - '0') : 0;
    }
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    if (transfer.hop_headers.size() < kHeadersMax) {
      transfer.hop_headers[to_lower_ascii(line.substr(0, colon))] = trim(line.substr(colon + 1));
    }
  }
  return size * count;
}

size_t on_bytes(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (is_redirect(transfer.hop_status)) return size * count;
  if (!transfer.give_head()) return 0;
  transfer.refused = !transfer.receiver->on_body({bytes, size * count});
  return transfer.refused ? 0 : size * count;
}

class CurlClient final : public HttpClient {
 public:
  CurlClient(CURLM* multi, std::string user_agent, std::string certificates)
      : multi_(multi), user_agent_(std::move(user_agent)), certificates_(std::move(certificates)) {}
  ~CurlClient() override {
    CurlClient::cancel_all();
    curl_multi_cleanup(multi_);
  }

  void start(const HttpRequest& request, HttpReceiver& receiver) override {
    auto transfer = std::make_unique<Transfer>();
    transfer->request = request;
    transfer->receiver = &receiver;
    transfer->url = request.url;
    begin_hop(std::move(transfer));
  }

  Result<void> poll(int timeout_ms) override {
    int running = 0;
    CURLMcode code = curl_multi_perform(multi_, &running);
    if (code == CURLM_OK && running > 0) code = curl_multi_poll(multi_, nullptr, 0, timeout_ms, nullptr);
    if (code == CURLM_OK) code = curl_multi_perform(multi_, &running);
    if (code != CURLM_OK) {
      return Error{ErrorCode::kInternal, cat("the HTTP library failed: ", curl_multi_strerror(code)), {}, {}};
    }
    int left = 0;
    std::vector<std::pair<CURL*, CURLcode>> ended;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) ended.emplace_back(message->easy_handle, message->data.result);
    }
    for (const auto& [easy, result] : ended) end_hop(easy, result);
    return {};
  }

  void cancel(HttpReceiver& receiver) override {
    std::erase_if(transfers_, [&](const auto& entry) {
      if (entry.second->receiver != &receiver) return false;
      curl_multi_remove_handle(multi_, entry.first);
      return true;
    });
  }

  void cancel_all() override {
    for (const auto& [easy, transfer] : transfers_) curl_multi_remove_handle(multi_, easy);
    transfers_.clear();
  }

  int active() const override { return static_cast<int>(transfers_.size()); }

 private:
  void begin_hop(std::unique_ptr<Transfer> transfer) {
    Transfer& t = *transfer;
    t.hop_status = 0;
    t.hop_headers.clear();
    t.error[0] = '\0';
    t.easy.reset(curl_easy_init());
    CURL* easy = t.easy.get();
    SLUICE_CHECK(easy != nullptr);
    curl_slist* list = nullptr;
    for (const std::string& header : t.request.headers) list = curl_slist_append(list, header.c_str());
    if (t.secrets) {
      for (const std::string& header : t.request.secret_headers) list = curl_slist_append(list, header.c_str());
    }
    if (t.request.body) {
      list = curl_slist_append(list, "Expect:");  // no question first: the body follows at once
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(t.request.body->size()));
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, t.request.body->c_str());
    }
    t.headers.reset(list);
    curl_easy_setopt(easy, CURLOPT_URL, t.url.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent_.c_str());
    if (t.request.head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(t.request.connect_timeout_ms));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>((t.request.stall_timeout_ms + 999) / 1000));
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t.error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t);
    if (is_loopback(t.url)) curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    if (!certificates_.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, certificates_.c_str());
    curl_multi_add_handle(multi_, easy);
    transfers_.emplace(easy, std::move(transfer));
  }

  void end_hop(CURL* easy, CURLcode code) {
    const auto place = transfers_.find(easy);
    SLUICE_CHECK(place != transfers_.end());
    std::unique_ptr<Transfer> transfer = std::move(place->second);
    transfers_.erase(place);
    curl_multi_remove_handle(multi_, easy);
    Transfer& t = *transfer;
    if (code == CURLE_OK && is_redirect(t.hop_status)) {
      if (auto refusal = follow(transfer)) {
        t.receiver->on_end({HttpEnd::Kind::kImpossible, *refusal});
      }
      return;
    }
    if (code == CURLE_OK && !t.give_head()) code = CURLE_WRITE_ERROR;
    if (t.refused) {
      t.receiver->on_end({HttpEnd::Kind::kRefused, "refused"});
      return;
    }
    const std::string reason = t.error[0] != '\0' ? t.error : curl_easy_strerror(code);
    t.receiver->on_end({kind_of(code), code == CURLE_OK ? "" : cat(display_url(t.url), ": ", utf8_sanitize(reason))});
  }

  // Takes `transfer` and starts its next hop, or returns why not and leaves it.
  std::optional<std::string> follow(std::unique_ptr<Transfer>& transfer) {
    Transfer& t = *transfer;
    const auto location = t.hop_headers.find("location");
    if (location == t.hop_headers.end()) return cat(display_url(t.url), " redirects without saying where to");
    if (t.head.hops.size() >= kRedirectsMax) return cat(display_url(t.request.url), " redirects too many times");
    auto target = redirect_target(t.url, location->second);
    if (!target.ok()) return target.error().message;
    // Once a redirect has left the origin, nobody who comes later in the chain gets the secrets.
    t.secrets = t.secrets && same_origin(t.request.url, *target);
    t.head.hops.push_back(std::move(t.hop_headers));
    t.url = std::move(*target);
    begin_hop(std::move(transfer));
    return std::nullopt;
  }

  CURLM* multi_;
  std::string user_agent_, certificates_;
  std::map<CURL*, std::unique_ptr<Transfer>> transfers_;
};

class Collector final : public HttpReceiver {
 public:
  explicit Collector(size_t body_max) : body_max_(body_max) {}
  bool on_head(const HttpHead& head) override {
    answer.head = head;
    return true;
  }
  bool on_body(std::string_view bytes) override {
    if (answer.body.size() + bytes.size() > body_max_) {
      too_large = true;
      return false;
    }
    answer.body += bytes;
    return true;
  }
  void on_end(const HttpEnd& end) override {
    answer.end = end;
    ended = true;
  }

  HttpAnswer answer;
  bool ended = false;
  bool too_large = false;

 private:
  size_t body_max_;
};

}  // namespace

const std::string* HttpHead::find(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? nullptr : &found->second;
}

const std::string* HttpHead::find_on_way(const std::string& name) const {
  for (const HttpHeaders& hop : hops) {
    if (const auto found = hop.find(name); found != hop.end()) return &found->second;
  }
  return find(name);
}

Result<std::unique_ptr<HttpClient>> HttpClient::create(std::string user_agent, std::string certificates) {
  static std::once_flag once;
  static CURLcode ready = CURLE_FAILED_INIT;
  std::call_once(once, [] { ready = curl_global_init(CURL_GLOBAL_DEFAULT); });
  CURLM* multi = ready == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi == nullptr) return Error{ErrorCode::kInternal, "the HTTP library does not start", {}, {}};
  return std::unique_ptr<HttpClient>(
      std::make_unique<CurlClient>(multi, std::move(user_agent), std::move(certificates)));
}

Result<HttpAnswer> fetch(HttpClient& client, const HttpRequest& request, size_t body_max,
                         const std::function<bool()>& cancelled) {
  Collector collector(body_max);
  client.start(request, collector);
  while (!collector.ended) {
    const auto polled = client.poll(100);
    if (!polled.ok() || cancelled()) {
      client.cancel_all();
      return polled.ok() ? Error{ErrorCode::kCancelled, "stopped", {}, {}} : polled.error();
    }
  }
  if (collector.too_large) {
    return Error{ErrorCode::kTooLarge,
                 cat(display_url(request.url), " answers with more than ", format_bytes(body_max)),
                 {},
                 {}};
  }
  return std::move(collector.answer);
}

}  // namespace sluice::adapters
