#include "engine/engine_core.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"

namespace sluice::engine {
namespace {

double seconds(int64_t us) { return static_cast<double>(us) * 1e-6; }

// The longest sequence must fit when it is alone.
Result<void> check_window_slots(const model::LanguageModel& model, const EngineOptions& options) {
  const model::CacheLayout layout = model.cache_layout();
  if (layout.window_tokens == 0) return {};
  const int context = options.context_max > 0 ? options.context_max : model.traits().context_max;
  const int longest = std::min(options.blocks, (context + layout.block_tokens - 1) / layout.block_tokens);
  const int needed = std::min(longest, layout.window_blocks(options.step_rows_max));
  if (options.window_slots >= needed) return {};
  return invalid_argument(
      cat("One sequence must have room for its window of ", layout.window_tokens, " tokens and a step of ",
          options.step_rows_max, ": that is ", needed, " window slots, but there are ", options.window_slots, "."),
      "window_slots");
}

}  // namespace

Result<std::unique_ptr<EngineCore>> EngineCore::create(std::unique_ptr<model::LanguageModel> model,
                                                       const text::Tokenizer& tokenizer, EngineOptions options,
                                                       MetricsRegistry& metrics, const Clock& clock) {
  const auto positive = [](std::string_view name, int value) -> Result<void> {
    if (value > 0) return {};
    return invalid_argument(cat(name, " must be above 0, but is ", value, "."), std::string(name));
  };
  SLUICE_RETURN_IF_ERROR(positive("blocks", options.blocks));
  SLUICE_RETURN_IF_ERROR(positive("sequences_max", options.sequences_max));
  SLUICE_RETURN_IF_ERROR(positive("prompt_score_rows", options.prompt_score_rows));
  SLUICE_RETURN_IF_ERROR(positive("waiting_max", options.waiting_max));
  SLUICE_RETURN_IF_ERROR(positive("choices_max", options.choices_max));
  SLUICE_RETURN_IF_ERROR(positive("inputs_max", options.inputs_max));
  if (options.step_rows_max < options.sequences_max) {
    return invalid_argument(cat("A step must have room for one token of every sequence: step_rows_max (",
                                options.step_rows_max, ") is below sequences_max (", options.sequences_max, ")."),
                            "step_rows_max");
  }
  if (options.window_slots == 0) options.window_slots = options.blocks;
  SLUICE_RETURN_IF_ERROR(check_window_slots(*model, options));
  SLUICE_RETURN_IF_ERROR(
      model->reserve({options.blocks, options.window_slots}, options.step_rows_max, options.logits_rows_max()));
  return std::unique_ptr<EngineCore>(
      new EngineCore(std::move(model), tokenizer, std::make_unique<EngineOptions>(std::move(options)), metrics, clock));
}

EngineCore::EngineCore(std::unique_ptr<model::LanguageModel> model, const text::Tokenizer& tokenizer,
                       std::unique_ptr<EngineOptions> options, MetricsRegistry& metrics, const Clock& clock)
    : model_(std::move(model)),
      traits_(model_->traits()),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      clock_(clock),
      metrics_(metrics, options_->model_name),
      cache_(*model_, {options_->blocks, options_->window_slots}, options_->step_rows_max, options_->prefix_index),
      admission_(std::make_unique<Admission>(*options_, traits_, cache_.block_tokens(), tokenizer, clock)),
      sampler_(traits_.vocab_size, options_->pool),
      budget_({.rows_max = options_->step_rows_max, .slowdown = options_->prefill_slowdown}) {
  metrics_.describe_cache(metrics, options_->model_name, cache_.block_tokens(), options_->blocks,
                          options_->prefix_index);
  if (options_->proposer == nullptr) return;
  const Speculator::Limits limits = {options_->draft_tokens_max, options_->draft_rows_max()};
  speculator_ = std::make_unique<Speculator>(options_->proposer, limits, metrics_, clock_);
}

EngineCore::~EngineCore() { end_all({ErrorCode::kUnavailable, "The engine has stopped.", {}, {}}); }

void EngineCore::add(std::unique_ptr<Request> request) {
  Request& added = *request;
  added.order = next_order_++;
  SLUICE_CHECK(requests_.emplace(added.id, std::move(request)).second, "request ids are unique");
  if (added.deadline_us > 0) deadlines_.emplace(added.deadline_us, added.id);
  if (added.embed == nullptr) {
    metrics_.request_n.observe(static_cast<double>(added.sequences.size()));
    metrics_.request_max_tokens.observe(added.sequences.front()->answer->left());
  }
  for (const auto& sequence : added.sequences) {
    set_pass(*sequence, sequence->prompt_tokens);
    if (sequence->state == Sequence::State::kWaiting) waiting_.insert(sequence.get());
  }
  ++unstarted_;
  update_gauges();
}

// The keys of a cache depend on the pass that computed them in some models: then its kind is part of the salt.
void EngineCore::set_pass(Sequence& sequence, int tokens) {
  sequence.pass_tokens = tokens;
  sequence.regime = model_->cache_regime(tokens);
  sequence.cache_salt = sequence.request->cache_salt;
  if (sequence.regime.id != 0) sequence.cache_salt += cat(std::string_view("\0regime ", 8), sequence.regime.id);
}

void EngineCore::cancel(api::RequestId id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  end(*found->second, Error{ErrorCode::kCancelled, "The request was cancelled.", {}, {}});
  ended_.clear();
  update_gauges();
}

void EngineCore::end_all(const Error& error) {
  while (!requests_.empty()) end(*requests_.begin()->second, error);
  ended_.clear();
  update_gauges();
}

void EngineCore::end_overdue() {
  const int64_t now = clock_.now_us();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Request& request = *requests_.at(deadlines_.begin()->second);
    end(request, Error{ErrorCode::kDeadlineExceeded,
                       cat("The request was not done within its time of ",
                           seconds(request.deadline_us - request.arrived_us), " s."),
                       {},
                       {}});
  }
}

