// The engine over real decoders with windowed layers (tests/golden/models): with hardly more window slots than one
// sequence needs, every answer is that of a cache that keeps everything, to the bit, and transformers'.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <map>

#include "base/clock.h"
#include "engine/engine_core.h"
#include "engine/engine_test_sink.h"
#include "model/golden_models.h"
#include "model/model_loader.h"

namespace sluice::local {
namespace {

using engine::EngineCore;
using engine::EngineRequest;
using engine::RecordingSink;
using model::TokenId;

// Every id is its number in brackets.
class NumberTokenizer final : public text::Tokenizer {
 public:
  explicit NumberTokenizer(int size) {
    for (int id = 0; id < size; ++id) pieces_.push_back(cat("<", id, ">"));
  }
  std::vector<text::TokenId> encode(std::string_view, const text::EncodeOptions&) const override { return {}; }
  std::string decode(std::span<const text::TokenId> ids, bool) const override {
    std::string text;
    for (const text::TokenId id : ids) text += token_text(id);
    return text;
  }
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  std::string_view token_text(text::TokenId id) const override { return pieces_.at(static_cast<size_t>(id)); }
  std::string token_bytes(text::TokenId id) const override { return std::string(token_text(id)); }
  bool is_special(text::TokenId) const override { return false; }
  std::optional<text::TokenId> token_id(std::string_view) const override { return std::nullopt; }
  std::optional<text::TokenId> bos() const override { return std::nullopt; }
  std::optional<text::TokenId> eos() const override { return std::nullopt; }

 private:
  std::vector<std::string> pieces_;
};

constexpr int kBlockTokens = 4;
constexpr int kStepRows = 8;

class WindowedModel : public testing::TestWithParam<const char*> {
 protected:
  // `spare` window slots beside what one sequence needs; -1: one for every block.
  std::unique_ptr<EngineCore> core(int spare) {
    const auto files =
        std::make_shared<const checkpoint::ModelFiles>(checkpoint::open_model(files_.safetensors()).value());
    const model::ModelDescription description = model::describe_model(*files).value();
    auto decoder =
        model::load_decoder(files, description, {.block_tokens = kBlockTokens}, *kernels::available_ops().back(), pool_)
            .value();
    layout_ = decoder->cache_layout();
    tokenizer_.emplace(description.spec.vocab_size);
    engine::EngineOptions options{.blocks = 400,
                                  .window_slots = spare < 0 ? 0 : layout_.window_blocks(kStepRows) + spare,
                                  .step_rows_max = kStepRows,
                                  .sequences_max = 4,
                                  .prompt_score_rows = 4,
                                  .eos = {description.spec.vocab_size - 1},
                                  .model_name = GetParam(),
                                  .random_seed = 1};
    return EngineCore::create(std::move(decoder), *tokenizer_, std::move(options), metrics_.emplace_back(), clock_)
        .value();
  }
  std::shared_ptr<RecordingSink> add(EngineCore& core, EngineRequest request) {
    auto sink = std::make_shared<RecordingSink>();
    request.id = api::next_request_id();
    request.sink = sink;
    request.sampling.ignore_eos = true;
    core.add(core.accept(std::move(request)).value());
    return sink;
  }
  size_t cache_bytes(const EngineCore& core) const {
    return static_cast<size_t>(core.cache().allocator().used()) * layout_.block_bytes +
           static_cast<size_t>(core.cache().window().used()) * layout_.window_block_bytes;
  }
  // Bytes of keys and values that were in use at most.
  size_t run(EngineCore& core) {
    size_t most = 0;
    while (core.step()) {
      most = std::max(most, cache_bytes(core));
      const Result<void> audit = core.audit();
      EXPECT_TRUE(audit.ok()) << audit.error().message;
      if (!audit.ok()) break;
    }
    return most;
  }

