#pragma once
// A `sluice serve` of its own, for measuring: this program once more, on a free port of this machine.

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "cli/settings.h"

namespace sluice::cli {

class ServedProcess {
 public:
  // Starts it with every setting of `settings` that `serve` knows and that is not the default, then `flags`. Returns
  // when it serves; kUnavailable with its own last words when it ends before; kCancelled as soon as `cancelled` says
  // so. A Ctrl-C in the terminal does not reach it: it ends with this object.
  static Result<std::unique_ptr<ServedProcess>> start(const std::string& model, const Settings& settings,
                                                      const std::vector<std::string>& flags = {},
                                                      const std::function<bool()>& cancelled = {});
  // Ends it, and waits for that.
  ~ServedProcess();
  ServedProcess(const ServedProcess&) = delete;
  ServedProcess& operator=(const ServedProcess&) = delete;

  const std::string& url() const { return url_; }
  double ready_s() const { return ready_s_; }  // from fork to the line that says it serves
  // Memory of its own that it has now, besides what it maps from files (anonymous resident pages), and both together.
  uint64_t anonymous_bytes() const;
  uint64_t resident_bytes() const;

 private:
  ServedProcess() = default;
  Result<void> wait_until_serving(const std::function<bool()>& cancelled);
  uint64_t status_bytes(std::string_view name) const;

  pid_t pid_ = -1;
  int stderr_ = -1;
  std::string url_;
  double ready_s_ = 0;
  std::chrono::steady_clock::time_point begin_;
  std::thread drain_;  // keeps its log from filling the pipe
};

}  // namespace sluice::cli
