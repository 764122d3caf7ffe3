#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"
#include "base/wide_loops.h"

namespace sluice::engine {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kChunk = 1024;
constexpr float kBanned = -std::numeric_limits<float>::infinity();

// exp(x) for x ≤ 0, relative error below 2e-7, 0 below −87. Written out so that it vectorises and gives the same bits
// on every machine and library. Polynomial: Cephes expf.
inline float exp_nonpositive(float x) {
  const float clamped = x < -88.0f ? -88.0f : x;
  // Adding 1.5·2^23 rounds to the nearest integer and leaves it in the low bits.
  const float shifted = clamped * 1.44269504088896341f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;
  const float value = p * std::bit_cast<float>(exponent);
  return x < -87.0f ? 0.0f : value;
}

// Weights in (0, 1], greatest first, 32 buckets for every halving; the last takes all the rest.
constexpr size_t kBuckets = 1024;
size_t bucket_of(float weight) {
  const uint32_t one = std::bit_cast<uint32_t>(1.0f), bits = std::bit_cast<uint32_t>(weight);
  return bits >= one ? 0 : std::min<size_t>((one - bits) >> 18, kBuckets - 1);
}

// The sum, in kLanes partial sums.
inline double sum_of(const float* values, size_t count) {
  std::array<float, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane];
  }
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  for (; i < count; ++i) sum += static_cast<double>(values[i]);
  return sum;
}

// weights = e^((logits − peak)·scale); returns their sum.
SLUICE_WIDE double weigh_chunk(const float* __restrict logits, size_t count, float peak, float scale,
                               float* __restrict weights) {
  for (size_t i = 0; i < count; ++i) weights[i] = exp_nonpositive((logits[i] - peak) * scale);
  return sum_of(weights, count);
}

struct Peak {
  float value;
  bool any_nan;
};

SLUICE_WIDE Peak find_peak(const float* logits, size_t count) {
  std::array<float, kLanes> lanes;
  lanes.fill(kBanned);
  std::array<uint32_t, kLanes> bad{};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = logits[i + lane];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
      bad[lane] |= value != value ? 1u : 0u;
    }
  }
  for (; i < count; ++i) {
    lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    bad[0] |= logits[i] != logits[i] ? 1u : 0u;
  }
  Peak peak = {lanes[0], bad[0] != 0};
  for (size_t lane = 1; lane < kLanes; ++lane) {
    peak.value = std::max(peak.value, lanes[lane]);
    peak.any_nan |= bad[lane] != 0;
  }
  return peak;
}

}  // namespace

void SeenTokens::add_prompt(std::span<const TokenId> ids) {
  for (const TokenId id : ids) counts_.try_emplace(id, 0);
}

Sampler::Sampler(int vocab_size)
    : weights_(static_cast<size_t>(vocab_size)), chunk_sums_((static_cast<size_t>(vocab_size) + kChunk - 1) / kChunk) {
  candidates_.reserve(weights_.size());
  selection_.reserve(weights_.size());
}

// The greatest logit, found with a check of all of them.
Result<float> Sampler::peak(std::span<const float> logits) const {
  SLUICE_CHECK(logits.size() == weights_.size());
  const Peak peak = find_peak(logits.data(), logits.size());
  if (peak.any_nan || std::isinf(peak.value)) {
    if (peak.value == kBanned && !peak.any_nan)
      return invalid_argument("No token can be chosen: the settings ban all of them.");
    return Error{
        ErrorCode::kInternal, "The model's output is not a number; its weights or cache may be damaged.", {}, {}};
  }
  return peak.value;
}

// Fills weights_ and chunk_sums_; returns their sum.
double Sampler::weigh(std::span<const float> logits, float peak, float scale) {
  double total = 0;
  for (size_t chunk = 0; chunk < chunk_sums_.size(); ++chunk) {
    const size_t begin = chunk * kChunk, end = std::min(begin + kChunk, logits.size());
    chunk_sums_[chunk] = weigh_chunk(logits.data() + begin, end - begin, peak, scale, weights_.data() + begin);
    total += chunk_sums_[chunk];
  }
  return total;
}

float Sampler::log_sum(std::span<const float> logits, float peak) {
  return static_cast<float>(static_cast<double>(peak) + std::log(weigh(logits, peak, 1)));
}

