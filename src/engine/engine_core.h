#pragma once
// EngineCore: continuous batching as a machine that is stepped by hand; Engine (engine.h) puts a thread and a queue
// around it. One step is a transaction:
//
//   propose  with speculation, a few tokens are guessed for sequences that decode (speculator.h)
//   plan     scheduler.h decides from numbers alone which sequences compute how many rows
//   reserve  blocks and window slots are taken; an admission that turns out not to fit stays waiting
//   run      the model computes; if it fails, the step's requests end with its error and all others go on
//   commit   what was computed is declared computed and shown to the prefix index
//   publish  tokens are sampled and sent; finished sequences give their blocks back
//
// A pre-empted sequence loses nothing: its blocks stay in the index as long as there is room, its tokens are known, and
// nothing sent is sent again. A sequence that has computed all its tokens but the last decodes.
//
// Speculation. A decoding sequence may have rows for drafted tokens behind its own. After the step its next token is
// sampled from the first row as ever; if that is the token drafted, the second row is exactly what the next step would
// have computed, and so on. What follows the first difference is forgotten: its rows in the cache are written again.
// So text, log-probabilities and reasons are those without speculation, to the bit.
//
// Owned by one thread, sinks are called on it. accept() and only accept() may be called by any thread.

#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "engine/admission.h"
#include "engine/batch_sampler.h"
#include "engine/cache_blocks.h"
#include "engine/engine_metrics.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/speculator.h"
#include "engine/step_budget.h"
#include "model/language_model.h"
#include "text/tokenizer.h"

namespace sluice::engine {

class EngineCore {
 public:
  // Reserves the model. kInvalidArgument for options that contradict each other, else the model's own error.
  static Result<std::unique_ptr<EngineCore>> create(std::unique_ptr<model::LanguageModel> model,
                                                    const text::Tokenizer& tokenizer, EngineOptions options,
                                                    MetricsRegistry& metrics, const Clock& clock);
  ~EngineCore();

  template <class AnyRequest>
  Result<std::unique_ptr<Request>> accept(AnyRequest request) const {
    return admission_->accept(std::move(request));
  }

  void add(std::unique_ptr<Request> request);
  // Ends a request now, with kCancelled; an unknown id is ignored.
  void cancel(api::RequestId id);
  void end_all(const Error& error);
  // Runs one step. False when there is nothing to do.
  bool step();

  bool has_work() const { return !requests_.empty(); }
  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return static_cast<int>(waiting_.size()); }
  int unstarted_requests() const { return unstarted_; }  // that have not had a place in the batch
  double kv_usage() const { return cache_.usage(); }
  std::vector<api::RequestId> take_ended() { return std::exchange(ended_ids_, {}); }  // since the last call

  // Checks blocks, index and lists against each other: a broken invariant is a bug of the engine.
  Result<void> audit() const;
  const CacheBlocks& cache() const { return cache_; }
  const EngineOptions& options() const { return *options_; }

 private:
  // A sequence's part of the step being run.
  struct BatchEntry {
    Sequence* sequence;
    int rows;         // drafted ones included
    int drafted = 0;  // of them, the last
    int first_row = 0;
    int first_logits = 0;  // index of its first wanted logits row
    int scored = 0;        // prompt rows whose logits are wanted
    bool samples = false;  // and then one for the next token, and one after each drafted one
    size_t sample = 0;     // the task of the first of those among the batch's
  };
  struct Batch {
    std::vector<BatchEntry> entries;
    std::vector<TokenId> tokens;
    std::vector<int32_t> positions;
    std::vector<int32_t> rope_lengths;
    std::vector<model::SequenceRows> sequences;
    std::vector<model::SequenceRows> window_sequences;  // of a model with windows
    std::vector<int32_t> logits_rows;
    bool want_hidden = false;
    std::vector<SampleTask> samples;

    // Empties it and keeps its memory: a steady step allocates nothing here.
    void clear();
  };

  EngineCore(std::unique_ptr<model::LanguageModel> model, const text::Tokenizer& tokenizer,
             std::unique_ptr<EngineOptions> options, MetricsRegistry& metrics, const Clock& clock);

  void end_overdue();
  void adopt_prefixes();
  const StepPlan& plan();
  void reserve(const StepPlan& plan);
  bool admit(Sequence& sequence, const StepPlan::Admission& admission);
  void fill_batch();
  void fill_entry(BatchEntry& entry);
  Result<model::StepOutput> run();
  void sample(const model::StepOutput& output);
  bool decodes_only() const;
  void publish(const BatchEntry& entry, const model::StepOutput& output);
  void read_prompt_rows(const BatchEntry& entry, const model::StepOutput& output);
  void finish_prompt(Sequence& sequence);
  void sample_rows(const BatchEntry& entry, const model::StepOutput& output);
  bool sample_next(Sequence& sequence, const Result<Sample>& sample);
  void finish_embedding(Sequence& sequence);

  void preempt(Sequence& sequence);
  void leave(Sequence& sequence, bool keep);
  void finish(Sequence& sequence);
  void end(Request& request, Result<api::Usage> outcome);
  void update_gauges();
  PrefixKey key(const Sequence& sequence) const {
    return {sequence.cache_salt, sequence.tokens, sequence.regime.shared_tokens};
  }
  void set_pass(Sequence& sequence, int tokens);
  void restart(Sequence& sequence);
  std::span<float> logits_row(const model::StepOutput& output, int index) const;

  std::unique_ptr<model::LanguageModel> model_;
  const model::ModelTraits traits_;
  const text::Tokenizer& tokenizer_;
  const std::unique_ptr<const EngineOptions> options_;  // its address is known to admission_
  const Clock& clock_;
  EngineMetrics metrics_;
  CacheBlocks cache_;
  std::unique_ptr<const Admission> admission_;
  BatchSampler sampler_;
  StepBudget budget_;
  std::unique_ptr<Speculator> speculator_;  // null without speculation

  std::unordered_map<api::RequestId, std::unique_ptr<Request>> requests_;
  std::vector<Sequence*> running_;  // by ServedBefore
  std::set<Sequence*, ServedBefore> waiting_;
  std::set<std::pair<int64_t, api::RequestId>> deadlines_;
  Batch batch_;
  // Of plan() and reserve(), kept for their memory.
  StepPlan plan_;
  std::vector<RunningView> running_views_;
  std::vector<WaitingView> waiting_views_;
  std::vector<const Sequence*> candidates_;
  std::vector<Sequence*> planned_;
  std::vector<std::unique_ptr<Request>> ended_;  // of this step: entries may still point to them
  std::vector<api::RequestId> ended_ids_;
  uint64_t next_order_ = 0;
  int unstarted_ = 0;
  int empty_steps_ = 0;
};

}  // namespace sluice::engine
