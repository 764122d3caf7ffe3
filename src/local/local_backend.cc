#include "local/local_backend.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/mapping_guard.h"
#include "context/prompt_builder.h"
#include "engine/engine.h"
#include "engine/ngram_proposer.h"
#include "kernels/ops.h"
#include "local/draft_model.h"
#include "local/model_text.h"
#include "local/tuner.h"

namespace sluice::local {
namespace {

constexpr int kSequencesUsual = 64;
constexpr int kChunkUsual = 512;
constexpr int kPromptScoreRows = 64;  // rows of one step whose prompt log-probabilities are asked for

class EngineBackend final : public LocalBackend {
 public:
  static Result<std::unique_ptr<LocalBackend>> load(const LocalOptions& options, MetricsRegistry& metrics,
                                                    const LoadingReport& report) {
    std::unique_ptr<EngineBackend> backend(new EngineBackend);
    SLUICE_RETURN_IF_ERROR(backend->initialise(options, metrics, report));
    return std::unique_ptr<LocalBackend>(std::move(backend));
  }

  std::vector<api::ModelCard> models() const override { return cards_; }
  api::BackendStatus status() const override { return engine_->status(); }

  Result<void> generate(api::GenerateRequest request, std::shared_ptr<api::GenerationSink> sink) override {
    SLUICE_RETURN_IF_ERROR(check_name(request.model));
    const int64_t arrived_us = clock_.now_us();
    const bool chat = std::holds_alternative<api::ChatPrompt>(request.prompt);
    SLUICE_TRY(std::vector<text::TokenId> prompt, prompts_->tokens(request.prompt));
    return engine_->submit({.id = request.id,
                            .prompt = std::move(prompt),
                            .sampling = std::move(request.sampling),
                            .choices = request.choices,
                            .priority = request.priority,
                            .cache_salt = std::move(request.cache_salt),
                            .deadline_us = request.deadline_us,
                            .arrived_us = arrived_us,
                            .prompt_param = chat ? "messages" : "prompt",
                            .sink = std::move(sink)});
  }

  Result<void> embed(api::EmbedRequest request, std::function<void(Result<api::EmbedAnswer>)> done) override {
    SLUICE_RETURN_IF_ERROR(check_name(request.model));
    engine::EngineEmbedRequest submitted{.id = request.id,
                                         .inputs = {},
                                         .pooling = request.pooling,
                                         .normalize = request.normalize,
                                         .cache_salt = std::move(request.cache_salt),
                                         .arrived_us = clock_.now_us(),
                                         .done = std::move(done)};
    for (const api::Prompt& input : request.inputs) {
      SLUICE_TRY(std::vector<text::TokenId> ids, prompts_->tokens(input));
      submitted.inputs.push_back(std::move(ids));
    }
    return engine_->submit(std::move(submitted));
  }

  void cancel(api::RequestId id) override { engine_->cancel(id); }

  Result<std::vector<api::TokenId>> tokenize(const std::string& model, const api::Prompt& prompt) const override {
    SLUICE_RETURN_IF_ERROR(check_name(model));
    return prompts_->tokens(prompt);
  }
  Result<std::string> detokenize(const std::string& model, const std::vector<api::TokenId>& ids,
                                 bool skip_special) const override {
    SLUICE_RETURN_IF_ERROR(check_name(model));
    for (const api::TokenId id : ids) {
      if (id < 0 || id >= text_.tokenizer->vocab_size()) {
        return invalid_argument(cat("token id ", id, " is outside the vocabulary of ", text_.tokenizer->vocab_size()),
                                "tokens");
      }
    }
    return utf8_sanitize(text_.tokenizer->decode(ids, skip_special));
  }
  Result<std::vector<std::string>> token_pieces(const std::string& model,
                                                const std::vector<api::TokenId>& ids) const override {
    SLUICE_RETURN_IF_ERROR(check_name(model));
    std::vector<std::string> pieces;
    for (const api::TokenId id : ids) {
      const bool known = id >= 0 && id < text_.tokenizer->vocab_size();
      pieces.push_back(known ? text_.tokenizer->token_bytes(id) : std::string());
    }
    return pieces;
  }
  Result<std::string> apply_template(const std::string& model, const api::ChatPrompt& prompt) const override {
    SLUICE_RETURN_IF_ERROR(check_name(model));
    return prompts_->render(prompt);
  }

