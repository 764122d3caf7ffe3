#include "engine/speculator.h"

#include <algorithm>

namespace sluice::engine {
namespace {

constexpr double kOverallMemory = 256;  // drafts
constexpr double kNaiveRate = 0.5;      // before any draft has been checked
constexpr double kForgotten = 0.01;     // of a sequence's record, for every step that offered and drafted nothing
constexpr int kPatienceMin = 32, kPatienceMax = 1024;  // steps
constexpr int kTryTokens = 2;

}  // namespace

Speculator::Speculator(std::shared_ptr<DraftProposer> proposer, Limits limits, EngineMetrics& metrics,
                       const Clock& clock)
    : proposer_(std::move(proposer)),
      limits_(limits),
      metrics_(metrics),
      clock_(clock),
      overall_(kOverallMemory),
      patience_(kPatienceMin) {}

// Behind an answer's last token nothing is of use, and what follows a change of the cache's regime is computed anew.
int Speculator::most_for(const Sequence& sequence) const {
  return std::min(
      {limits_.sequence_tokens, sequence.answer->left() - 1, sequence.regime.tokens_max - sequence.length()});
}

void Speculator::propose(std::span<Sequence* const> running) {
  bool decoding = !running.empty();
  for (Sequence* sequence : running) {
    sequence->drafts.clear();
    decoding &= sequence->answer != nullptr && sequence->pending() == 1;
  }
  if (!decoding) return;

  const double expected = overall_.rate(kNaiveRate);
  std::vector<DraftChance> chances;
  bool offered = false;
  for (Sequence* sequence : running) {
    if (sequence->draft_state == nullptr) sequence->draft_state = proposer_->begin();
    const int most = most_for(*sequence);
    const int offer = most > 0 ? proposer_->offer(*sequence->draft_state, sequence->tokens, most) : 0;
    chances.push_back({offer, sequence->acceptance.rate(expected)});
    offered |= offer > 0;
  }
  if (!offered) return;
  const int rows = static_cast<int>(running.size());
  std::vector<int> chosen = choose_drafts(chances, {.steps = steps_, .draft_us = draft_us_}, rows, limits_.step_tokens);
  if (steps_.knows(rows)) try_again(chances, chosen);
  for (size_t i = 0; i < running.size(); ++i) {
    if (chances[i].offered > 0 && chosen[i] == 0) running[i]->acceptance.forget(kForgotten);
  }
  write_drafts(running, chosen);
}

// When drafting has not seemed worth its while for long, the likeliest sequence drafts a little all the same: what was
// measured may have been a bad moment.
void Speculator::try_again(std::span<const DraftChance> chances, std::vector<int>& chosen) {
  if (std::ranges::any_of(chosen, [](int drafts) { return drafts > 0; })) {
    quiet_steps_ = 0;
    patience_ = kPatienceMin;
    trying_ = false;
    return;
  }
  if (trying_) {
    patience_ = std::min(2 * patience_, kPatienceMax);
    trying_ = false;
  }
  if (++quiet_steps_ < patience_) return;
  const auto best = std::ranges::max_element(
      chances, {}, [](const DraftChance& chance) { return chance.offered > 0 ? chance.rate : -1; });
  chosen[static_cast<size_t>(best - chances.begin())] = std::min(best->offered, kTryTokens);
}

void Speculator::write_drafts(std::span<Sequence* const> running, std::span<const int> chosen) {
  std::vector<DraftTask> tasks;
  int deepest = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    if (chosen[i] == 0) continue;
    Sequence& sequence = *running[i];
    tasks.push_back({.state = *sequence.draft_state,
                     .tokens = sequence.tokens,
                     .settings = sequence.request->settings,
                     .seen = sequence.seen,
                     .draw = sequence.next_draw(),
                     .wanted = chosen[i],
                     .drafts = sequence.drafts});
    deepest = std::max(deepest, chosen[i]);
  }
  if (tasks.empty()) return;
  const int64_t began = clock_.now_us();
  if (!proposer_->propose(tasks)) return;
  const double us = static_cast<double>(clock_.now_us() - began) / deepest;
  draft_us_ = draft_us_ == 0 ? us : draft_us_ + kNewest * (us - draft_us_);
}

void Speculator::measured(int rows, int64_t us) { steps_.add(rows, static_cast<double>(us)); }

void Speculator::checked(Sequence& sequence, int drafted, int right) {
  metrics_.drafts.add();
  metrics_.draft_tokens.add(drafted);
  metrics_.accepted_tokens.add(right);
  const bool refuted = right < drafted && sequence.state == Sequence::State::kRunning;
  sequence.acceptance.add(right, refuted);
  overall_.add(right, refuted);
  if (quiet_steps_ >= patience_) {
    quiet_steps_ = 0;
    trying_ = true;
  }
}

}  // namespace sluice::engine
