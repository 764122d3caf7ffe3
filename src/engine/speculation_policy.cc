#include "engine/speculation_policy.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sluice::engine {
namespace {

constexpr double kGainMin = 0.03;  // less is not worth the doubt, even where steps take equal times
constexpr int kTrustedAfter = 3;   // measurements

}  // namespace

size_t StepCost::bucket(int rows) {
  if (rows <= kExact) return static_cast<size_t>(rows);
  const int log = std::bit_width(static_cast<unsigned>(rows)) - 1;  // ≥ 4
  const int quarter = (rows >> (log - 2)) & 3;
  const int index = kExact + (log - 4) * kPerDoubling + quarter + 1;
  return std::min(static_cast<size_t>(index), size_t{kExact + kPerDoubling * kDoublings});
}

void StepCost::add(int rows, double us) {
  Bucket& own = buckets_[bucket(rows)];
  ++own.count;
  const double weight = std::max(kNewest, 1.0 / own.count);
  // A neighbour's burst on a shared machine must not count in full.
  const double seen = own.count > kTrustedAfter ? std::min(us, 2 * own.us) : us;
  if (own.count > 1) own.deviation += weight * (std::abs(seen - own.us) - own.deviation);
  own.us += weight * (seen - own.us);
  own.rows += weight * (rows - own.rows);
}

std::optional<double> StepCost::at(int rows) const {
  const Bucket *first = nullptr, *below = nullptr, *above = nullptr;
  for (const Bucket& one : buckets_) {
    if (one.count == 0) continue;
    if (first == nullptr) first = &one;
    if (one.rows > rows) {
      above = &one;
      break;
    }
    below = &one;
  }
  if (below == nullptr) return std::nullopt;
  if (above == nullptr && below == first) return below->us;
  const Bucket &from = above == nullptr ? *first : *below, &to = above == nullptr ? *below : *above;
  return from.us + (rows - from.rows) / (to.rows - from.rows) * (to.us - from.us);
}

double StepCost::scatter(int rows) const {
  const Bucket& own = buckets_[bucket(rows)];
  return own.us > 0 ? own.deviation / own.us : 0;
}

int StepCost::reach(int rows) const {
  constexpr int kAlways = 4;
  int largest = 0;
  for (const Bucket& one : buckets_) {
    if (one.count > 0) largest = std::max(largest, static_cast<int>(one.rows));
  }
  return std::max({2 * largest, 2 * rows, rows + kAlways});
}

std::vector<int> choose_drafts(std::span<const DraftChance> chances, const DraftCosts& costs, int rows, int most) {
  std::vector<int> chosen(chances.size());
  if (!costs.steps.knows(rows)) return chosen;
  const double alone = *costs.steps.at(rows);
  most = std::min(most, costs.steps.reach(rows) - rows);

  // The likeliest draft first; its chance is that of all before it in its sequence too.
  std::vector<double> next(chances.size());
  for (size_t i = 0; i < chances.size(); ++i) next[i] = chances[i].offered > 0 ? chances[i].rate : 0;
  std::vector<int> depth(chances.size());
  std::vector<size_t> order;
  double expected = rows, best = (1 + kGainMin + costs.steps.scatter(rows)) * rows / std::max(alone, 1.0);
  int deepest = 0;
  size_t taken = 0;
  while (static_cast<int>(order.size()) < most) {
    const size_t i = static_cast<size_t>(std::max_element(next.begin(), next.end()) - next.begin());
    if (next[i] <= 0) break;
    order.push_back(i);
    expected += next[i];
    deepest = std::max(deepest, ++depth[i]);
    next[i] = depth[i] < chances[i].offered ? next[i] * chances[i].rate : 0;
    const double step_us = std::max(alone, costs.steps.at(rows + static_cast<int>(order.size())).value_or(0));
    const double rate = expected / std::max(step_us + deepest * costs.draft_us, 1.0);
    if (rate <= best) continue;
    best = rate;
    taken = order.size();
  }
  for (size_t i = 0; i < taken; ++i) ++chosen[order[i]];
  return chosen;
}

}  // namespace sluice::engine
