#pragma once
// Chooses the next token from a row of logits. The result is a pure function of the row, the settings, the tokens seen
// and the draw's three numbers, so a request gets the same answer whatever else is in its batch.
//
// Order, as OpenAI's parameters and vLLM have it: log-probabilities are reported of the raw distribution; then
// logit_bias, repetition, frequency and presence penalties, and the ban on end tokens before min_tokens; at temperature
// 0 the best token (the lowest id of equals); else softmax(logits / temperature), cut by top_k, then top_p, then min_p,
// and one draw. top_k keeps exactly k tokens and top_p the fewest tokens that reach its mass, the lower ids of equals;
// each cut works on the distribution the one before it left.
//
// One Sampler serves one thread; its scratch is a few vocabularies, allocated once. No call sorts or copies the
// vocabulary.

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/sampling_settings.h"

namespace sluice::engine {

// The tokens of one sequence, as penalties see them. Filled only when the settings penalise.
class SeenTokens {
 public:
  void add_prompt(std::span<const TokenId> ids);
  void add_generated(TokenId id) { ++counts_[id]; }
  const std::unordered_map<TokenId, int>& counts() const {
    return counts_;
  }  // how often generated; 0: in the prompt alone

 private:
  std::unordered_map<TokenId, int> counts_;
};

struct TokenScore {
  TokenId id = 0;
  float logprob = 0;
};

struct Sample {
  TokenId id = 0;
  float logprob = 0;            // natural, of the raw distribution; only when settings.logprobs is set
  std::vector<TokenScore> top;  // descending, settings.logprobs of them
};

// Where in its sequence a token is drawn; these numbers alone decide the random number.
struct Draw {
  uint64_t seed = 0;
  uint64_t index = 0;   // tokens generated before
  uint64_t choice = 0;  // of a request with several answers
};

class Sampler {
 public:
  explicit Sampler(int vocab_size);

  // Changes `logits` [vocab_size]. kInternal when a logit is NaN or +infinity, or every token is banned.
  Result<Sample> sample(std::span<float> logits, const SamplingSettings& settings, const SeenTokens& seen,
                        const Draw& draw);
  // How likely `id` is, and the `top` best tokens.
  Result<Sample> score(std::span<const float> logits, TokenId id, int top);

 private:
  struct Candidate {
    TokenId id;
    float weight;
  };
  static bool better(const Candidate& a, const Candidate& b) {
    return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
  }

  Result<float> peak(std::span<const float> logits) const;
  float log_sum(std::span<const float> logits, float peak);
  std::vector<TokenScore> best(std::span<const float> logits, int count, float log_sum);
  void adjust(std::span<float> logits, const SamplingSettings& settings, const SeenTokens& seen, const Draw& draw);
  double weigh(std::span<const float> logits, float peak, float scale);
  void keep_top_k(std::span<const float> logits, size_t k);
  void keep_top_p(double top_p, double total);
  void cut(std::span<const float> logits, float peak, const SamplingSettings& settings, double* total);
  TokenId draw_from_candidates(double uniform) const;
  TokenId draw_from_all(double uniform, double total) const;

  std::vector<float> weights_;         // [vocab] exp((logit − peak) / temperature)
  std::vector<double> chunk_sums_;     // of weights_, per kChunk
  std::vector<Candidate> candidates_;  // what the cuts have left, ascending by id
  std::vector<Candidate> selection_;   // scratch of the cuts
  std::vector<TokenScore> changed_;    // raw logits that adjust() has overwritten
};

}  // namespace sluice::engine