// Sequences that compute the same beginning at the same time: what one has committed, the others need not compute.
void EngineCore::adopt_prefixes() {
  for (Sequence* sequence : running_) {
    if (sequence->pending() <= 1) continue;
    const int gained = cache_.adopt(sequence->table, key(*sequence), sequence->reuse_limit());
    if (sequence->preemptions == 0) sequence->cached_tokens += gained;
  }
}

const StepPlan& EngineCore::plan() {
  // Only a plan that may pre-empt reads what that would give, and counting it visits every block. A sequence needs at
  // most one block and one promise of a window slot more in a step.
  const CacheRoom available = {cache_.allocator().available(), cache_.window_room()};
  const bool may_preempt = available.blocks < this->running() ||
                           (cache_.windowed() && available.window_slots < this->running()) ||
                           (!waiting_.empty() && !running_.empty() &&
                            (*waiting_.begin())->request->priority < running_.back()->request->priority);
  running_views_.clear();
  for (const Sequence* sequence : running_) {
    const BlockTable& table = sequence->table;
    running_views_.push_back({.priority = sequence->request->priority,
                              .tokens = sequence->length(),
                              .computed = table.computed,
                              .blocks = static_cast<int>(table.blocks.size()),
                              .releasable = may_preempt ? cache_.releasable(table) : CacheRoom{},
                              .window_grows = cache_.window_grows(table),
                              .scores_all = sequence->reads_logits,
                              .drafts = static_cast<int>(sequence->drafts.size())});
  }
  waiting_views_.clear();
  candidates_.clear();
  for (auto next = waiting_.begin();
       next != waiting_.end() && candidates_.size() < static_cast<size_t>(options_->sequences_max); ++next) {
    waiting_views_.push_back({(*next)->request->priority, (*next)->length(), (*next)->reads_logits});
    candidates_.push_back(*next);
  }
  const auto decoding = std::ranges::count_if(running_, [](const Sequence* one) { return one->pending() == 1; });
  const StepLimits limits{.rows = budget_.rows(static_cast<int>(decoding)),
                          .scored_rows = options_->prompt_score_rows,
                          .sequences = options_->sequences_max,
                          .block_tokens = cache_.block_tokens(),
                          .available = available,
                          .windowed = cache_.windowed(),
                          .draft_rows = options_->draft_rows_max()};
  const auto lookup = [this](int i, bool copy_partial) {
    const Sequence& sequence = *candidates_[static_cast<size_t>(i)];
    return cache_.lookup(key(sequence), sequence.reuse_limit(), copy_partial);
  };
  plan_ = plan_step(running_views_, waiting_views_, limits, lookup, std::move(plan_));
  return plan_;
}

