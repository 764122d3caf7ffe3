// Speculation over the bundled model: the same tokens as without, and a drafting model that cannot draft is refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/testing.h"
#include "local/local_backend.h"
#include "local/testing.h"

namespace sluice::local {
namespace {

class Ids final : public api::GenerationSink {
 public:
  void on_prompt(api::PromptReport) override {}
  void on_delta(api::TokenDelta delta) override {
    for (const api::TokenId id : delta.ids) ids.push_back(id);
    for (const api::TokenLogprob& one : delta.logprobs) logprobs.push_back(one.logprob);
  }
  void on_end(Result<api::Usage> result) override { ended.set_value(result.ok()); }

  std::vector<api::TokenId> ids;
  std::vector<float> logprobs;
  std::promise<bool> ended;
};

LocalOptions options(SpeculationOptions::Kind kind, const std::string& draft_model = "") {
  return {.model_path = kPhoneDemo,
          .memory = {.limit = size_t{1} << 30},
          .speculation = {.kind = kind, .draft_model = draft_model}};
}

struct Outcome {
  std::vector<std::vector<api::TokenId>> ids;
  std::vector<std::vector<float>> logprobs;
  double accepted = 0;
};

// All examples at once, greedily and not.
Outcome answers(const LocalOptions& options) {
  MetricsRegistry metrics;
  const auto backend = LocalBackend::load(options, metrics);
  SLUICE_CHECK(backend.ok(), backend.error().message);
  std::vector<std::shared_ptr<Ids>> sinks;
  const Json file = parse_json(read_file(kPhoneDemo + "/examples.json").value()).value();
  for (const double temperature : {0.0, 1.0}) {
    for (const Json& example : file["examples"]) {
      sinks.push_back(std::make_shared<Ids>());
      const auto accepted = (*backend)->generate(
          {.id = api::next_request_id(),
           .prompt = api::TokenPrompt{example["prompt_token_ids"].get<std::vector<api::TokenId>>()},
           .sampling = {.temperature = temperature, .seed = sinks.size(), .max_tokens = 60, .logprobs = 2}},
          sinks.back());
      SLUICE_CHECK(accepted.ok(), accepted.error().message);
    }
  }
  Outcome run;
  for (const auto& sink : sinks) {
    EXPECT_TRUE(sink->ended.get_future().get());
    run.ids.push_back(sink->ids);
    run.logprobs.push_back(sink->logprobs);
  }
  const std::string text = metrics.render();
  const size_t at = text.find("\nvllm:spec_decode_num_accepted_tokens_total");
  run.accepted = std::stod(text.substr(text.find(' ', at)));
  return run;
}

TEST(LocalSpeculation, AnswersAreTheSameToTheBit) {
  const Outcome plain = answers(options(SpeculationOptions::Kind::kOff));
  EXPECT_EQ(plain.accepted, 0);
  LocalOptions alone = options(SpeculationOptions::Kind::kNgram);
  alone.memory.sequences_max = 1;
  const LocalOptions all[] = {options(SpeculationOptions::Kind::kNgram), alone,
                              options(SpeculationOptions::Kind::kModel, kPhoneDemo)};
  for (const LocalOptions& drafting : all) {
    const Outcome run = answers(drafting);
    EXPECT_EQ(run.ids, plain.ids);
    EXPECT_EQ(run.logprobs, plain.logprobs);
  }
}

TEST(LocalSpeculation, TheDraftingModelIsInTheMemoryPlan) {
  MetricsRegistry metrics, others;
  const auto plain = LocalBackend::load(options(SpeculationOptions::Kind::kOff), metrics);
  const auto drafting = LocalBackend::load(options(SpeculationOptions::Kind::kModel, kPhoneDemo), others);
  ASSERT_TRUE(plain.ok() && drafting.ok());
  const model::MemoryPlan &one = (*plain)->plan(), &two = (*drafting)->plan();
  EXPECT_EQ(one.draft_model, 0u);
  EXPECT_GT(two.draft_model, one.weights_mapped + one.weights_converted);
  EXPECT_GT(two.draft_blocks, 0);
  EXPECT_LE(two.total(), two.limit);
  EXPECT_NE(model::format_plan(two).find("draft model"), std::string::npos);
}

TEST(LocalSpeculation, AnotherVocabularyIsRefused) {
  const checkpoint::test_files::TemporaryDirectory directory;
  for (const auto& entry : std::filesystem::directory_iterator(kPhoneDemo))
    std::filesystem::create_symlink(entry.path(), directory.path() + "/" + entry.path().filename().string());
  const std::string tokenizer = directory.path() + "/tokenizer.json";
  std::filesystem::remove(tokenizer);
  std::string text = read_file(kPhoneDemo + "/tokenizer.json").value();
  const size_t at = text.find("<think>");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 7, "<thunk>");
  checkpoint::test_files::write_text(tokenizer, text);
  MetricsRegistry metrics;
  const auto refused = LocalBackend::load(options(SpeculationOptions::Kind::kModel, directory.path()), metrics);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.error().param, "draft-model");
  EXPECT_NE(refused.error().message.find("'<thunk>', not '<think>'"), std::string::npos) << refused.error().message;
  const auto missing = LocalBackend::load(options(SpeculationOptions::Kind::kModel, "/nonexistent/model"), metrics);
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("--draft-model"), std::string::npos);
}

}  // namespace
}  // namespace sluice::local