  bool drain(int64_t timeout_ms) override { return engine_->drain(std::chrono::milliseconds(timeout_ms)); }
  const model::MemoryPlan& plan() const override { return plan_; }
  bool has_chat_template() const override { return prompts_->has_chat_template(); }
  std::string_view kernels() const override { return ops_->name; }

 private:
  EngineBackend() = default;

  Result<void> initialise(const LocalOptions& options, MetricsRegistry& metrics, const LoadingReport& report) {
    checkpoint::install_mapping_guard();
    SLUICE_TRY(ops_, kernels::select_ops(options.kernels));
    SLUICE_TRY(checkpoint::ModelFiles opened, checkpoint::open_model(options.model_path));
    const auto files = std::make_shared<const checkpoint::ModelFiles>(std::move(opened));
    SLUICE_TRY(const model::ModelDescription description, model::describe_model(*files));
    model::LoadOptions load = options.load;
    load.weights = model::resolve_activations(load.weights, description.spec, *ops_);
    const TuningRecord record = tuning_record(options, description, load);
    std::optional<Tuning> tuning;
    if (options.tuning == TuningMode::kOn || options.tuning == TuningMode::kRemembered) tuning = record.read();
    model::MemoryRequest asked = options.memory;
    std::optional<DraftModel> draft;
    if (options.speculation.kind == SpeculationOptions::Kind::kModel) {
      asked.sequences_max = with_batch_limits(asked, tuning).sequences_max;  // for which the drafting model is made
      SLUICE_TRY(draft, DraftModel::open(options.speculation.draft_model, options.load, *ops_, asked.sequences_max));
      asked.draft = draft->demand();
    }
    const auto plan = [&](const model::MemoryRequest& request) -> Result<void> {
      memory_ = request;
      SLUICE_TRY(plan_, model::plan_memory(*files, description, load, memory_));
      return {};
    };
    // What was tuned on a freer machine may not fit today; the usual limits may.
    if (!tuning || !plan(with_batch_limits(asked, tuning, options.speculation)).ok())
      SLUICE_RETURN_IF_ERROR(plan(with_batch_limits(asked, {}, options.speculation)));
    pool_.emplace(options.threads);
    if (report.on_plan) report.on_plan(description, plan_);
    SLUICE_TRY(text_,
               load_model_text(*files, {options.chat_template_path, options.tool_parser, options.reasoning_parser}));
    if (draft) SLUICE_RETURN_IF_ERROR(draft->check_vocabulary(*text_.tokenizer, options.model_path));
    SLUICE_TRY(std::unique_ptr<model::Decoder> decoder,
               model::load_decoder(files, description, load, *ops_, *pool_, report.on_progress));
    if (!tuning && wants_measuring(options, record, description)) {
      SLUICE_TRY(tuning, measure(*decoder, options, report));
      record.write(*tuning);  // also what a slow or busy machine left open, or every start would take as long
      model::MemoryRequest request = asked;
      request.limit = plan_.limit;  // the weights are in memory by now
      const model::MemoryPlan usual = plan_;
      const model::MemoryRequest usual_memory = memory_;
      if (!plan(with_batch_limits(request, tuning, options.speculation)).ok()) {
        plan_ = usual;
        memory_ = usual_memory;
      }
    }
    if (tuning && !apply_tuning(*tuning, *decoder)) log::debug("the tuning names kernels that are not here");
    if (text_.tokenizer->vocab_size() > description.spec.vocab_size) {
      log::warn("the tokenizer has more tokens than the model",
                {{"tokenizer", text_.tokenizer->vocab_size()}, {"model", description.spec.vocab_size}});
    }

    const bool chat = text_.templates.any();
    prompts_.emplace(*text_.tokenizer, std::move(text_.templates), text_.special_tokens);
    set_cards(options, *files, description, chat);
    engine::EngineOptions settings{.blocks = plan_.blocks,
                                   .window_slots = plan_.window_slots,
                                   .step_rows_max = memory_.step_rows_max,
                                   .sequences_max = plan_.sequences_max,
                                   .prompt_score_rows = kPromptScoreRows,
                                   .waiting_max = options.waiting_max,
                                   .context_max = plan_.context,
                                   .prefix_index = options.prefix_index,
                                   .eos = text_.eos,
                                   .sampling_defaults = text_.sampling,
                                   .model_name = cards_.front().id,
                                   .pool = &*pool_,
                                   .prefill_slowdown = options.prefill_slowdown,
                                   .draft_tokens_max = options.speculation.draft_tokens_max};
    if (draft) {
      SLUICE_TRY(settings.proposer, draft->load(plan_.draft_blocks, description.spec.vocab_size, *ops_, *pool_));
    } else if (options.speculation.kind == SpeculationOptions::Kind::kNgram) {
      settings.proposer = std::make_shared<engine::NgramProposer>();
    }
    SLUICE_TRY(engine_,
               engine::Engine::create(std::move(decoder), *text_.tokenizer, std::move(settings), metrics, clock_));
    return {};
  }