void EngineCore::reserve(const StepPlan& plan) {
  planned_ = running_;  // pre-emption takes out of running_ what the plan has numbers for
  std::vector<Sequence*> waiting;
  for (const StepPlan::Admission& admission : plan.admissions) {
    waiting.push_back(*std::next(waiting_.begin(), admission.waiting));
  }
  for (const int i : plan.preempted) {
    preempt(*planned_[static_cast<size_t>(i)]);
    metrics_.preemptions.add();
  }
  for (const StepPlan::Grant& grant : plan.grants) {
    Sequence& sequence = *planned_[static_cast<size_t>(grant.running)];
    const int drafted = std::max(0, grant.rows - sequence.pending());
    cache_.prepare(sequence.table, grant.rows - drafted);
    batch_.entries.push_back({.sequence = &sequence, .rows = grant.rows, .drafted = drafted});
  }
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (!admit(*waiting[i], plan.admissions[i])) break;
  }
  // Last, for this may evict what an admission shares.
  for (const BatchEntry& entry : batch_.entries) {
    if (entry.drafted > 0) cache_.prepare(entry.sequence->table, entry.rows);
  }
}

// False when its blocks are not there after all: an admission before it has evicted what it would have shared.
bool EngineCore::admit(Sequence& sequence, const StepPlan::Admission& admission) {
  if (!cache_.acquire(sequence.table, key(sequence), sequence.reuse_limit(), admission.copy_partial)) return false;
  waiting_.erase(&sequence);
  running_.insert(std::lower_bound(running_.begin(), running_.end(), &sequence, ServedBefore()), &sequence);
  sequence.state = Sequence::State::kRunning;
  if (sequence.preemptions == 0) sequence.cached_tokens = sequence.table.computed;
  Request& request = *sequence.request;
  if (!request.started_us) {
    request.started_us = clock_.now_us();
    metrics_.queue_time.observe(seconds(*request.started_us - request.arrived_us));
    --unstarted_;
  }
  const int rows = std::min(admission.rows, sequence.pending());
  cache_.prepare(sequence.table, rows);
  batch_.entries.push_back({.sequence = &sequence, .rows = rows});
  return true;
}

void EngineCore::preempt(Sequence& sequence) {
  leave(sequence, true);
  sequence.state = Sequence::State::kWaiting;
  ++sequence.preemptions;
  waiting_.insert(&sequence);
}

// The sequence has outgrown its cache's regime: what it holds is of use to others, but not to itself.
void EngineCore::restart(Sequence& sequence) {
  preempt(sequence);
  set_pass(sequence, sequence.length());
}

void EngineCore::fill_batch() {
  for (BatchEntry& entry : batch_.entries) {
    fill_entry(entry);
    batch_.want_hidden |= entry.sequence->request->embed != nullptr;
  }
}

