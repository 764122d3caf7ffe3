#pragma once
// Drafts written by a second, smaller model of the same vocabulary, for all sequences of a batch at once: one step of
// it for each token drafted. It samples with the random numbers that the large model will sample with, so that where
// both find the same tokens likely they mostly draw the same one, at any temperature.
//
// It has a cache of its own, of which every sequence that drafts takes blocks until it leaves the batch. A sequence
// whose cache is behind (a prompt, or a time without drafts) catches up in chunks of one step each before it drafts;
// one that finds no block drafts nothing.

#include "engine/draft_proposer.h"
#include "model/language_model.h"

namespace sluice::engine {

class ModelProposer final : public DraftProposer {
 public:
  struct Options {
    int blocks = 0;
    int step_rows_max = 0;  // ≥ sequences_max
    int sequences_max = 0;
    int vocab_size = 0;  // of the model it drafts for
  };

  // Reserves the model; its error, if it has one.
  static Result<std::shared_ptr<ModelProposer>> create(std::unique_ptr<model::LanguageModel> model, Options options);
  ~ModelProposer() override;

  std::unique_ptr<DraftState> begin() override;
  int offer(DraftState& state, std::span<const TokenId> tokens, int most) override;
  bool propose(std::span<DraftTask> tasks) override;

  int free_blocks() const { return static_cast<int>(free_.size()); }

 private:
  class State;
  struct Batch;

  ModelProposer(std::unique_ptr<model::LanguageModel> model, Options options);
  static State& state(const DraftTask& task);
  bool take_blocks(State& state, int tokens);
  void add_known(DraftTask& task, Batch& batch);
  void add_drafted(DraftTask& task, Batch& batch);
  bool run(Batch& batch);
  bool give_up(std::span<DraftTask> tasks);
  bool sample(DraftTask& task, std::span<float> logits);

  const std::unique_ptr<model::LanguageModel> model_;
  const Options options_;
  const int draft_vocab_;
  const int block_tokens_;
  Sampler sampler_;
  std::vector<float> row_;  // [vocab_size] logits, −infinity for what a drafting model of fewer columns lacks
  std::vector<int32_t> free_;
};

}  // namespace sluice::engine