// Fills candidates_ with the k greatest logits (as weights), in no order. One pass: what cannot be among them is
// dropped as soon as k greater ones are known.
void Sampler::keep_top_k(std::span<const float> logits, size_t k) {
  candidates_.clear();
  const size_t room = std::min(2 * k + 64, logits.size());
  const auto shrink = [&] {
    if (candidates_.size() <= k) return;
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k) - 1, candidates_.end(),
                     better);
    candidates_.resize(k);
  };
  float threshold = kBanned;
  bool open = true;  // fewer than k are known: everything enters
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!open && !(logits[i] > threshold)) continue;
    candidates_.push_back({static_cast<TokenId>(i), logits[i]});
    if (candidates_.size() < room) continue;
    shrink();
    if (candidates_.size() == k) {
      threshold = candidates_.back().weight;
      open = false;
    }
  }
  shrink();
}

std::vector<TokenScore> Sampler::best(std::span<const float> logits, int count, float log_sum) {
  std::vector<TokenScore> top;
  if (count <= 0) return top;
  keep_top_k(logits, std::min(static_cast<size_t>(count), logits.size()));
  std::sort(candidates_.begin(), candidates_.end(), better);
  for (const Candidate& candidate : candidates_) top.push_back({candidate.id, candidate.weight - log_sum});
  return top;
}

Result<Sample> Sampler::score(std::span<const float> logits, TokenId id, int top) {
  SLUICE_TRY(const float greatest, peak(logits));
  const float normaliser = log_sum(logits, greatest);
  return Sample{id, logits[static_cast<size_t>(id)] - normaliser, best(logits, top, normaliser)};
}