void EngineCore::fill_entry(BatchEntry& entry) {
  const Sequence& sequence = *entry.sequence;
  const int begin = sequence.table.computed, end = begin + entry.rows, known = end - entry.drafted;
  entry.first_row = static_cast<int>(batch_.tokens.size());
  entry.first_logits = static_cast<int>(batch_.logits_rows.size());
  batch_.tokens.insert(batch_.tokens.end(), sequence.tokens.begin() + begin, sequence.tokens.begin() + known);
  batch_.tokens.insert(batch_.tokens.end(), sequence.drafts.begin(), sequence.drafts.begin() + entry.drafted);
  for (int position = begin; position < end; ++position) {
    batch_.positions.push_back(position);
    batch_.rope_lengths.push_back(std::max(sequence.pass_tokens, position + 1));
  }
  batch_.sequences.push_back({entry.first_row, entry.rows, begin, sequence.table.blocks.data()});
  if (cache_.windowed()) {
    batch_.window_sequences.push_back({entry.first_row, entry.rows, begin, sequence.table.window_slots.data()});
  }
  if (sequence.reads_logits) {
    for (int row = std::max(begin, sequence.rows_read); row < std::min(known, sequence.prompt_tokens - 1);
         ++row, ++entry.scored) {
      batch_.logits_rows.push_back(entry.first_row + row - begin);
    }
  }
  entry.samples = sequence.request->embed == nullptr && known == sequence.length();
  for (int row = known - 1; entry.samples && row < end; ++row) {
    batch_.logits_rows.push_back(entry.first_row + row - begin);
  }
}

void EngineCore::Batch::clear() {
  entries.clear();
  tokens.clear();
  positions.clear();
  rope_lengths.clear();
  sequences.clear();
  window_sequences.clear();
  logits_rows.clear();
  want_hidden = false;
  samples.clear();
}

Result<model::StepOutput> EngineCore::run() {
  const int64_t begin_us = clock_.now_us();
  Result<model::StepOutput> output = model_->run({.tokens = batch_.tokens,
                                                  .positions = batch_.positions,
                                                  .rope_lengths = batch_.rope_lengths,
                                                  .sequences = batch_.sequences,
                                                  .window_sequences = batch_.window_sequences,
                                                  .logits_rows = batch_.logits_rows,
                                                  .want_hidden = batch_.want_hidden});
  int decoding = 0, prefill_rows = 0, drafted = 0;
  for (const BatchEntry& entry : batch_.entries) {
    (entry.rows == 1 ? decoding : prefill_rows) += entry.rows;
    drafted += entry.drafted;
  }
  const int64_t taken_us = clock_.now_us() - begin_us;
  if (drafted == 0) budget_.observe(decoding, prefill_rows, seconds(taken_us));
  if (speculator_ != nullptr && output.ok() && decodes_only()) {
    speculator_->measured(static_cast<int>(batch_.tokens.size()), taken_us);
  }
  return output;
}

// The next tokens of all entries that have computed everything they know, at once.
void EngineCore::sample(const model::StepOutput& output) {
  for (BatchEntry& entry : batch_.entries) {
    if (!entry.samples) continue;
    const Sequence& sequence = *entry.sequence;
    const Request& request = *sequence.request;
    entry.sample = batch_.samples.size();
    batch_.samples.push_back({.logits = logits_row(output, entry.first_logits + entry.scored),
                              .settings = &request.settings,
                              .seen = &sequence.seen,
                              .draw = sequence.next_draw()});
  }
  sampler_.sample(batch_.samples);
}

bool EngineCore::decodes_only() const {
  return std::ranges::all_of(batch_.entries, [](const BatchEntry& entry) {
    return entry.samples && entry.scored == 0 && entry.rows == 1 + entry.drafted;
  });
}

