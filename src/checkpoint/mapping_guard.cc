#include "checkpoint/mapping_guard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string_view>

namespace sluice::checkpoint {
namespace {

// What the signal handler may look at: plain memory, published by `begin`.
struct GuardedRange {
  std::atomic<const std::byte*> begin{nullptr};  // null: the slot is free
  std::atomic<size_t> size{0};
  char path[256] = {};
};

std::array<GuardedRange, 4096> guarded_ranges;
std::mutex guarded_ranges_mutex;  // writers only
struct sigaction previous_action;

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Async-signal-safe: atomics, write, _exit, sigaction.
void on_sigbus(int, siginfo_t* signal, void*) {
  const auto address = reinterpret_cast<uintptr_t>(signal->si_addr);
  for (const GuardedRange& range : guarded_ranges) {
    const auto begin = reinterpret_cast<uintptr_t>(range.begin.load(std::memory_order_acquire));
    if (begin == 0 || address < begin || address - begin >= range.size.load(std::memory_order_relaxed)) continue;
    write_all("sluice: fatal: cannot read ");
    write_all(range.path);
    write_all(": the file was cut short while in use, or its disk failed; restore the file and start again\n");
    ::_exit(kMappingLostExitCode);
  }
  ::sigaction(SIGBUS, &previous_action, nullptr);  // the access is repeated on return and meets the previous handler
}

// A mapping and its slot in the list.
class ListedMapping {
 public:
  explicit ListedMapping(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
    if (file_->bytes().empty()) return;
    const std::lock_guard lock(guarded_ranges_mutex);
    for (GuardedRange& range : guarded_ranges) {
      if (range.begin.load(std::memory_order_relaxed) != nullptr) continue;
      const std::string& path = file_->path();
      // The end of a long path tells more than its beginning.
      const size_t kept = std::min(path.size(), sizeof range.path - 1);
      std::memcpy(range.path, path.data() + (path.size() - kept), kept);
      range.path[kept] = '\0';
      range.size.store(file_->bytes().size(), std::memory_order_relaxed);
      range.begin.store(file_->bytes().data(), std::memory_order_release);
      range_ = &range;
      return;
    }
  }
  ~ListedMapping() {
    if (range_ == nullptr) return;
    const std::lock_guard lock(guarded_ranges_mutex);
    range_->begin.store(nullptr, std::memory_order_release);
  }
  ListedMapping(const ListedMapping&) = delete;
  ListedMapping& operator=(const ListedMapping&) = delete;

  const MappedFile* file() const { return file_.get(); }

 private:
  std::shared_ptr<const MappedFile> file_;
  GuardedRange* range_ = nullptr;
};

}  // namespace

void install_mapping_guard() {
  static const bool installed = [] {
    struct sigaction action{};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO;
    ::sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, &previous_action) == 0;
  }();
  (void)installed;
}

Result<std::shared_ptr<const MappedFile>> map_guarded(const std::string& path) {
  SLUICE_TRY(auto file, MappedFile::open(path));
  const auto listed = std::make_shared<const ListedMapping>(std::move(file));
  return std::shared_ptr<const MappedFile>(listed, listed->file());
}

}  // namespace sluice::checkpoint
