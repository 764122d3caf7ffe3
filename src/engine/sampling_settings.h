#pragma once
// Sampling parameters as the engine uses them: every default filled in, every value checked.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "api/generate.h"
#include "base/result.h"

namespace sluice::engine {

using TokenId = int32_t;

inline constexpr int kTopLogprobsMax = 20;
inline constexpr int kStopStringsMax = 64;
inline constexpr int kStopBytesMax = 4096;  // of one stop string

struct SamplingSettings {
  float temperature = 1;  // 0: greedy
  double top_p = 1;
  int top_k = 0;  // 0: off
  float min_p = 0;
  float repetition_penalty = 1;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::optional<uint64_t> seed;
  int max_tokens = 0;  // 0: no limit of its own
  int min_tokens = 0;
  std::vector<std::string> stop;  // none empty
  std::vector<TokenId> end_ids;   // ascending: the model's end tokens (unless ignored) and the request's stop ids
  bool include_stop = false;
  bool skip_special_tokens = true;
  std::vector<std::string> shown_tokens;  // special tokens printed all the same
  std::optional<int> logprobs;
  std::optional<int> prompt_logprobs;

  bool greedy() const { return temperature == 0; }
  bool penalises() const { return repetition_penalty != 1 || frequency_penalty != 0 || presence_penalty != 0; }
  bool ends(TokenId id) const;
};

// `params` first, then `defaults` (the model's generation_config.json), then OpenAI's. kInvalidArgument names the
// parameter.
Result<SamplingSettings> resolve_sampling(const api::SamplingParams& params, const api::SamplingParams& defaults,
                                          std::span<const TokenId> eos, int vocab_size);

}  // namespace sluice::engine