bool EngineCore::step() {
  end_overdue();
  ended_.clear();
  if (requests_.empty()) {
    update_gauges();
    return false;
  }
  batch_.clear();
  adopt_prefixes();
  if (speculator_ != nullptr) speculator_->propose(running_);
  reserve(plan());
  // A step may be empty once, when everything was pre-empted, but not again: the best sequence fits alone.
  empty_steps_ = batch_.entries.empty() ? empty_steps_ + 1 : 0;
  SLUICE_CHECK(empty_steps_ < 8, "the engine makes no progress");
  if (batch_.entries.empty()) return true;
  fill_batch();
  metrics_.iteration_tokens.observe(static_cast<double>(batch_.tokens.size()));

  const Result<model::StepOutput> output = run();
  if (!output.ok()) log::error("a step failed", {{"rows", batch_.tokens.size()}, {"error", output.error().message}});
  if (output.ok()) sample(*output);
  for (const BatchEntry& entry : batch_.entries) {
    Request& request = *entry.sequence->request;
    if (request.ended) continue;
    if (output.ok()) {
      publish(entry, *output);
    } else {
      end(request, output.error());
    }
  }
  ended_.clear();
  update_gauges();
  return true;
}

void EngineCore::publish(const BatchEntry& entry, const model::StepOutput& output) {
  Sequence& sequence = *entry.sequence;
  const int computed = sequence.table.computed + entry.rows - entry.drafted;
  const bool prompt_done = sequence.table.computed < sequence.prompt_tokens && computed == sequence.prompt_tokens;
  if (sequence.reads_rows) read_prompt_rows(entry, output);
  if (sequence.request->ended) return;
  cache_.commit(sequence.table, key(sequence), computed, prompt_done);
  if (prompt_done && sequence.length() == sequence.prompt_tokens) finish_prompt(sequence);
  if (sequence.request->embed != nullptr) {
    if (sequence.pending() == 0) {
      if (sequence.pooled.empty()) {
        const auto row =
            output.hidden.subspan(static_cast<size_t>((entry.first_row + entry.rows - 1) * traits_.hidden_size),
                                  static_cast<size_t>(traits_.hidden_size));
        sequence.pooled.assign(row.begin(), row.end());
      }
      finish_embedding(sequence);
    }
  } else if (entry.samples) {
    sample_rows(entry, output);
  }
}

std::span<float> EngineCore::logits_row(const model::StepOutput& output, int index) const {
  const auto width = static_cast<size_t>(traits_.vocab_size);
  return output.logits.subspan(static_cast<size_t>(index) * width, width);
}

// Prompt log-probabilities, or the sum for mean pooling: of rows not read before a pre-emption.
void EngineCore::read_prompt_rows(const BatchEntry& entry, const model::StepOutput& output) {
  Sequence& sequence = *entry.sequence;
  Request& request = *sequence.request;
  const int begin = sequence.table.computed, end = std::min(begin + entry.rows, sequence.prompt_tokens);
  if (request.embed != nullptr) {
    const auto width = static_cast<size_t>(traits_.hidden_size);
    sequence.pooled.resize(width);
    for (int row = std::max(begin, sequence.rows_read); row < end; ++row) {
      const auto hidden = output.hidden.subspan(static_cast<size_t>(entry.first_row + row - begin) * width, width);
      for (size_t i = 0; i < width; ++i) sequence.pooled[i] += static_cast<double>(hidden[i]);
    }
  } else {
    if (request.prompt.logprobs.empty()) {
      request.prompt.logprobs.push_back(
          describe(tokenizer_, sequence.tokens[0], std::numeric_limits<float>::quiet_NaN(), {}));
    }
    for (int i = 0; i < entry.scored; ++i) {
      const TokenId next = sequence.tokens[request.prompt.logprobs.size()];
      const Result<Sample> score =
          sampler_.single().score(logits_row(output, entry.first_logits + i), next, *request.settings.prompt_logprobs);
      if (!score.ok()) return this->end(request, score.error());
      request.prompt.logprobs.push_back(describe(tokenizer_, next, score->logprob, score->top));
    }
  }
  sequence.rows_read = std::max(sequence.rows_read, end);
}

