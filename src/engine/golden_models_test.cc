// The engine over real decoders: the golden models whose cache is delicate (windows, ropes that depend on length)
// answer as transformers' generate() did, and score their prompts as its logits do, in batches, chunks, from the cache
// and after pre-emption.
#include "model/golden_models.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/metrics.h"
#include "engine/engine_core.h"
#include "engine/engine_test_proposer.h"
#include "engine/engine_test_sink.h"
#include "model/model_loader.h"

namespace sluice::engine {
namespace {

constexpr int kBlockTokens = 4;

// Every id is a token that prints as itself.
class NumberTokenizer final : public text::Tokenizer {
 public:
  explicit NumberTokenizer(int vocab_size) {
    for (int id = 0; id < vocab_size; ++id) pieces_.push_back(cat("<", id, ">"));
  }
  std::vector<text::TokenId> encode(std::string_view, const text::EncodeOptions&) const override { return {}; }
  std::string decode(std::span<const text::TokenId> ids, bool) const override {
    std::string text;
    for (const text::TokenId id : ids) text += pieces_[static_cast<size_t>(id)];
    return text;
  }
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  std::string_view token_text(text::TokenId id) const override { return pieces_[static_cast<size_t>(id)]; }
  std::string token_bytes(text::TokenId id) const override { return pieces_[static_cast<size_t>(id)]; }
  bool is_special(text::TokenId) const override { return false; }
  std::optional<text::TokenId> token_id(std::string_view) const override { return std::nullopt; }
  std::optional<text::TokenId> bos() const override { return std::nullopt; }
  std::optional<text::TokenId> eos() const override { return std::nullopt; }

 private:
  std::vector<std::string> pieces_;
};

double log_probability(const std::vector<float>& logits, TokenId id) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return static_cast<double>(logits[static_cast<size_t>(id)]) - top - std::log(sum);
}

class GoldenEngine : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<EngineCore> core(EngineOptions options) {
    const auto files =
        std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(files_.safetensors()).value());
    const model::ModelDescription description = model::describe_model(*files).value();
    auto decoder = model::load_decoder(files, description, {.block_tokens = kBlockTokens},
                                       *kernels::available_ops().back(), pool_);
    EXPECT_TRUE(decoder.ok()) << decoder.error().message;
    tokenizer_ = std::make_unique<NumberTokenizer>(description.spec.vocab_size);
    options.model_name = GetParam();
    return EngineCore::create(std::move(decoder).value(), *tokenizer_, options, metrics_, clock_).value();
  }

  static std::shared_ptr<RecordingSink> ask(EngineCore& core, const model::GoldenRun& run, bool scores) {
    EngineRequest request{.id = api::next_request_id(), .prompt = run.prompt};
    request.sampling.temperature = 0;
    request.sampling.max_tokens = static_cast<int>(run.greedy.size());
    if (scores) request.sampling.prompt_logprobs = 0;
    auto sink = std::make_shared<RecordingSink>();
    request.sink = sink;
    core.add(core.accept(std::move(request)).value());
    return sink;
  }

  static void run_all(EngineCore& core) {
    while (core.step()) ASSERT_TRUE(core.audit().ok());
  }

  const model::GoldenFiles files_{model::golden_folder(GetParam())};
  const std::vector<model::GoldenRun> runs_ = model::golden_runs(model::golden_folder(GetParam()));
  ThreadPool pool_{{.threads = 2}};
  MetricsRegistry metrics_;
  ManualClock clock_;
  std::unique_ptr<NumberTokenizer> tokenizer_;
};

TEST_P(GoldenEngine, TogetherInChunksThenFromTheCache) {
  const auto engine = core({.blocks = 200, .step_rows_max = 11, .sequences_max = 4, .prompt_score_rows = 5});
  for (const bool scores : {true, false, false}) {
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (const model::GoldenRun& run : runs_) sinks.push_back(ask(*engine, run, scores));
    run_all(*engine);
    for (size_t r = 0; r < runs_.size(); ++r) {
      const model::GoldenRun& run = runs_[r];
      SCOPED_TRACE(cat(run.prompt.size(), " tokens"));
      ASSERT_TRUE(sinks[r]->end->ok());
      EXPECT_EQ(sinks[r]->ids.at(0), run.greedy);
      if (!scores) {
        EXPECT_GT((*sinks[r]->end)->cached_tokens, 0);
        continue;
      }
      const auto& scored = sinks[r]->prompt->logprobs;
      ASSERT_EQ(scored.size(), run.prompt.size());
      for (size_t i = 1; i < scored.size(); ++i)
        EXPECT_NEAR(scored[i].logprob, log_probability(run.logits[i - 1], run.prompt[i]), 2e-4) << i;
    }
  }
}

TEST_P(GoldenEngine, PreemptedForWantOfBlocks) {
  const auto longest = std::ranges::max(runs_, {}, [](const auto& run) { return run.prompt.size(); });
  const int blocks = static_cast<int>((longest.prompt.size() + longest.greedy.size()) / kBlockTokens) + 6;
  const auto engine = core({.blocks = blocks, .step_rows_max = 16, .sequences_max = 4});
  std::vector<std::pair<const model::GoldenRun*, std::shared_ptr<RecordingSink>>> sinks;
  for (int round = 0; round < 2; ++round) {
    for (const model::GoldenRun& run : runs_) sinks.emplace_back(&run, ask(*engine, run, false));
  }
  run_all(*engine);
  for (const auto& [run, sink] : sinks) {
    ASSERT_TRUE(sink->end->ok());
    EXPECT_EQ(sink->ids.at(0), run->greedy) << run->prompt.size() << " tokens";
  }
}

TEST_P(GoldenEngine, WithDraftsOfWhichSomeAreWrong) {
  const auto proposer = std::make_shared<ReplayProposer>(0.7);
  for (const model::GoldenRun& run : runs_) {
    std::vector<TokenId> text = run.prompt;
    text.insert(text.end(), run.greedy.begin(), run.greedy.end());
    proposer->know(std::move(text));
  }
  const auto engine = core({.blocks = 200, .step_rows_max = 40, .sequences_max = 4, .proposer = proposer});
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const model::GoldenRun& run : runs_) sinks.push_back(ask(*engine, run, false));
  run_all(*engine);
  for (size_t r = 0; r < runs_.size(); ++r) {
    ASSERT_TRUE(sinks[r]->end->ok());
    EXPECT_EQ(sinks[r]->ids.at(0), runs_[r].greedy) << runs_[r].prompt.size() << " tokens";
  }
  EXPECT_GT(proposer->proposed, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenEngine,
                         testing::Values("llama_dynamic", "llama_longrope", "mistral", "qwen2_windows", "gemma2",
                                         "gemma3", "phi3", "phi3_longrope", "phi4_mini"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace sluice::engine
