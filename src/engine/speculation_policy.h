#pragma once
// How many tokens to draft: as many as make the expected rate of tokens highest, by what steps have been measured to
// take and drafts to be right; none where that loses. Pure: numbers in, numbers out.

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace sluice::engine {

constexpr double kNewest = 0.125;  // weight of the newest measurement in a fading average of times

// The share of drafts that turn out right, with an exponentially fading memory.
class Acceptance {
 public:
  explicit Acceptance(double memory) : memory_(memory) {}  // in drafts, about

  void add(int right, int wrong) {
    right_ += right - right_ * fading(right + wrong);
    tried_ += right + wrong - tried_ * fading(right + wrong);
  }
  // With so few drafts that they tell little, the rate is near `expected`.
  double rate(double expected) const { return (right_ + kDoubt * expected) / (tried_ + kDoubt); }
  // Brings the rate nearer to what is expected, as time goes by without a draft.
  void forget(double share) {
    right_ *= 1 - share;
    tried_ *= 1 - share;
  }

 private:
  static constexpr double kDoubt = 2;
  double fading(int drafts) const { return drafts < memory_ ? drafts / memory_ : 1; }

  double memory_;
  double right_ = 0;
  double tried_ = 0;
};

// Microseconds of a step by its rows: averages of what was measured, and lines through them.
class StepCost {
 public:
  void add(int rows, double us);
  // Whether steps of about so many rows have been measured.
  bool knows(int rows) const { return buckets_[bucket(rows)].count > 0; }
  // Nothing for fewer rows than any step measured. While steps of one size alone are known, larger ones are hoped to
  // cost the same: trying will tell.
  std::optional<double> at(int rows) const;
  // By how much steps of about so many rows differ from their average, as a share of it.
  double scatter(int rows) const;
  // The most rows that may be tried instead of `rows`.
  int reach(int rows) const;

 private:
  struct Bucket {
    double us = 0;
    double rows = 0;       // their average
    double deviation = 0;  // the average |us of a step − us|
    int count = 0;
  };
  static constexpr int kExact = 16, kPerDoubling = 4, kDoublings = 12;
  static size_t bucket(int rows);

  std::array<Bucket, kExact + kPerDoubling * kDoublings + 1> buckets_{};
};

struct DraftChance {
  int offered;  // tokens that could be drafted
  double rate;  // the chance of each to be right when those before it are
};

struct DraftCosts {
  const StepCost& steps;
  double draft_us;  // of drafting one token for every sequence
};

// The tokens to draft for each sequence of a step that has `rows` rows without drafts; at most `most` in all. None
// before such a step has been measured without, and none for a gain that scatter may feign.
std::vector<int> choose_drafts(std::span<const DraftChance> chances, const DraftCosts& costs, int rows, int most);

}  // namespace sluice::engine