// The first time a sequence has computed its whole prompt.
void EngineCore::finish_prompt(Sequence& sequence) {
  Request& request = *sequence.request;
  metrics_.prompt_tokens.add(sequence.prompt_tokens);
  if (options_->prefix_index && !sequence.reads_rows) {
    metrics_.prefix_queries.add(sequence.prompt_tokens);
    metrics_.prefix_hits.add(sequence.cached_tokens);
  }
  if (request.embed != nullptr) {
    request.usage.cached_tokens += sequence.cached_tokens;
    return;
  }
  if (sequence.number > 0) return;
  request.usage.cached_tokens = request.prompt.cached_tokens = sequence.cached_tokens;
  request.sink->on_prompt(std::move(request.prompt));
  for (const auto& sibling : request.sequences) {
    if (sibling->state != Sequence::State::kHeld) continue;
    sibling->state = Sequence::State::kWaiting;
    waiting_.insert(sibling.get());
  }
}

// Row by row, each as if it had been a step of its own, as long as the drafted token is the one sampled.
void EngineCore::sample_rows(const BatchEntry& entry, const model::StepOutput& output) {
  Sequence& sequence = *entry.sequence;
  int right = 0;
  bool runs = sample_next(sequence, *batch_.samples[entry.sample].sample);
  while (runs && right < entry.drafted && sequence.tokens.back() == sequence.drafts[static_cast<size_t>(right)]) {
    ++right;
    cache_.commit(sequence.table, key(sequence), sequence.table.computed + 1, false);
    const std::span<float> logits = logits_row(output, entry.first_logits + entry.scored + right);
    runs = sample_next(
        sequence, sampler_.single().sample(logits, sequence.request->settings, sequence.seen, sequence.next_draw()));
  }
  if (entry.drafted == 0) return;
  cache_.trim(sequence.table);
  speculator_->checked(sequence, entry.drafted, right);
}

// False when the sequence has left the batch.
bool EngineCore::sample_next(Sequence& sequence, const Result<Sample>& sample) {
  Request& request = *sequence.request;
  if (!sample.ok()) {
    end(request, sample.error());
    return false;
  }

  const int64_t now = clock_.now_us();
  if (!request.first_token_us) {
    request.first_token_us = now;
    metrics_.time_to_first_token.observe(seconds(now - request.arrived_us));
    metrics_.prefill_time.observe(seconds(now - *request.started_us));
  }
  if (!sequence.first_token_us) {
    sequence.first_token_us = now;
  } else {
    metrics_.inter_token_latency.observe(seconds(now - sequence.last_token_us));
  }
  sequence.last_token_us = now;
  metrics_.generation_tokens.add();
  ++request.usage.completion_tokens;

  sequence.tokens.push_back(sample->id);
  if (request.settings.penalises()) sequence.seen.add_generated(sample->id);
  api::TokenDelta delta = sequence.answer->push(*sample);
  delta.choice = sequence.number;
  const std::optional<api::FinishReason> reason = delta.finish;
  request.sink->on_delta(std::move(delta));
  if (!reason) {
    if (sequence.length() > sequence.regime.tokens_max) restart(sequence);
    return sequence.state == Sequence::State::kRunning;
  }

  metrics_.count_finish(*reason);
  metrics_.decode_time.observe(seconds(now - *sequence.first_token_us));
  metrics_.inference_time.observe(seconds(now - *request.started_us));
  metrics_.request_prompt_tokens.observe(sequence.prompt_tokens);
  metrics_.request_generation_tokens.observe(sequence.answer->generated());
  if (sequence.answer->generated() > 1) {
    metrics_.time_per_output_token.observe(seconds(now - *sequence.first_token_us) /
                                           (sequence.answer->generated() - 1));
  }
  finish(sequence);
  return false;
}

