#pragma once
// What a caller hands to the engine: token-level requests and the engine's options.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/backend.h"
#include "api/generate.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/draft_proposer.h"

namespace sluice::engine {

using TokenId = int32_t;

inline constexpr int kDraftRows = 64;

struct EngineOptions {
  int blocks = 0;              // of the key/value cache
  int window_slots = 0;        // for layers with a window (model/language_model.h); 0: one for every block
  int step_rows_max = 512;     // rows of one step: decode tokens and prefill chunks together; ≥ sequences_max
  int sequences_max = 64;      // computed at the same time
  int prompt_score_rows = 64;  // rows of one step for prompts whose log-probabilities are asked for
  int waiting_max = 1024;      // requests accepted but not begun; more are refused with kResourceExhausted
  int context_max = 0;         // tokens of one sequence, prompt and answer; 0: what the model was made for
  int choices_max = 128;       // of one request
  int inputs_max = 2048;       // of one embedding request
  bool prefix_index = true;    // reuse what earlier requests have computed
  std::vector<TokenId> eos;    // the model's end tokens, from its own files
  api::SamplingParams sampling_defaults;  // from the model's generation_config.json
  std::string model_name;                 // label of the metrics
  ThreadPool* pool = nullptr;             // the model's; samples many sequences at once when it is given
  // > 0: a step that computes prompts beside running answers takes at most so many times one of the answers alone
  // (step_budget.h); 0: prompts are computed as fast as they can be.
  double prefill_slowdown = 0;
  std::optional<uint64_t> random_seed;      // from which requests without a seed get theirs; unset: from the system
  std::shared_ptr<DraftProposer> proposer;  // speculation (speculator.h); null: none. The engine thread's from then on
  int draft_tokens_max = 8;                 // of one sequence in a step, with a proposer
  int draft_rows = kDraftRows;              // of all sequences, with a proposer

  // What the model must be reserved with.
  int logits_rows_max() const { return sequences_max + prompt_score_rows + draft_rows_max(); }
  int draft_rows_max() const { return proposer != nullptr ? draft_rows : 0; }
};

struct EngineRequest {
  api::RequestId id = 0;
  std::vector<TokenId> prompt;  // not empty
  api::SamplingParams sampling;
  int choices = 1;
  int priority = 0;                     // lower first
  std::string cache_salt;               // prefixes are shared only within one salt
  int64_t deadline_us = 0;              // on the engine's clock; 0: none
  int64_t arrived_us = 0;               // on the engine's clock; 0: when submitted
  std::string prompt_param = "prompt";  // how the client calls the prompt ("messages"), for errors
  std::shared_ptr<api::GenerationSink> sink;
};

struct EngineEmbedRequest {
  api::RequestId id = 0;
  std::vector<std::vector<TokenId>> inputs;  // none empty
  api::Pooling pooling = api::Pooling::kMean;
  bool normalize = true;
  int priority = 0;
  std::string cache_salt;
  int64_t deadline_us = 0;
  int64_t arrived_us = 0;
  std::function<void(Result<api::EmbedAnswer>)> done;  // called exactly once, on the engine thread
};

}  // namespace sluice::engine
