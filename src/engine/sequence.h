#pragma once
// The engine's own records of an accepted request. Built by the thread that submits, from then on owned by the engine
// thread. Plain state; engine_core.h holds the rules.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/answer.h"
#include "engine/cache_blocks.h"
#include "engine/draft_proposer.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/speculation_policy.h"
#include "model/language_model.h"

namespace sluice::engine {

struct Request;

// One text being computed: a choice of a generation, or an input of an embedding.
struct Sequence {
  enum class State {
    kHeld,     // a further choice, until the first has computed and reported the prompt they share
    kWaiting,  // wants a place in the batch
    kRunning,  // has blocks and a place
    kDone,
  };

  Request* request = nullptr;
  int number = 0;  // choice or input
  State state = State::kWaiting;
  std::vector<TokenId> tokens;  // prompt, then generated; the last generated one is not in the cache yet
  int prompt_tokens = 0;
  int pass_tokens = 0;        // of the forward pass it began with: the prompt, or all it had when it restarted
  model::CacheRegime regime;  // of such a pass
  std::string cache_salt;     // the request's, and the regime
  BlockTable table;
  bool reads_rows = false;    // every prompt row's output is wanted, so none may come from the index
  bool reads_logits = false;  // that output is the logits
  int rows_read = 0;          // of them, from the front
  int cached_tokens = 0;      // of the prompt, taken from the index before any pre-emption
  int preemptions = 0;

  std::unique_ptr<Answer> answer;  // of a generation
  SeenTokens seen;
  std::optional<int64_t> first_token_us;
  int64_t last_token_us = 0;

  std::vector<TokenId> drafts;              // that the coming step checks
  std::unique_ptr<DraftState> draft_state;  // while it runs, when there is speculation
  Acceptance acceptance{16};

  std::vector<double> pooled;  // [hidden_size], of an embedding: the sum of the rows read

  int length() const { return static_cast<int>(tokens.size()); }
  int pending() const { return length() - table.computed; }
  Draw next_draw() const;
  // The last token is always computed, for its output.
  int reuse_limit() const { return reads_rows ? std::min(rows_read, length() - 1) : length() - 1; }
};

struct EmbedJob {
  api::Pooling pooling;
  bool normalize;
  std::function<void(Result<api::EmbedAnswer>)> done;
  std::vector<std::vector<float>> embeddings;  // [inputs][hidden_size]
};

struct Request {
  api::RequestId id = 0;
  int priority = 0;
  uint64_t order = 0;  // of arrival
  std::string cache_salt;
  int64_t deadline_us = 0;
  int64_t arrived_us = 0;
  std::optional<int64_t> started_us;      // first place in the batch
  std::optional<int64_t> first_token_us;  // of any choice
  SamplingSettings settings;              // of a generation, as are the next three
  uint64_t seed = 0;
  std::shared_ptr<api::GenerationSink> sink;
  api::PromptReport prompt;
  std::unique_ptr<EmbedJob> embed;  // null: a generation
  std::vector<std::unique_ptr<Sequence>> sequences;
  int unfinished = 0;  // sequences not done
  bool ended = false;  // its last event has been sent
  api::Usage usage;
};

inline Draw Sequence::next_draw() const {
  return {request->seed, static_cast<uint64_t>(answer->generated()), static_cast<uint64_t>(number)};
}

// The order in which sequences are served.
struct ServedBefore {
  bool operator()(const Sequence* a, const Sequence* b) const {
    const Request &left = *a->request, &right = *b->request;
    if (left.priority != right.priority) return left.priority < right.priority;
    if (left.order != right.order) return left.order < right.order;
    return a->number < b->number;
  }
};

}  // namespace sluice::engine
