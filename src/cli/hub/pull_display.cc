#include "cli/hub/pull_display.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"

namespace sluice::cli {
namespace {

constexpr int64_t kRateWindowMs = 8000;
constexpr int64_t kPlainEveryMs = 10'000;
constexpr size_t kFilesShown = 6;
constexpr int kBarWidth = 24;

std::string percent(int64_t done, int64_t total) { return total <= 0 ? "100 %" : cat(done * 100 / total, " %"); }

std::string bar(int64_t done, int64_t total) {
  const auto filled = static_cast<int>(total <= 0 ? kBarWidth : done * kBarWidth / total);
  std::string text(kBarWidth, '-');
  std::fill_n(text.begin(), std::clamp(filled, 0, kBarWidth), '#');
  return text;
}

// The end of a long path tells more than its beginning.
std::string fit(const std::string& text, size_t width) {
  if (text.size() <= width) return text + std::string(width - text.size(), ' ');
  return "..." + text.substr(text.size() - (width - 3));
}

const char* state_word(adapters::FileDownload::State state) {
  switch (state) {
    case adapters::FileDownload::State::kLocking:
      return "waiting";
    case adapters::FileDownload::State::kChecking:
      return "checking";
    default:
      return "";
  }
}

}  // namespace

std::string format_duration(int64_t seconds) {
  if (seconds < 60) return cat(seconds, " s");
  if (seconds < 3600) return cat(seconds / 60, " min ", seconds % 60, " s");
  return cat(seconds / 3600, " h ", seconds / 60 % 60, " min");
}

double PullDisplay::rate() const {
  if (samples_.size() < 2) return 0;
  const int64_t ms = samples_.back().at_ms - samples_.front().at_ms;
  const int64_t bytes = samples_.back().bytes - samples_.front().bytes;
  return ms < 500 || bytes < 0 ? 0 : static_cast<double>(bytes) * 1000 / static_cast<double>(ms);
}

std::string PullDisplay::total_line(const adapters::PullProgress& progress) const {
  std::string text = cat(format_bytes(static_cast<uint64_t>(progress.done_bytes)), " of ",
                         format_bytes(static_cast<uint64_t>(progress.total_bytes)), " (",
                         percent(progress.done_bytes, progress.total_bytes), "), ", progress.files_done, " of ",
                         progress.files, " files");
  const double speed = rate();
  if (speed > 0) {
    text += cat(", ", format_bytes(static_cast<uint64_t>(speed)), "/s");
    const double left = static_cast<double>(progress.total_bytes - progress.done_bytes) / speed;
    if (left < 1e6) text += cat(", ", format_duration(static_cast<int64_t>(left) + 1), " left");
  }
  return text;
}

void PullDisplay::show(const adapters::PullProgress& progress, int64_t now_ms) {
  samples_.push_back({now_ms, progress.done_bytes});
  while (samples_.size() > 2 && samples_.front().at_ms < now_ms - kRateWindowMs) samples_.pop_front();
  if (!terminal_) {
    if (printed_ms_ < 0) printed_ms_ = now_ms;
    if (now_ms - printed_ms_ < kPlainEveryMs) return;
    printed_ms_ = now_ms;
    std::fprintf(stderr, "%s\n", total_line(progress).c_str());
    return;
  }
  clear();
  std::string out;
  const auto add = [&](std::string text) {
    if (text.size() >= static_cast<size_t>(columns_)) text.resize(static_cast<size_t>(std::max(columns_ - 1, 0)));
    out += text + "\n";
    ++drawn_;
  };
  const auto name_width = static_cast<size_t>(std::clamp(columns_ - kBarWidth - 32, 12, 48));
  for (size_t i = 0; i < std::min(progress.active.size(), kFilesShown); ++i) {
    const adapters::FileProgress& file = progress.active[i];
    add(cat(fit(utf8_sanitize(file.path), name_width), " [", bar(file.done, file.size), "] ",
            fit(percent(file.done, file.size), 6), format_bytes(static_cast<uint64_t>(file.size)), " ",
            state_word(file.state)));
  }
  add(total_line(progress));
  std::fputs(out.c_str(), stderr);
}

void PullDisplay::line(const std::string& text) {
  clear();
  std::fprintf(stderr, "%s\n", text.c_str());
}

void PullDisplay::clear() {
  for (; drawn_ > 0; --drawn_) std::fputs("\x1b[1A\x1b[2K", stderr);
}

}  // namespace sluice::cli
