#pragma once
// How a download looks: on a terminal a few lines that are drawn anew, one per file and one for the total; elsewhere a
// plain line now and then. On stderr.

#include <cstdint>
#include <deque>
#include <string>

#include "adapters/hub/pull.h"

namespace sluice::cli {

class PullDisplay {
 public:
  PullDisplay(bool terminal, int columns) : terminal_(terminal), columns_(columns) {}
  ~PullDisplay() { clear(); }

  void show(const adapters::PullProgress& progress, int64_t now_ms);
  void line(const std::string& text);  // a lasting line above the moving ones
  void clear();

  // Bytes per second over the last few seconds; 0 when not known yet.
  double rate() const;

 private:
  struct Sample {
    int64_t at_ms, bytes;
  };
  std::string total_line(const adapters::PullProgress& progress) const;

  bool terminal_;
  int columns_;
  int drawn_ = 0;  // moving lines on the screen
  int64_t printed_ms_ = -1;
  std::deque<Sample> samples_;
};

// "45 s", "3 min 20 s", "2 h 5 min".
std::string format_duration(int64_t seconds);

}  // namespace sluice::cli
