// sluice serve: a model behind the HTTP server until a signal ends it. The first SIGTERM or SIGINT drains: no new
// requests, running ones finish within --drain-timeout. A second one stops at once.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "server/http/server.h"
#include "server/openai/api_keys.h"
#include "server/openai/service.h"

namespace sluice::cli {
namespace {

// Blocks the ending signals in every thread started from now on; wait() takes them one at a time.
class EndingSignals {
 public:
  EndingSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    signal(SIGPIPE, SIG_IGN);
  }
  // True when a signal came within the time; a negative time waits for ever.
  bool wait(int64_t timeout_ms) const {
    if (timeout_ms < 0) {
      int number = 0;
      while (sigwait(&set_, &number) != 0) {
      }
      return true;
    }
    const timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1'000'000};
    return sigtimedwait(&set_, nullptr, &timeout) > 0;
  }
  const sigset_t& set() const { return set_; }

 private:
  sigset_t set_;
};

// While it lives an ending signal ends the process at once: there is nothing to drain before the model is loaded.
class EndsAtOnce {
 public:
  explicit EndsAtOnce(const EndingSignals& signals) {
    sigset_t set = signals.set();
    sigaddset(&set, SIGRTMIN);  // from the destructor
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    thread_ = std::thread([set] {
      int number = 0;
      while (sigwait(&set, &number) != 0) {
      }
      if (number == SIGRTMIN) return;
      log::info("stopped while loading");
      std::_Exit(0);
    });
  }
  ~EndsAtOnce() {
    pthread_kill(thread_.native_handle(), SIGRTMIN);
    thread_.join();
  }
  EndsAtOnce(const EndsAtOnce&) = delete;
  EndsAtOnce& operator=(const EndsAtOnce&) = delete;

 private:
  std::thread thread_;
};

Result<http::ServerOptions> server_options(const Settings& settings, MetricsRegistry& metrics) {
  std::vector<std::string> keys = settings.api_key;
  if (!settings.api_key_file.empty()) {
    SLUICE_TRY(const std::vector<std::string> from_file, openai::ApiKeys::read_file(settings.api_key_file));
    keys.insert(keys.end(), from_file.begin(), from_file.end());
  }
  if (settings.tls_cert.empty() != settings.tls_key.empty()) {
    const std::string missing = settings.tls_cert.empty() ? "tls-cert" : "tls-key";
    return invalid_argument(cat("--tls-cert and --tls-key go together: --", missing, " is missing"), missing);
  }
  http::ServerOptions options;
  options.host = settings.host;
  options.port = static_cast<uint16_t>(settings.port);
  options.tls = {settings.tls_cert, settings.tls_key};
  options.io_threads = static_cast<int>(settings.io_threads);
  options.limits.body_bytes_max = settings.body_max;
  options.limits.connections_max = static_cast<int>(settings.connections_max);
  if (!settings.cors_origin.empty()) options.allowed_origins = {settings.cors_origin};
  options.metrics = &metrics;
  if (log::enabled(log::Level::kDebug)) options.on_access = http::log_access;
  const openai::ApiKeys api_keys(keys);
  if (!api_keys.empty()) {
    options.authenticate = [api_keys](http::Request& request, const http::Route&) {
      return api_keys.authenticate(request);
    };
  }
  return options;
}

std::string base_url(const Settings& settings, uint16_t port) {
  const bool any = settings.host == "0.0.0.0" || settings.host == "::";
  const bool v6 = settings.host.find(':') != std::string::npos && !any;
  return cat(settings.tls_cert.empty() ? "http" : "https", "://",
             any  ? "127.0.0.1"
             : v6 ? cat("[", settings.host, "]")
                  : settings.host,
             ":", port);
}

void print_welcome(const local::LocalBackend& backend, const std::string& url, bool keys) {
  const api::ModelCard card = backend.models().front();
  const std::string authorization = keys ? " -H \"Authorization: Bearer $KEY\"" : "";
  std::fprintf(stderr, "\n%s is served at %s (OpenAI's API under /v1, a page to try it at /docs)\ntry:\n\n",
               card.id.c_str(), url.c_str());
  if (card.chat) {
    std::fprintf(stderr,
                 "curl %s/v1/chat/completions%s -H 'Content-Type: application/json' \\\n"
                 "  -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}'\n\n",
                 url.c_str(), authorization.c_str());
  } else {
    std::fprintf(stderr,
                 "curl %s/v1/completions%s -H 'Content-Type: application/json' \\\n"
                 "  -d '{\"prompt\": \"Once upon a time\", \"max_tokens\": 64}'\n\n",
                 url.c_str(), authorization.c_str());
  }
}

}  // namespace

Result<int> run_serve(const CommandLine& line) {
  const EndingSignals signals;  // before any thread
  const Settings& settings = line.settings;
  MetricsRegistry metrics;
  SLUICE_TRY(http::ServerOptions options, server_options(settings, metrics));
  const bool keys = static_cast<bool>(options.authenticate);
  if (!keys && settings.host != "127.0.0.1" && settings.host != "localhost" && settings.host != "::1") {
    log::warn("serving beyond this machine without --api-key: anyone who reaches the port may use it",
              {{"host", settings.host}});
  }
  SLUICE_RETURN_IF_ERROR(http::Server::check(options));
  auto loading = std::make_unique<EndsAtOnce>(signals);
  SLUICE_TRY(const auto backend, load_backend(line, metrics, true));
  loading.reset();
  const openai::Service service(*backend, metrics, {.version = std::string(version())});
  http::Router router;
  service.add_routes(router);
  service.add_description_routes(router);
  SLUICE_TRY(const auto server, http::Server::start(std::move(options), std::move(router)));
  log::info("serving",
            {{"model", backend->models().front().id}, {"port", server->port()}, {"kernels", backend->kernels()}});
  print_welcome(*backend, base_url(settings, server->port()), keys);

  signals.wait(-1);
  log::info("draining; a second signal stops at once", {{"seconds", settings.drain_timeout}});
  // In slices, so that the second signal is heard.
  constexpr int64_t kSliceMs = 100;
  bool done = false, again = false;
  for (int64_t waited = 0; waited < settings.drain_timeout * 1000 && !done && !again; waited += kSliceMs) {
    done = server->drain(std::chrono::milliseconds(kSliceMs));
    again = !done && signals.wait(0);
  }
  if (!done) log::warn(again ? "stopped by a second signal" : "drain timeout passed; ending what still runs");
  server->stop();
  log::info("stopped");
  return 0;
}

}  // namespace sluice::cli