  static bool wants_measuring(const LocalOptions& options, const TuningRecord& record,
                              const model::ModelDescription& description) {
    if (options.tuning == TuningMode::kAgain) return true;
    const bool open = options.threads.threads == 0 || options.kernels.empty() || options.memory.sequences_max == 0 ||
                      options.memory.step_rows_max == 0;
    return open && options.tuning == TuningMode::kOn && record.can_remember() && !too_small_to_tune(description.spec);
  }

  Result<Tuning> measure(model::Decoder& decoder, const LocalOptions& options, const LoadingReport& report) {
    log::info("measuring this machine with this model, once");
    TunerOptions tuner{.threads_fixed = options.threads.threads > 0};
    tuner.tables = options.kernels.empty() ? tables_to_try(*ops_) : std::vector<const kernels::Ops*>{ops_};
    tuner.memory_max = std::min(tuner.memory_max, plan_.activations + plan_.kv_cache);
    SLUICE_TRY(Tuning tuning, tune(decoder, *pool_, tuner, report.on_measuring));
    log::info("tuned", {{"choice", describe_tuning(tuning)}});
    if (report.on_tuned) report.on_tuned(tuning);
    return tuning;
  }

  void set_cards(const LocalOptions& options, const checkpoint::ModelFiles& files,
                 const model::ModelDescription& description, bool chat) {
    std::vector<std::string> names = options.served_names;
    if (names.empty()) names.push_back(files.name);
    for (const std::string& name : names) {
      cards_.push_back({.id = name,
                        .created = std::time(nullptr),
                        .context_tokens = plan_.context,
                        .architecture = description.spec.architecture,
                        .root = options.model_path,
                        .chat = chat,
                        .tool_parser = text_.tool_dialect,
                        .reasoning_parser = text_.reasoning_dialect});
    }
  }

  Result<void> check_name(const std::string& name) const {
    const bool known =
        name.empty() || std::ranges::any_of(cards_, [&](const api::ModelCard& card) { return card.id == name; });
    if (known) return {};
    std::vector<std::string> names;
    for (const api::ModelCard& card : cards_) names.push_back(card.id);
    return Error{ErrorCode::kNotFound, cat("the model '", name, "' does not exist here; served: ", join(names, ", ")),
                 "model", "model_not_found"};
  }

  // In the order in which they are needed; the engine, last, is destroyed first and ends every request.
  SteadyClock clock_;
  std::optional<ThreadPool> pool_;
  const kernels::Ops* ops_ = nullptr;
  model::MemoryRequest memory_;
  model::MemoryPlan plan_;
  ModelText text_;
  std::optional<context::PromptBuilder> prompts_;
  std::vector<api::ModelCard> cards_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace

model::MemoryRequest with_batch_limits(model::MemoryRequest request, const std::optional<Tuning>& tuning,
                                       const SpeculationOptions& speculation) {
  const auto settle = [](int asked, int tuned, int usual) { return asked > 0 ? asked : tuned > 0 ? tuned : usual; };
  request.sequences_max = settle(request.sequences_max, tuning ? tuning->max_concurrency : 0, kSequencesUsual);
  request.step_rows_max = settle(request.step_rows_max, tuning ? tuning->chunk_tokens : 0, kChunkUsual);
  request.step_rows_max = std::max(request.step_rows_max, request.sequences_max);  // a row for everyone who decodes
  const int draft_rows = speculation.kind != SpeculationOptions::Kind::kOff ? engine::kDraftRows : 0;
  request.logits_rows_max = request.sequences_max + kPromptScoreRows + draft_rows;
  return request;
}

TuningRecord tuning_record(const LocalOptions& options, const model::ModelDescription& description,
                           const model::LoadOptions& load) {
  return {load.pack_directory, description,
          tuning_key(this_machine(), description, load, options.threads, options.kernels)};
}

Result<std::unique_ptr<LocalBackend>> LocalBackend::load(const LocalOptions& options, MetricsRegistry& metrics,
                                                         const LoadingReport& report) {
  return EngineBackend::load(options, metrics, report);
}

}  // namespace sluice::local
