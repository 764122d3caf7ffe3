// The whole engine half on the bundled model: its answers must be those transformers gave when it was made
// (models/phone-demo/examples.json).

#include "local/local_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <condition_variable>
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "local/testing.h"

namespace sluice::local {
namespace {

// Collects one request's events; wait() returns when the last one came.
class Collector final : public api::GenerationSink {
 public:
  void on_prompt(api::PromptReport report) override { prompt = std::move(report); }
  void on_delta(api::TokenDelta delta) override {
    const std::lock_guard lock(mutex_);
    const auto choice = static_cast<size_t>(delta.choice);
    if (texts.size() <= choice) texts.resize(choice + 1);
    texts[choice] += delta.text;
    ids.insert(ids.end(), delta.ids.begin(), delta.ids.end());
    if (delta.finish) finish = delta.finish;
  }
  void on_end(Result<api::Usage> result) override {
    const std::lock_guard lock(mutex_);
    ++ends;
    end.emplace(std::move(result));
    ended_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(ended_.wait_for(lock, std::chrono::seconds(120), [&] { return end.has_value(); }));
  }

  api::PromptReport prompt;
  std::vector<std::string> texts;
  std::vector<api::TokenId> ids;
  std::optional<api::FinishReason> finish;
  std::optional<Result<api::Usage>> end;
  int ends = 0;

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
};

class LocalBackendTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    metrics_ = new MetricsRegistry();
    auto loaded = LocalBackend::load(
        {.model_path = kPhoneDemo, .served_names = {"demo", "alias"}, .memory = {.limit = size_t{1} << 30}}, *metrics_);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    backend_ = std::move(loaded).value().release();
  }
  static void TearDownTestSuite() {
    delete backend_;
    delete metrics_;
  }

  static Json examples() { return parse_json(read_file(kPhoneDemo + "/examples.json").value()).value()["examples"]; }
  static std::shared_ptr<Collector> ask(const Json& messages,
                                        const api::SamplingParams& sampling = {.temperature = 0, .max_tokens = 300},
                                        int choices = 1) {
    auto sink = std::make_shared<Collector>();
    const auto accepted =
        backend_->generate({.id = api::next_request_id(),
                            .model = "demo",
                            .prompt = api::ChatPrompt{.messages = std::make_shared<const Json>(messages)},
                            .sampling = sampling,
                            .choices = choices},
                           sink);
    EXPECT_TRUE(accepted.ok()) << accepted.error().message;
    return sink;
  }

  static inline MetricsRegistry* metrics_ = nullptr;
  static inline LocalBackend* backend_ = nullptr;
};

TEST_F(LocalBackendTest, AnswersAsTheReferenceDoes) {
  for (const Json& example : examples()) {
    const auto tokens =
        backend_->tokenize("demo", api::ChatPrompt{.messages = std::make_shared<const Json>(example["messages"])});
    ASSERT_TRUE(tokens.ok()) << tokens.error().message;
    EXPECT_EQ(*tokens, example["prompt_token_ids"].get<std::vector<api::TokenId>>());
    const auto sink = ask(example["messages"]);
    sink->wait();
    EXPECT_EQ(sink->texts.at(0), example["answer"].get<std::string>());
    EXPECT_EQ(sink->finish, api::FinishReason::kStop);
  }
}

TEST_F(LocalBackendTest, ManyAtOnceAnswerAsOneAlone) {
  std::vector<std::shared_ptr<Collector>> sinks;
  const Json all = examples();
  for (int round = 0; round < 5; ++round) {
    for (const Json& example : all) sinks.push_back(ask(example["messages"]));
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    sinks[i]->wait();
    EXPECT_EQ(sinks[i]->texts.at(0), all[i % all.size()]["answer"].get<std::string>());
    EXPECT_EQ(sinks[i]->ends, 1);
  }
}

TEST_F(LocalBackendTest, ASecondAskingReusesThePrompt) {
  const Json messages = examples()[0]["messages"];
  ask(messages)->wait();
  const auto again = ask(messages);
  again->wait();
  ASSERT_TRUE(again->end->ok());
  EXPECT_EQ((*again->end)->cached_tokens, (*again->end)->prompt_tokens - 1);
}

TEST_F(LocalBackendTest, CancelEndsWithOneLastEvent) {
  auto sink = std::make_shared<Collector>();
  const api::RequestId id = api::next_request_id();
  ASSERT_TRUE(
      backend_->generate({.id = id, .prompt = api::TextPrompt{"Hello"}, .sampling = {.ignore_eos = true}}, sink).ok());
  backend_->cancel(id);
  sink->wait();
  ASSERT_FALSE(sink->end->ok());
  EXPECT_EQ(sink->end->error().code, ErrorCode::kCancelled);
  EXPECT_EQ(sink->ends, 1);
}

TEST_F(LocalBackendTest, RefusesWhatCanNotBe) {
  const auto sink = std::make_shared<Collector>();
  const auto unknown = backend_->generate({.id = 1, .model = "gpt", .prompt = api::TextPrompt{"x"}}, sink);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().reason, "model_not_found");
  const std::vector<api::TokenId> many(static_cast<size_t>(backend_->plan().context) + 1, 5);
  const auto too_long = backend_->generate({.id = 2, .prompt = api::TokenPrompt{many}}, sink);
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.error().reason, "context_length_exceeded");
  EXPECT_FALSE(backend_->generate({.id = 3, .prompt = api::TokenPrompt{{-1}}}, sink).ok());
  EXPECT_EQ(sink->ends, 0);
}

TEST_F(LocalBackendTest, EmbedsTexts) {
  std::mutex mutex;
  std::condition_variable ready;
  std::optional<Result<api::EmbedAnswer>> answer;
  ASSERT_TRUE(backend_
                  ->embed({.id = api::next_request_id(),
                           .model = "alias",
                           .inputs = {api::TextPrompt{"open settings"}, api::TextPrompt{"打开设置"}}},
                          [&](Result<api::EmbedAnswer> result) {
                            const std::lock_guard lock(mutex);
                            answer.emplace(std::move(result));
                            ready.notify_one();
                          })
                  .ok());
  std::unique_lock lock(mutex);
  ASSERT_TRUE(ready.wait_for(lock, std::chrono::seconds(60), [&] { return answer.has_value(); }));
  ASSERT_TRUE(answer->ok());
  ASSERT_EQ((*answer)->embeddings.size(), 2u);
  double norm = 0;
  for (const float x : (*answer)->embeddings[0]) norm += static_cast<double>(x) * x;
  EXPECT_NEAR(norm, 1, 1e-4);
}

TEST(LocalBackendLoad, SaysWhyAModelCanNotBeLoaded) {
  MetricsRegistry metrics;
  const auto nothing = LocalBackend::load({.model_path = "/nonexistent/model"}, metrics);
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().code, ErrorCode::kNotFound);
  const auto small = LocalBackend::load({.model_path = kPhoneDemo, .memory = {.limit = size_t{2} << 20}}, metrics);
  ASSERT_FALSE(small.ok());
  EXPECT_EQ(small.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(small.error().message.find("--quantize"), std::string::npos);
}

}  // namespace
}  // namespace sluice::local
