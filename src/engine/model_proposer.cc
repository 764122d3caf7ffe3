#include "engine/model_proposer.h"

#include <algorithm>
#include <limits>

#include "base/log.h"

namespace sluice::engine {

class ModelProposer::State final : public DraftState {
 public:
  explicit State(ModelProposer& proposer) : owner(proposer) {}
  ~State() override { owner.free_.insert(owner.free_.end(), blocks.rbegin(), blocks.rend()); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Of the tokens drafted last time, those that came true are in the cache already. The last token is always computed,
  // for its output.
  void settle(std::span<const TokenId> tokens) {
    for (const TokenId guess : guessed) {
      if (computed >= static_cast<int>(tokens.size()) || tokens[static_cast<size_t>(computed)] != guess) break;
      ++computed;
    }
    guessed.clear();
    computed = std::min(computed, static_cast<int>(tokens.size()) - 1);
  }

  ModelProposer& owner;
  std::vector<int32_t> blocks;
  int computed = 0;              // tokens in the cache
  std::vector<TokenId> guessed;  // and drafted ones behind them
  size_t checked = 0;            // tokens known to be in the drafting model's vocabulary
  bool lost = false;             // one was not, or a step failed: no more drafts
};

// One step of the drafting model.
struct ModelProposer::Batch {
  std::vector<TokenId> tokens;
  std::vector<int32_t> positions, rope_lengths, logits_rows;
  std::vector<model::SequenceRows> sequences;
  std::vector<DraftTask*> sampled;  // whose logits are wanted, in the order of the rows

  void add(TokenId token, int position) {
    tokens.push_back(token);
    positions.push_back(position);
    rope_lengths.push_back(position + 1);
  }
};

Result<std::shared_ptr<ModelProposer>> ModelProposer::create(std::unique_ptr<model::LanguageModel> model,
                                                             Options options) {
  SLUICE_RETURN_IF_ERROR(model->reserve(options.blocks, options.step_rows_max, options.sequences_max));
  return std::shared_ptr<ModelProposer>(new ModelProposer(std::move(model), options));
}

ModelProposer::ModelProposer(std::unique_ptr<model::LanguageModel> model, Options options)
    : model_(std::move(model)),
      options_(options),
      draft_vocab_(model_->traits().vocab_size),
      block_tokens_(model_->cache_layout().block_tokens),
      sampler_(options.vocab_size),
      row_(static_cast<size_t>(options.vocab_size)) {
  for (int32_t block = options.blocks; block-- > 0;) free_.push_back(block);
}

ModelProposer::~ModelProposer() = default;

ModelProposer::State& ModelProposer::state(const DraftTask& task) { return static_cast<State&>(task.state); }

std::unique_ptr<DraftState> ModelProposer::begin() { return std::make_unique<State>(*this); }

int ModelProposer::offer(DraftState& state, std::span<const TokenId> tokens, int most) {
  State& own = static_cast<State&>(state);
  for (; own.checked < tokens.size(); ++own.checked) own.lost |= tokens[own.checked] >= draft_vocab_;
  const int length = static_cast<int>(tokens.size());
  const int room = (static_cast<int>(own.blocks.size()) + free_blocks()) * block_tokens_;
  // The last drafted token is not computed.
  const int reach = std::min(room, model_->traits().context_max) + 1 - length;
  return own.lost ? 0 : std::clamp(reach, 0, most);
}

bool ModelProposer::take_blocks(State& state, int tokens) {
  while (static_cast<int>(state.blocks.size()) * block_tokens_ < tokens) {
    if (free_.empty()) return false;
    state.blocks.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

bool ModelProposer::propose(std::span<DraftTask> tasks) {
  Batch first;
  for (DraftTask& task : tasks) {
    state(task).settle(task.tokens);
    add_known(task, first);
  }
  if (!run(first)) return give_up(tasks);
  const bool usual = first.sampled.size() == tasks.size() && first.tokens.size() <= 4 * tasks.size();
  std::vector<DraftTask*> drafting = std::move(first.sampled);
  while (!drafting.empty()) {
    Batch next;
    for (DraftTask* task : drafting) add_drafted(*task, next);
    if (!run(next)) return give_up(tasks);
    drafting = std::move(next.sampled);
  }
  return usual;
}

// As many of the tokens it has not read as there are rows and blocks for.
void ModelProposer::add_known(DraftTask& task, Batch& batch) {
  State& own = state(task);
  const int length = static_cast<int>(task.tokens.size());
  const int rows = std::min(length - own.computed, options_.step_rows_max - static_cast<int>(batch.tokens.size()));
  if (rows == 0 || !take_blocks(own, own.computed + rows)) return;
  batch.sequences.push_back({static_cast<int>(batch.tokens.size()), rows, own.computed, own.blocks.data()});
  for (int i = 0; i < rows; ++i, ++own.computed)
    batch.add(task.tokens[static_cast<size_t>(own.computed)], own.computed);
  if (own.computed < length) return;
  batch.logits_rows.push_back(static_cast<int32_t>(batch.tokens.size()) - 1);
  batch.sampled.push_back(&task);
}

void ModelProposer::add_drafted(DraftTask& task, Batch& batch) {
  State& own = state(task);
  const int position = own.computed + static_cast<int>(own.guessed.size());
  const TokenId last = task.drafts.back();
  if (static_cast<int>(task.drafts.size()) >= task.wanted || last >= draft_vocab_ || !take_blocks(own, position + 1))
    return;
  batch.sequences.push_back({static_cast<int>(batch.tokens.size()), 1, position, own.blocks.data()});
  batch.logits_rows.push_back(static_cast<int32_t>(batch.tokens.size()));
  batch.add(last, position);
  batch.sampled.push_back(&task);
  own.guessed.push_back(last);
}

// What a failed step leaves in the cache is undefined.
bool ModelProposer::give_up(std::span<DraftTask> tasks) {
  for (const DraftTask& task : tasks) state(task).lost = true;
  return false;
}

// Drops from `sampled` who gets no further token. False when the model failed.
bool ModelProposer::run(Batch& batch) {
  if (batch.tokens.empty()) return true;
  const auto output = model_->run({.tokens = batch.tokens,
                                   .positions = batch.positions,
                                   .rope_lengths = batch.rope_lengths,
                                   .sequences = batch.sequences,
                                   .window_sequences = {},
                                   .logits_rows = batch.logits_rows});
  if (!output.ok()) {
    log::error("a step of the drafting model failed", {{"error", output.error().message}});
    return false;
  }
  const auto width = static_cast<size_t>(draft_vocab_);
  size_t row = 0;
  std::erase_if(batch.sampled,
                [&](DraftTask* task) { return !sample(*task, output->logits.subspan(width * row++, width)); });
  return true;
}

bool ModelProposer::sample(DraftTask& task, std::span<float> logits) {
  if (logits.size() < row_.size()) {
    std::fill(std::copy(logits.begin(), logits.end(), row_.begin()), row_.end(),
              -std::numeric_limits<float>::infinity());
    logits = row_;
  }
  Draw draw = task.draw;
  draw.index += task.drafts.size();
  const Result<Sample> sample = sampler_.sample(logits.first(row_.size()), task.settings, task.seen, draw);
  if (!sample.ok()) return false;
  task.drafts.push_back(sample->id);
  return true;
}

}  // namespace sluice::engine