void EngineCore::finish_embedding(Sequence& sequence) {
  Request& request = *sequence.request;
  std::vector<double>& pooled = sequence.pooled;
  if (sequence.reads_rows) {
    for (double& x : pooled) x /= sequence.prompt_tokens;
  }
  double squares = 0;
  for (const double x : pooled) squares += x * x;
  if (!std::isfinite(squares)) {
    return end(
        request,
        Error{
            ErrorCode::kInternal, "The model's output is not a number; its weights or cache may be damaged.", {}, {}});
  }
  const double scale = request.embed->normalize && squares > 0 ? 1 / std::sqrt(squares) : 1;
  std::vector<float>& embedding = request.embed->embeddings[static_cast<size_t>(sequence.number)];
  for (const double x : pooled) embedding.push_back(static_cast<float>(x * scale));
  finish(sequence);
}

void EngineCore::finish(Sequence& sequence) {
  leave(sequence, true);
  sequence.state = Sequence::State::kDone;
  if (--sequence.request->unfinished == 0) end(*sequence.request, sequence.request->usage);
}

// Takes a running sequence out of the batch and its blocks from it; `keep`: what it computed is worth remembering.
void EngineCore::leave(Sequence& sequence, bool keep) {
  running_.erase(std::lower_bound(running_.begin(), running_.end(), &sequence, ServedBefore()));
  if (keep) {
    cache_.release(sequence.table, key(sequence));
  } else {
    cache_.discard(sequence.table);
  }
  sequence.draft_state.reset();
}

void EngineCore::end(Request& request, Result<api::Usage> outcome) {
  SLUICE_CHECK(!request.ended);
  request.ended = true;
  const bool broken = !outcome.ok() && outcome.error().code == ErrorCode::kInternal;
  for (const auto& sequence : request.sequences) {
    if (sequence->state == Sequence::State::kRunning) leave(*sequence, !broken);
    if (sequence->state == Sequence::State::kWaiting) waiting_.erase(sequence.get());
    if (!outcome.ok() && sequence->state != Sequence::State::kDone) metrics_.count_failure(outcome.error().code);
    sequence->state = Sequence::State::kDone;
  }
  if (!request.started_us) --unstarted_;
  metrics_.e2e_latency.observe(seconds(clock_.now_us() - request.arrived_us));
  if (request.deadline_us > 0) deadlines_.erase({request.deadline_us, request.id});
  const auto found = requests_.find(request.id);
  ended_.push_back(std::move(found->second));
  ended_ids_.push_back(request.id);
  requests_.erase(found);

  if (request.embed == nullptr) {
    request.sink->on_end(std::move(outcome));
  } else if (outcome.ok()) {
    request.embed->done(api::EmbedAnswer{std::move(request.embed->embeddings), *outcome});
  } else {
    request.embed->done(std::move(outcome).error());
  }
}

void EngineCore::update_gauges() {
  metrics_.running.set(running());
  metrics_.waiting.set(waiting());
  metrics_.kv_usage.set(kv_usage());
}

Result<void> EngineCore::audit() const {
  std::vector<const BlockTable*> tables;
  size_t running = 0, waiting = 0;
  int unstarted = 0;
  for (const auto& [id, request] : requests_) {
    unstarted += !request->started_us;
    for (const auto& sequence : request->sequences) {
      if (sequence->state == Sequence::State::kRunning) {
        tables.push_back(&sequence->table);
        ++running;
      } else if (!sequence->table.blocks.empty()) {
        return Error{ErrorCode::kInternal, "engine: a sequence outside the batch holds blocks", {}, {}};
      }
      waiting += sequence->state == Sequence::State::kWaiting;
    }
  }
  if (running != running_.size() || waiting != waiting_.size() || unstarted != unstarted_) {
    return Error{ErrorCode::kInternal,
                 cat("engine: ", running, " running and ", waiting, " waiting sequences, but ", running_.size(),
                     " and ", waiting_.size(), " listed; ", unstarted, " requests not begun of ", unstarted_),
                 {},
                 {}};
  }
  return cache_.audit(tables);
}

}  // namespace sluice::engine
