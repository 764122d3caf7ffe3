#include "api/mock_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <future>

namespace sluice::api {
namespace {

using std::chrono::milliseconds;

class Recorder final : public GenerationSink {
 public:
  void on_prompt(PromptReport given) override { report = std::move(given); }
  void on_delta(TokenDelta delta) override {
    const std::lock_guard lock(mutex);
    deltas.push_back(std::move(delta));
  }
  void on_end(Result<Usage> end) override { ended.set_value(std::move(end)); }

  Result<Usage> wait() { return ended.get_future().get(); }
  std::string text(int choice = 0) const {
    std::string out;
    for (const TokenDelta& delta : deltas) out += delta.choice == choice ? delta.text : "";
    return out;
  }

  std::mutex mutex;
  PromptReport report;
  std::vector<TokenDelta> deltas;
  std::promise<Result<Usage>> ended;
};

MockOptions scripted(MockAnswer answer) {
  MockOptions options;
  options.answer = [answer](const GenerateRequest&, int) { return answer; };
  return options;
}

GenerateRequest request(std::string prompt) {
  GenerateRequest out;
  out.id = next_request_id();
  out.model = "mock";
  out.prompt = TextPrompt{std::move(prompt), true};
  return out;
}

TEST(MockBackend, TellsTheScriptTokenByToken) {
  MockBackend backend(scripted({.tokens = {"Hel", "lo", "\xF0\x9F", "\x98\x80"}}));
  auto sink = std::make_shared<Recorder>();
  ASSERT_TRUE(backend.generate(request("你好"), sink).ok());
  const auto usage = sink->wait();
  ASSERT_TRUE(usage.ok());
  EXPECT_EQ(usage->prompt_tokens, 2);
  EXPECT_EQ(usage->completion_tokens, 5);  // with the end token
  EXPECT_EQ(sink->text(), "Hello😀");
  for (const TokenDelta& delta : sink->deltas) EXPECT_NE(delta.text, "\xF0\x9F");
  EXPECT_EQ(sink->deltas.back().finish, FinishReason::kStop);
}

TEST(MockBackend, StopStringsNeverLeak) {
  MockBackend backend(scripted({.tokens = {"one t", "wo th", "ree four"}}));
  for (const bool include : {false, true}) {
    auto sink = std::make_shared<Recorder>();
    GenerateRequest asked = request("x");
    asked.sampling.stop = {"never", "three"};
    asked.sampling.include_stop = include;
    ASSERT_TRUE(backend.generate(asked, sink).ok());
    ASSERT_TRUE(sink->wait().ok());
    EXPECT_EQ(sink->text(), include ? "one two three" : "one two ");
    EXPECT_EQ(sink->deltas.back().stop_match, "three");
  }
}

TEST(MockBackend, FaultsComeWhereScripted) {
  MockBackend backend(
      scripted({.tokens = {"a", "b", "c"}, .error = Error{ErrorCode::kInternal, "broken", {}, {}}, .error_after = 2}));
  auto sink = std::make_shared<Recorder>();
  ASSERT_TRUE(backend.generate(request("x"), sink).ok());
  const auto end = sink->wait();
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().message, "broken");
  EXPECT_EQ(sink->text(), "ab");
}

TEST(MockBackend, AnEndlessAnswerEndsByCancelAndByDeadline) {
  MockOptions options = scripted({.tokens = {"a"}, .repeat = true});
  options.token_latency = milliseconds(1);
  options.models.push_back({.id = "mock", .context_tokens = 1 << 30});
  MockBackend backend(options);
  auto sink = std::make_shared<Recorder>();
  const GenerateRequest endless = request("x");
  ASSERT_TRUE(backend.generate(endless, sink).ok());
  backend.cancel(endless.id);
  EXPECT_EQ(sink->wait().error().code, ErrorCode::kCancelled);
  EXPECT_EQ(backend.cancelled(), 1);

  sink = std::make_shared<Recorder>();
  GenerateRequest late = request("x");
  late.deadline_us = 1;
  ASSERT_TRUE(backend.generate(late, sink).ok());
  EXPECT_EQ(sink->wait().error().code, ErrorCode::kDeadlineExceeded);
}

TEST(MockBackend, RefusesWhenFullUnknownTooLongOrStopping) {
  MockOptions options = scripted({.tokens = {"a"}, .repeat = true});
  options.running_max = 1;
  options.waiting_max = 1;
  options.token_latency = milliseconds(1);
  std::vector<std::shared_ptr<Recorder>> sinks;
  {
    MockBackend backend(options);
    for (int i = 0; i < 2; ++i) {
      sinks.push_back(std::make_shared<Recorder>());
      ASSERT_TRUE(backend.generate(request("x"), sinks.back()).ok());
    }
    EXPECT_EQ(backend.generate(request("x"), std::make_shared<Recorder>()).error().code, ErrorCode::kResourceExhausted);
    GenerateRequest unknown = request("x");
    unknown.model = "other";
    EXPECT_EQ(backend.generate(unknown, std::make_shared<Recorder>()).error().reason, "model_not_found");
    EXPECT_EQ(backend.generate(request(std::string(9000, 'x')), std::make_shared<Recorder>()).error().reason,
              "context_length_exceeded");
    EXPECT_EQ(backend.status().waiting, 1);
  }
  for (const auto& sink : sinks) EXPECT_EQ(sink->wait().error().code, ErrorCode::kUnavailable);
}

TEST(MockBackend, TheSameSeedMakesTheSameText) {
  MockBackend backend;
  const auto answer = [&](std::optional<uint64_t> seed, std::optional<double> temperature) {
    auto sink = std::make_shared<Recorder>();
    GenerateRequest asked = request("x");
    asked.choices = 2;
    asked.sampling.seed = seed;
    asked.sampling.temperature = temperature;
    EXPECT_TRUE(backend.generate(asked, sink).ok());
    EXPECT_TRUE(sink->wait().ok());
    return std::pair(sink->text(0), sink->text(1));
  };
  EXPECT_EQ(answer(7, std::nullopt), answer(7, std::nullopt));
  EXPECT_NE(answer(7, std::nullopt), answer(8, std::nullopt));
  EXPECT_NE(answer(7, std::nullopt).first, answer(7, std::nullopt).second);
  EXPECT_EQ(answer(std::nullopt, 0.0), answer(5, 0.0));
  EXPECT_NE(answer(std::nullopt, 1.0), answer(std::nullopt, 1.0));
}

TEST(MockBackend, TokensAndTextAreInverse) {
  const MockBackend backend;
  const std::string text = "A é 你 😀";
  const auto ids = backend.tokenize("mock", TextPrompt{text, true});
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*ids, (std::vector<TokenId>{'A', ' ', 0xE9, ' ', 0x4F60, ' ', 0x1F600}));
  EXPECT_EQ(backend.detokenize("mock", *ids, false).value(), text);
}

TEST(MockBackend, EmbeddingsHaveLengthOne) {
  MockBackend backend;
  std::promise<Result<EmbedAnswer>> done;
  EmbedRequest asked;
  asked.model = "mock";
  asked.inputs = {TextPrompt{"a", true}, TextPrompt{"b", true}};
  ASSERT_TRUE(backend.embed(asked, [&](Result<EmbedAnswer> answer) { done.set_value(std::move(answer)); }).ok());
  const auto answer = done.get_future().get();
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(answer->embeddings.size(), 2U);
  EXPECT_NE(answer->embeddings[0], answer->embeddings[1]);
  double squares = 0;
  for (const float value : answer->embeddings[0]) squares += static_cast<double>(value) * value;
  EXPECT_NEAR(squares, 1, 1e-5);
}

}  // namespace
}  // namespace sluice::api