void Sampler::adjust(std::span<float> logits, const SamplingSettings& settings, const SeenTokens& seen,
                     const Draw& draw) {
  changed_.clear();
  const auto change = [&](TokenId id, float value) {
    float& logit = logits[static_cast<size_t>(id)];
    if (settings.logprobs) changed_.push_back({id, logit});
    logit = value;
  };
  for (const auto& [id, bias] : settings.logit_bias) change(id, logits[static_cast<size_t>(id)] + bias);
  if (settings.penalises()) {
    for (const auto& [id, count] : seen.counts()) {
      float logit = logits[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / settings.repetition_penalty : logit * settings.repetition_penalty;
      logit -= settings.frequency_penalty * static_cast<float>(count);
      if (count > 0) logit -= settings.presence_penalty;
      change(id, logit);
    }
  }
  if (draw.index < static_cast<uint64_t>(settings.min_tokens)) {
    for (const TokenId id : settings.end_ids) {
      if (id >= 0 && static_cast<size_t>(id) < logits.size()) change(id, kBanned);
    }
  }
}

// Cuts candidates_ (ascending by id, weights with the sum `total`) to the fewest whose weights reach top_p · total. A
// histogram finds the bucket of weights that holds the border; inside it, halving finds the border, looking again only
// at the half that holds it.
void Sampler::keep_top_p(double top_p, double total) {
  const double wanted = top_p * total;
  std::array<double, kBuckets> buckets{};
  for (const Candidate& candidate : candidates_)
    buckets[bucket_of(candidate.weight)] += static_cast<double>(candidate.weight);
  size_t bucket = 0;
  double above = 0;  // weight of what is surely kept
  for (; bucket < kBuckets && above + buckets[bucket] < wanted; ++bucket) above += buckets[bucket];
  if (bucket == kBuckets) return;
  selection_.clear();
  for (const Candidate& candidate : candidates_) {
    if (bucket_of(candidate.weight) == bucket) selection_.push_back(candidate);
  }

  size_t low = 0, high = selection_.size();  // the border lies in [low, high)
  const auto at = [&](size_t i) { return selection_.begin() + static_cast<ptrdiff_t>(i); };
  while (high - low > 32) {
    const size_t middle = (low + high) / 2;
    std::nth_element(at(low), at(middle), at(high), better);
    double upper = 0;
    for (size_t i = low; i < middle; ++i) upper += static_cast<double>(selection_[i].weight);
    if (above + upper >= wanted) {
      high = middle;
    } else {
      above += upper;
      low = middle;
    }
  }
  std::sort(at(low), at(high), better);
  size_t border = low;
  for (; border + 1 < high; ++border) {
    above += static_cast<double>(selection_[border].weight);
    if (above >= wanted) break;
  }
  const Candidate last = selection_[border];
  std::erase_if(candidates_, [&](const Candidate& candidate) { return better(last, candidate); });
}

TokenId Sampler::draw_from_candidates(double uniform) const {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += static_cast<double>(candidate.weight);
  double rest = uniform * total;
  TokenId chosen = candidates_.front().id;
  for (const Candidate& candidate : candidates_) {
    if (candidate.weight <= 0) continue;
    chosen = candidate.id;
    rest -= static_cast<double>(candidate.weight);
    if (rest < 0) break;
  }
  return chosen;
}

TokenId Sampler::draw_from_all(double uniform, double total) const {
  double rest = uniform * total;
  // Rounding may leave a rest behind the last chunk with any weight; that chunk then gives its last token.
  size_t chunk = 0, last = 0;
  for (; chunk < chunk_sums_.size(); ++chunk) {
    if (chunk_sums_[chunk] <= 0) continue;
    last = chunk;
    if (rest < chunk_sums_[chunk]) break;
    rest -= chunk_sums_[chunk];
  }
  const size_t begin = last * kChunk, end = std::min(begin + kChunk, weights_.size());
  if (chunk == chunk_sums_.size()) rest = std::numeric_limits<double>::infinity();
  size_t chosen = begin;
  for (size_t i = begin; i < end; ++i) {
    if (weights_[i] <= 0) continue;
    chosen = i;
    rest -= static_cast<double>(weights_[i]);
    if (rest < 0) break;
  }
  return static_cast<TokenId>(chosen);
}

// Fills candidates_ with what the cuts leave of the distribution, or leaves them empty when no cut is asked for and
// weights_ (with their sum `*total`) are the whole of it.
void Sampler::cut(std::span<const float> logits, float peak, const SamplingSettings& settings, double* total) {
  const float scale = 1 / settings.temperature;
  const auto top_k = static_cast<size_t>(settings.top_k);
  if (top_k > 0 && top_k < logits.size()) {
    keep_top_k(logits, top_k);
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
    *total = 0;
    for (Candidate& candidate : candidates_) {
      candidate.weight = exp_nonpositive((candidate.weight - peak) * scale);
      *total += static_cast<double>(candidate.weight);
    }
  } else {
    *total = weigh(logits, peak, scale);
    candidates_.clear();
    if (settings.top_p >= 1 && settings.min_p <= 0) return;
    // All tokens lighter than an even share of what top_p leaves out weigh less than that together, so none of them is
    // kept. Half of it, for rounding.
    const double share = (1 - settings.top_p) * *total / static_cast<double>(logits.size());
    const float least = settings.top_p < 1 ? static_cast<float>(share / 2) : settings.min_p;
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] >= least) candidates_.push_back({static_cast<TokenId>(i), weights_[i]});
    }
  }
  if (settings.top_p < 1) keep_top_p(settings.top_p, *total);
  // The best token's weight is 1.
  if (settings.min_p > 0)
    std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.weight < settings.min_p; });
}

Result<Sample> Sampler::sample(std::span<float> logits, const SamplingSettings& settings, const SeenTokens& seen,
                               const Draw& draw) {
  Sample result;
  float normaliser = 0;
  if (settings.logprobs) {
    SLUICE_TRY(const float raw_peak, peak(logits));
    normaliser = log_sum(logits, raw_peak);
    result.top = best(logits, *settings.logprobs, normaliser);
  }
  adjust(logits, settings, seen, draw);
  SLUICE_TRY(const float greatest, peak(logits));

  if (settings.greedy() || settings.top_k == 1) {
    result.id = static_cast<TokenId>(std::find(logits.begin(), logits.end(), greatest) - logits.begin());
  } else {
    double total = 0;
    cut(logits, greatest, settings, &total);
    const double uniform = philox_uniform(draw.seed, draw.index, draw.choice);
    result.id = candidates_.empty() ? draw_from_all(uniform, total) : draw_from_candidates(uniform);
  }

  if (settings.logprobs) {
    float raw = logits[static_cast<size_t>(result.id)];
    // The first change of a token saw its raw logit.
    const auto changed =
        std::find_if(changed_.begin(), changed_.end(), [&](const TokenScore& one) { return one.id == result.id; });
    if (changed != changed_.end()) raw = changed->logprob;
    result.logprob = raw - normaliser;
  }
  return result;
}

}  // namespace sluice::engine
