#include "engine/scheduler.h"

#include <algorithm>
#include <optional>

namespace sluice::engine {
namespace {

class Planner {
 public:
  Planner(std::span<const RunningView> running, std::span<const WaitingView> waiting, const StepLimits& limits,
          StepPlan memory)
      : plan_(std::move(memory)),
        running_(running),
        waiting_(waiting),
        limits_(limits),
        rows_(limits.rows),
        scored_rows_(limits.scored_rows),
        available_(limits.available),
        alive_(static_cast<int>(running.size())),
        growing_(static_cast<int>(std::ranges::count_if(running, &RunningView::window_grows))),
        granted_(granted_storage()),
        preempted_(preempted_storage()) {
    granted_.assign(running.size(), 0);
    preempted_.assign(running.size(), false);
    plan_.preempted.clear();
    plan_.grants.clear();
    plan_.admissions.clear();
    admissions_ = std::move(plan_.admissions);
  }

  // The last one owes nothing: alone, every sequence has room.
  void settle_debts() {
    while (available_.window_slots < 0 && alive_ > 1) preempt(worst_running());
    available_.window_slots = std::max(available_.window_slots, 0);
  }

  void decode() {
    for (size_t i = 0; i < running_.size(); ++i) {
      const RunningView& view = running_[i];
      if (view.tokens - view.computed != 1 || rows_ == 0) continue;
      CacheRoom needed;
      if (view.tokens > view.blocks * limits_.block_tokens) needed = {1, view.window_grows ? 1 : 0};
      while (!preempted_[i] && !(needed <= available_)) preempt(worst_running());
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

  void admit(const ReuseLookup& lookup) {
    for (size_t i = 0; i < waiting_.size(); ++i) {
      // What is short now is short for everyone behind as well.
      if (chunk(1, waiting_[i].scores_all) == 0 || !admit_one(static_cast<int>(i), lookup)) break;
    }
  }

  void draft() {
    int rows_left = std::min(rows_, limits_.draft_rows);
    for (size_t i = 0; i < running_.size(); ++i) {
      const RunningView& view = running_[i];
      if (granted_[i] != 1 || view.tokens - view.computed != 1) continue;
      const int held = std::max(view.blocks, blocks_of(view.tokens));
      const int spare = spare_blocks();
      const int drafts = std::min({view.drafts, rows_left, (held + spare) * limits_.block_tokens - view.tokens});
      const int taken = std::max(0, blocks_of(view.tokens + drafts) - held);
      available_ -= {taken, limits_.windowed ? taken : 0};
      granted_[i] += drafts;
      rows_left -= drafts;
    }
  }

  StepPlan result() {
    StepPlan plan = std::move(plan_);
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

  int blocks_of(int tokens) const { return (tokens + limits_.block_tokens - 1) / limits_.block_tokens; }

  // Beyond the growth of everybody in the batch.
  int spare_blocks() const {
    const int blocks = available_.blocks - alive_ - static_cast<int>(admissions_.size());
    return std::max(0, limits_.windowed ? std::min(blocks, available_.window_slots - growing_) : blocks);
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
    growing_ -= running_[i].window_grows;
    available_ += running_[i].releasable;
    rows_ += granted_[i];
    if (scores(i)) scored_rows_ += granted_[i];
    granted_[i] = 0;
  }

  // What the running and admitted sequences could ask for.
  struct Situation {
    int alive;
    int growing;  // of them, those whose growth takes a window slot
    CacheRoom available;
  };

  bool enough(const CacheRoom& needed, const Situation& now) const {
    const CacheRoom with_growth = {needed.blocks + now.alive, needed.window_slots + now.growing};
    return now.alive < limits_.sequences && with_growth <= now.available;
  }

  // The running sequences of worse priority that would have to go, worst first; nothing when that would not be enough.
  std::optional<std::vector<size_t>> victims_for(int priority, const CacheRoom& needed) const {
    const int admitted = static_cast<int>(admissions_.size());
    Situation now = {alive_ + admitted, growing_, available_};
    std::vector<size_t> victims;
    for (size_t i = running_.size(); i-- > 0 && !enough(needed, now);) {
      if (preempted_[i]) continue;
      if (running_[i].priority <= priority) break;
      victims.push_back(i);
      --now.alive;
      now.growing -= running_[i].window_grows;
      now.available += running_[i].releasable;
    }
    if (!enough(needed, now)) return std::nullopt;
    return victims;
  }

  // What stops being available: new blocks, and idle ones that come into use.
  CacheRoom needed_by(const WaitingView& view, const Reuse& reuse) const {
    const int blocks = blocks_of(view.tokens);
    return {blocks - reuse.full_blocks + reuse.idle_blocks, reuse.window_slots};
  }

  bool admit_one(int i, const ReuseLookup& lookup) {
    const WaitingView& view = waiting_[static_cast<size_t>(i)];
    const bool full = alive_ + static_cast<int>(admissions_.size()) >= limits_.sequences;
    if (full && (running_.empty() || running_.back().priority <= view.priority)) return false;

    Reuse reuse;
    CacheRoom needed;
    std::optional<std::vector<size_t>> victims;
    // The copied block must stay while the copy is made, beside all new ones. Without the copy less may be of use.
    for (const bool copy : {true, false}) {
      reuse = lookup(i, copy);
      needed = needed_by(view, reuse);
      victims = victims_for(view.priority, needed);
      if (!victims) return false;
      int left = available_.blocks - needed.blocks;
      for (const size_t victim : *victims) left += running_[victim].releasable.blocks;
      if (!reuse.partial_idle || left > 0) break;
    }
    for (const size_t victim : *victims) preempt(victim);
    available_ -= needed;
    growing_ += reuse.window_grows;
    const int known = reuse.full_blocks * limits_.block_tokens + reuse.partial_tokens;
    const int rows = chunk(view.tokens - known, view.scores_all);
    admissions_.push_back({i, rows, reuse.partial_tokens > 0});
    rows_ -= rows;
    if (view.scores_all) scored_rows_ -= rows;
    return true;
  }

  // Of the thread, one Planner at a time: a steady step allocates nothing.
  static std::vector<int>& granted_storage() {
    thread_local std::vector<int> granted;
    return granted;
  }
  static std::vector<bool>& preempted_storage() {
    thread_local std::vector<bool> preempted;
    return preempted;
  }

  StepPlan plan_;  // its lists are taken for the result
  std::span<const RunningView> running_;
  std::span<const WaitingView> waiting_;
  const StepLimits& limits_;
  int rows_;
  int scored_rows_;
  CacheRoom available_;
  int alive_;                     // running and not pre-empted
  int growing_;                   // of them and of the admitted, those whose next block needs a further window slot
  std::vector<int>& granted_;     // [running] rows
  std::vector<bool>& preempted_;  // [running]
  std::vector<StepPlan::Admission> admissions_;
};

}  // namespace

StepPlan plan_step(std::span<const RunningView> running, std::span<const WaitingView> waiting, const StepLimits& limits,
                   const ReuseLookup& lookup, StepPlan memory) {
  Planner planner(running, waiting, limits, std::move(memory));
  planner.settle_debts();
  planner.decode();
  const bool short_of_cache = planner.preempted_any();
  planner.prefill();
  if (!short_of_cache) planner.admit(lookup);
  // What pre-emption makes available is an estimate: the admitted may share blocks that the pre-empted held.
  if (!planner.preempted_any()) planner.draft();
  return planner.result();
}

}  // namespace sluice::engine
