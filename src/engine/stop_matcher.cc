#include "engine/stop_matcher.h"

#include "base/check.h"

namespace sluice::engine {

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_stop)
    : stops_(std::move(stops)), include_stop_(include_stop), states_(1) {
  for (size_t i = 0; i < stops_.size(); ++i) {
    SLUICE_CHECK(!stops_[i].empty());
    int state = 0;
    for (const char byte : stops_[i]) {
      int following = child(state, byte);
      if (following < 0) {
        following = static_cast<int>(states_.size());
        states_.push_back({.depth = states_[static_cast<size_t>(state)].depth + 1});
        states_[static_cast<size_t>(state)].next.emplace_back(byte, following);
      }
      state = following;
    }
    if (states_[static_cast<size_t>(state)].stop < 0) states_[static_cast<size_t>(state)].stop = static_cast<int>(i);
  }
  std::vector<int> order = {0};
  for (size_t i = 0; i < order.size(); ++i) {
    for (const auto& [byte, target] : states_[static_cast<size_t>(order[i])].next) {
      State& state = states_[static_cast<size_t>(target)];
      if (order[i] != 0) state.fallback = step(states_[static_cast<size_t>(order[i])].fallback, byte);
      if (state.stop < 0) state.stop = states_[static_cast<size_t>(state.fallback)].stop;
      order.push_back(target);
    }
  }
}

int StopMatcher::child(int state, char byte) const {
  for (const auto& [label, target] : states_[static_cast<size_t>(state)].next) {
    if (label == byte) return target;
  }
  return -1;
}

int StopMatcher::step(int state, char byte) const {
  for (;; state = states_[static_cast<size_t>(state)].fallback) {
    const int target = child(state, byte);
    if (target >= 0) return target;
    if (state == 0) return 0;
  }
}

std::string StopMatcher::push(std::string_view piece, bool armed) {
  if (matched()) return {};
  if (states_.size() == 1) return std::string(piece);
  for (const char byte : piece) {
    held_ += byte;
    state_ = step(state_, byte);
    const State& state = states_[static_cast<size_t>(state_)];
    if (armed && state.stop >= 0) {
      matched_ = state.stop;
      if (!include_stop_) held_.resize(held_.size() - match().size());
      return std::exchange(held_, {});
    }
  }
  const auto certain = held_.size() - static_cast<size_t>(states_[static_cast<size_t>(state_)].depth);
  std::string text = held_.substr(0, certain);
  held_.erase(0, certain);
  return text;
}

std::string StopMatcher::flush() {
  state_ = 0;
  return std::exchange(held_, {});
}

}  // namespace sluice::engine
