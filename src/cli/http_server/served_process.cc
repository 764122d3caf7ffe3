#include "cli/http_server/served_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::cli {
namespace {

constexpr int kStartTimeoutS = 900;  // the largest models are converted while loading
constexpr int kStopTimeoutMs = 20'000;

std::vector<std::string> command(const std::string& model, const Settings& settings,
                                 const std::vector<std::string>& flags) {
  std::vector<std::string> words = {"sluice", "serve", model};
  const Settings defaults;
  for (const Knob& knob : knobs()) {
    if (!applies_to(knob, "serve") || knob.secret || knob.name == "config" || knob.name == "host" ||
        knob.name == "port" || knob.name.starts_with("log-")) {
      continue;
    }
    const std::string value = value_text(knob, settings);
    if (value != value_text(knob, defaults)) words.push_back(cat("--", knob.name, "=", value));
  }
  words.insert(words.end(), flags.begin(), flags.end());
  for (const char* fixed : {"--host=127.0.0.1", "--port=0", "--log-level=info", "--log-format=json"})
    words.emplace_back(fixed);
  return words;
}

}  // namespace

Result<std::unique_ptr<ServedProcess>> ServedProcess::start(const std::string& model, const Settings& settings,
                                                            const std::vector<std::string>& flags,
                                                            const std::function<bool()>& cancelled) {
  std::vector<std::string> words = command(model, settings, flags);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return io_error(cat("no pipe: ", std::strerror(errno)));
  std::unique_ptr<ServedProcess> process(new ServedProcess);
  process->begin_ = std::chrono::steady_clock::now();
  const pid_t parent = getpid();
  process->pid_ = fork();
  if (process->pid_ == 0) {
    // Nothing here may allocate: other threads may have held locks when this process was copied.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    setpgid(0, 0);
    dup2(ends[1], STDERR_FILENO);
    execv("/proc/self/exe", arguments.data());
    _exit(127);
  }
  close(ends[1]);
  process->stderr_ = ends[0];
  if (process->pid_ < 0) return io_error(cat("no new process: ", std::strerror(errno)));
  SLUICE_RETURN_IF_ERROR(process->wait_until_serving(cancelled));
  process->drain_ = std::thread([end = ends[0]] {
    std::array<char, 4096> bytes{};
    while (read(end, bytes.data(), bytes.size()) > 0) {
    }
  });
  return process;
}

Result<void> ServedProcess::wait_until_serving(const std::function<bool()>& cancelled) {
  std::string text;
  size_t seen = 0;
  while (std::chrono::steady_clock::now() - begin_ < std::chrono::seconds(kStartTimeoutS)) {
    if (cancelled && cancelled()) return Error{ErrorCode::kCancelled, "stopped", {}, {}};
    pollfd ready = {.fd = stderr_, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 100) <= 0) continue;
    std::array<char, 4096> bytes{};
    const ssize_t count = read(stderr_, bytes.data(), bytes.size());
    if (count <= 0) {
      return Error{
          ErrorCode::kUnavailable,
          cat("the server ended before it served:\n", text.substr(text.size() - std::min<size_t>(text.size(), 2000))),
          {},
          {}};
    }
    text.append(bytes.data(), static_cast<size_t>(count));
    for (size_t end; (end = text.find('\n', seen)) != std::string::npos; seen = end + 1) {
      const std::string_view line = std::string_view(text).substr(seen, end - seen);
      if (!line.starts_with('{')) continue;
      const auto json = parse_json(line);
      if (!json.ok()) continue;
      const auto message = json_string(*json, "message", "");
      const auto port = json_int(*json, "port", 0);
      if (!message.ok() || *message != "serving" || !port.ok()) continue;
      ready_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
      url_ = cat("http://127.0.0.1:", *port);
      return {};
    }
  }
  return Error{ErrorCode::kDeadlineExceeded, cat("the server did not serve within ", kStartTimeoutS, " s"), {}, {}};
}

ServedProcess::~ServedProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    int status = 0;
    for (int waited_ms = 0; waitpid(pid_, &status, WNOHANG) == 0; waited_ms += 10) {
      if (waited_ms == kStopTimeoutMs) kill(pid_, SIGKILL);
      usleep(10'000);
    }
  }
  if (drain_.joinable()) drain_.join();
  if (stderr_ >= 0) close(stderr_);
}

uint64_t ServedProcess::status_bytes(std::string_view name) const {
  std::ifstream file(cat("/proc/", pid_, "/status"));
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const std::string_view value = trim(std::string_view(line).substr(name.size()));
    uint64_t kib = 0;
    std::from_chars(value.data(), value.data() + value.size(), kib);
    return kib * 1024;
  }
  return 0;
}

uint64_t ServedProcess::anonymous_bytes() const { return status_bytes("RssAnon:"); }
uint64_t ServedProcess::resident_bytes() const { return status_bytes("VmRSS:"); }

}  // namespace sluice::cli