  const model::GoldenFiles files_{model::golden_folder(GetParam())};
  const std::vector<model::GoldenRun> runs_ = model::golden_runs(model::golden_folder(GetParam()));
  ThreadPool pool_{ThreadPoolOptions{.threads = 2}};
  SteadyClock clock_;
  std::deque<MetricsRegistry> metrics_;
  std::optional<NumberTokenizer> tokenizer_;
  model::CacheLayout layout_;
};

EngineRequest greedy(std::vector<TokenId> prompt, int tokens) {
  EngineRequest request{.prompt = std::move(prompt)};
  request.sampling.temperature = 0;
  request.sampling.max_tokens = tokens;
  request.sampling.logprobs = 2;
  return request;
}

// Choice after choice.
std::vector<float> scores(const RecordingSink& sink) {
  std::map<int, std::vector<float>> by_choice;
  for (const api::TokenDelta& delta : sink.deltas) {
    for (const api::TokenLogprob& token : delta.logprobs) by_choice[delta.choice].push_back(token.logprob);
  }
  std::vector<float> all;
  for (const auto& [choice, some] : by_choice) all.insert(all.end(), some.begin(), some.end());
  return all;
}

void expect_same(const RecordingSink& got, const RecordingSink& wanted) {
  ASSERT_TRUE(got.end->ok() && wanted.end->ok());
  EXPECT_EQ(got.ids, wanted.ids);
  const std::vector<float> a = scores(got), b = scores(wanted);
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

TEST_P(WindowedModel, SaysWhatTransformersSaysFromItsWindowAlone) {
  const auto tight = core(1);
  for (const model::GoldenRun& run : runs_) {
    const auto sink = add(*tight, greedy(run.prompt, static_cast<int>(run.greedy.size())));
    this->run(*tight);
    EXPECT_EQ(sink->ids[0], run.greedy);
  }
}

TEST_P(WindowedModel, ManyRequestsInFewSlotsAnswerAsWithAll) {
  const auto tight = core(6), roomy = core(-1);
  const std::vector<TokenId>& text = runs_.front().prompt;
  std::vector<std::shared_ptr<RecordingSink>> got, wanted;
  for (int i = 0; i < 14; ++i) {
    // Beginnings that are shared, own endings; some at once, some after the ones before.
    std::vector<TokenId> prompt(text.begin(), text.begin() + 5 + (i * 11) % (static_cast<int>(text.size()) - 5));
    for (int extra = 0; extra < i % 4; ++extra)
      prompt.push_back(text[static_cast<size_t>(i + 2 * extra) % text.size()]);
    EngineRequest request = greedy(prompt, 10 + 7 * (i % 5));
    if (i % 3 == 1) request.sampling.temperature = 1;
    if (i % 3 == 1) request.choices = 2;
    request.sampling.seed = static_cast<uint64_t>(i);
    got.push_back(add(*tight, request));
    wanted.push_back(add(*roomy, request));
    for (int s = 0; s < i; ++s) tight->step();
  }
  run(*tight);
  run(*roomy);
  for (size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(*got[i], *wanted[i]);
  }
}

TEST_P(WindowedModel, ALongAnswerKeepsItsWindowAlone) {
  const auto tight = core(1), roomy = core(-1);
  const int tokens = 20 * layout_.window_tokens;
  const auto got = add(*tight, greedy(runs_.front().prompt, tokens));
  const auto wanted = add(*roomy, greedy(runs_.front().prompt, tokens));
  const size_t bytes = run(*tight);
  run(*roomy);
  expect_same(*got, *wanted);
  const size_t blocks = (runs_.front().prompt.size() + static_cast<size_t>(tokens)) / kBlockTokens;
  const size_t all = blocks * (layout_.block_bytes + layout_.window_block_bytes);
  EXPECT_LE(bytes, (blocks + 1) * layout_.block_bytes +
                       static_cast<size_t>(layout_.window_blocks(kStepRows)) * layout_.window_block_bytes);
  std::printf("%s: %d tokens, a window of %d: %zu bytes of keys and values in use, of %zu for all\n", GetParam(),
              tokens, layout_.window_tokens, bytes, all);
}

INSTANTIATE_TEST_SUITE_P(Families, WindowedModel,
                         testing::Values("mistral", "phi3", "gemma2", "gemma2_odd", "gemma3", "gemma3_layers",
                                         "qwen2_windows", "qwen2_layer_types"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace sluice::local
