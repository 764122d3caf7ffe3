#include "engine/scheduler.h"

#include <algorithm>

namespace sluice::engine {
namespace {

class Planner {
 public:
  Planner(std::span<const RunningView> running, std::span<const WaitingView> waiting, const StepLimits& limits)
      : running_(running),
        waiting_(waiting),
        limits_(limits),
        rows_(limits.rows),
        scored_rows_(limits.scored_rows),
        available_(limits.available_blocks),
        alive_(static_cast<int>(running.size())),
        granted_(running.size()),
        preempted_(running.size()) {}

  void decode() {
    for (size_t i = 0; i < running_.size(); ++i) {
      const RunningView& view = running_[i];
      if (view.tokens - view.computed != 1 || rows_ == 0) continue;
      const int needed = view.tokens > view.blocks * limits_.block_tokens ? 1 : 0;
      while (available_ < needed && !preempted_[i]) preempt(worst_running());
      if (preempted_[i]) continue;
      available_ -= needed;
      grant(i, 1);
    }
  }

  void prefill() {
    for (size_t i = 0; i < running_.size(); ++i) {
      const RunningView& view = running_[i];
      const int pending = view.tokens - view.computed;
      if (preempted_[i] || pending == 1) continue;
      const int rows = chunk(pending, view.scores_all);
      if (rows > 0) grant(i, rows);
    }
  }

  void admit(const std::function<Reuse(int)>& lookup) {
    for (size_t i = 0; i < waiting_.size(); ++i) {
      // What is short now is short for everyone behind as well.
      if (chunk(1, waiting_[i].scores_all) == 0 || !admit_one(static_cast<int>(i), lookup)) break;
    }
  }

  StepPlan result() {
    StepPlan plan;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (preempted_[i]) plan.preempted.push_back(static_cast<int>(i));
    }
    for (const bool decoding : {true, false}) {
      for (size_t i = 0; i < running_.size(); ++i) {
        const bool decodes = running_[i].tokens - running_[i].computed == 1;
        if (granted_[i] > 0 && decodes == decoding) plan.grants.push_back({static_cast<int>(i), granted_[i]});
      }
    }
    plan.admissions = std::move(admissions_);
    return plan;
  }

  bool preempted_any() const { return std::find(preempted_.begin(), preempted_.end(), true) != preempted_.end(); }

 private:
  int chunk(int pending, bool scores_all) const {
    const int rows = std::min(pending, rows_);
    return scores_all ? std::min(rows, scored_rows_) : rows;
  }

  // A decode row is charged to nobody: every sequence has one row of logits of its own.
  bool scores(size_t i) const { return running_[i].scores_all && running_[i].tokens - running_[i].computed > 1; }

  void grant(size_t i, int rows) {
    granted_[i] = rows;
    rows_ -= rows;
    if (scores(i)) scored_rows_ -= rows;
  }

  size_t worst_running() const {
    size_t i = running_.size();
    while (preempted_[--i]) {
    }
    return i;
  }

  void preempt(size_t i) {
    preempted_[i] = true;
    --alive_;
    available_ += running_[i].releasable;
    rows_ += granted_[i];
    if (scores(i)) scored_rows_ += granted_[i];
    granted_[i] = 0;
  }

  // The running sequences of worse priority that would have to go, worst first, until there is enough or none is left.
  std::vector<size_t> victims_for(int priority, const std::function<bool(int alive, int available)>& enough) const {
    std::vector<size_t> victims;
    int alive = alive_, available = available_;
    for (size_t i = running_.size(); i-- > 0 && !enough(alive, available);) {
      if (preempted_[i]) continue;
      if (running_[i].priority <= priority) break;
      victims.push_back(i);
      --alive;
      available += running_[i].releasable;
    }
    return victims;
  }

  bool admit_one(int i, const std::function<Reuse(int)>& lookup) {
    const WaitingView& view = waiting_[static_cast<size_t>(i)];
    const int admitted = static_cast<int>(admissions_.size());
    const bool full = alive_ + admitted >= limits_.sequences;
    if (full && (running_.empty() || running_.back().priority <= view.priority)) return false;

    const Reuse reuse = lookup(i);
    // Blocks that stop being available: new ones, and idle ones that come into use.
    const int needed =
        (view.tokens + limits_.block_tokens - 1) / limits_.block_tokens - reuse.full_blocks + reuse.idle_blocks;
    const auto enough = [&](int alive, int available) {
      return alive + admitted < limits_.sequences && needed + alive + admitted <= available;
    };
    const std::vector<size_t> victims = victims_for(view.priority, enough);
    int alive = alive_ - static_cast<int>(victims.size()), available = available_;
    for (const size_t victim : victims) available += running_[victim].releasable;
    if (!enough(alive, available)) return false;
    for (const size_t victim : victims) preempt(victim);

    // The copied block must stay while the copy is made, beside all new ones.
    const bool copy = reuse.partial_tokens > 0 && needed + (reuse.partial_idle ? 1 : 0) <= available_;
    available_ -= needed;
    const int known = reuse.full_blocks * limits_.block_tokens + (copy ? reuse.partial_tokens : 0);
    const int rows = chunk(view.tokens - known, view.scores_all);
    admissions_.push_back({i, rows, copy});
    rows_ -= rows;
    if (view.scores_all) scored_rows_ -= rows;
    return true;
  }

  std::span<const RunningView> running_;
  std::span<const WaitingView> waiting_;
  const StepLimits& limits_;
  int rows_;
  int scored_rows_;
  int available_;
  int alive_;                    // running and not pre-empted
  std::vector<int> granted_;     // [running] rows
  std::vector<bool> preempted_;  // [running]
  std::vector<StepPlan::Admission> admissions_;
};

}  // namespace

StepPlan plan_step(std::span<const RunningView> running, std::span<const WaitingView> waiting, const StepLimits& limits,
                   const std::function<Reuse(int)>& lookup) {
  Planner planner(running, waiting, limits);
  planner.decode();
  const bool short_of_blocks = planner.preempted_any();
  planner.prefill();
  if (!short_of_blocks) planner.admit(lookup);
  return planner.result();
}

}  // namespace sluice::engine
