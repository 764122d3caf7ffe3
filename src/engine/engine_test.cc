// The threaded engine: what other threads see.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <future>

#include "engine/engine_test_model.h"
#include "engine/engine_test_sink.h"

namespace sluice::engine {
namespace {

using std::chrono::milliseconds;

EngineOptions options() {
  return {.blocks = 64,
          .step_rows_max = 32,
          .sequences_max = 8,
          .waiting_max = 16,
          .eos = {PieceTokenizer::kEos},
          .model_name = "hash",
          .random_seed = 7};
}

struct Gate {
  void open() { opened.set_value(); }
  std::promise<void> opened;
  std::shared_future<void> future = opened.get_future().share();
};

struct Fixture {
  explicit Fixture(EngineOptions engine_options = options(), ModelFaults faults = {}) {
    auto made = Engine::create(std::make_unique<HashModel>(tokenizer.vocab_size(), 256, 4, std::move(faults)),
                               tokenizer, std::move(engine_options), metrics, clock);
    SLUICE_CHECK(made.ok(), made.error().message);
    engine = std::move(*made);
  }

  std::shared_ptr<RecordingSink> submit(std::vector<TokenId> prompt, int max_tokens,
                                        api::RequestId id = api::next_request_id()) {
    auto sink = std::make_shared<RecordingSink>();
    EngineRequest request{.id = id, .prompt = std::move(prompt), .sink = sink};
    request.sampling.temperature = 0;
    request.sampling.ignore_eos = true;
    request.sampling.max_tokens = max_tokens;
    const auto result = engine->submit(std::move(request));
    if (!result.ok()) {
      refusal = result.error();
      return nullptr;
    }
    return sink;
  }

  PieceTokenizer tokenizer;
  MetricsRegistry metrics;
  SteadyClock clock;
  Error refusal;
  std::unique_ptr<Engine> engine;
};

TEST(Engine, AnswersRequestsOfManyThreads) {
  Fixture fixture;
  std::vector<std::thread> threads;
  std::atomic<int> answered = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const auto sink = std::make_shared<RecordingSink>();
        EngineRequest request{.id = api::next_request_id(), .prompt = {3 + t, 4, 5, 6, 7, 8 + i}, .sink = sink};
        request.sampling.max_tokens = 5;
        request.sampling.ignore_eos = true;
        while (!fixture.engine->submit(request).ok()) std::this_thread::yield();
        ASSERT_TRUE(sink->wait());
        ASSERT_TRUE(sink->end->ok()) << sink->end->error().message;
        EXPECT_EQ((*sink->end)->completion_tokens, 5);
        ++answered;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(answered, 80);
  EXPECT_TRUE(fixture.engine->drain(milliseconds(5000)));
  const api::BackendStatus status = fixture.engine->status();
  EXPECT_FALSE(status.ready);
  EXPECT_EQ(status.running, 0);
  EXPECT_EQ(status.waiting, 0);
  EXPECT_EQ(status.kv_usage, 0);
}

TEST(Engine, CancelsAtOnceAndOnlyOnce) {
  Fixture fixture;
  const auto id = api::next_request_id();
  const auto sink = fixture.submit({3, 4, 5}, 250, id);
  ASSERT_TRUE(sink);
  fixture.engine->cancel(id);
  fixture.engine->cancel(id);
  fixture.engine->cancel(12345678);
  ASSERT_TRUE(sink->wait());
  // It may have been faster than the cancellation, but it ends once.
  if (!sink->end->ok()) EXPECT_EQ(sink->end->error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(fixture.engine->drain(milliseconds(5000)));
  EXPECT_EQ(sink->ends, 1);
}

TEST(Engine, ASinkMayCancelItsOwnRequest) {
  Fixture fixture;
  const auto id = api::next_request_id();
  const auto sink = std::make_shared<RecordingSink>();
  sink->on_delta_hook = [&] { fixture.engine->cancel(id); };
  EngineRequest request{.id = id, .prompt = {3, 4, 5}, .sink = sink};
  request.sampling.ignore_eos = true;
  ASSERT_TRUE(fixture.engine->submit(request).ok());
  ASSERT_TRUE(sink->wait());
  ASSERT_FALSE(sink->end->ok());
  EXPECT_EQ(sink->end->error().code, ErrorCode::kCancelled);
  EXPECT_EQ(sink->deltas.size(), 1u);
}

TEST(Engine, RefusesWhenTheQueueIsFull) {
  Gate gate;
  EngineOptions small = options();
  small.sequences_max = 1;
  small.waiting_max = 3;
  Fixture fixture(small, {.before_step = [&] { gate.future.wait(); }});
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  // One may leave the queue for the batch before the gate holds it; more cannot.
  int accepted = 0;
  for (int i = 0; i < 10; ++i) {
    if (auto sink = fixture.submit({3, 4, 5 + i}, 3)) {
      sinks.push_back(sink);
      ++accepted;
    } else {
      EXPECT_EQ(fixture.refusal.code, ErrorCode::kResourceExhausted);
    }
  }
  EXPECT_GE(accepted, 3);
  EXPECT_LE(accepted, 4);
  gate.open();
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->wait());
    EXPECT_TRUE(sink->end->ok());
  }
  // There is room again, as soon as the engine has settled.
  std::shared_ptr<RecordingSink> again;
  while (!(again = fixture.submit({3}, 1))) std::this_thread::yield();
  EXPECT_TRUE(again->wait());
}

TEST(Engine, StoppingEndsEverythingWithUnavailable) {
  Fixture fixture;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 12; ++i) sinks.push_back(fixture.submit({3, 4, 5 + i}, 250));
  fixture.engine.reset();
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink);
    EXPECT_EQ(sink->ends, 1);
    if (!sink->end->ok()) EXPECT_EQ(sink->end->error().code, ErrorCode::kUnavailable);
  }
}

TEST(Engine, DrainingRefusesNewRequestsAndFinishesOldOnes) {
  Gate gate;
  Fixture fixture(options(), {.before_step = [&] { gate.future.wait(); }});
  const auto sink = fixture.submit({3, 4, 5}, 4);
  EXPECT_FALSE(fixture.engine->drain(milliseconds(20)));
  EXPECT_FALSE(fixture.submit({3, 4, 5}, 4));
  EXPECT_EQ(fixture.refusal.code, ErrorCode::kUnavailable);
  gate.open();
  EXPECT_TRUE(fixture.engine->drain(milliseconds(5000)));
  EXPECT_EQ(sink->ends, 1);
  EXPECT_TRUE(sink->end->ok());
}

TEST(Engine, DeadlinesEndRequests) {
  Fixture fixture(options(), {.before_step = [] { std::this_thread::sleep_for(milliseconds(2)); }});
  const auto sink = std::make_shared<RecordingSink>();
  EngineRequest request{
      .id = api::next_request_id(), .prompt = {3, 4, 5}, .deadline_us = fixture.clock.now_us() + 20000, .sink = sink};
  request.sampling.ignore_eos = true;
  ASSERT_TRUE(fixture.engine->submit(request).ok());
  ASSERT_TRUE(sink->wait());
  ASSERT_FALSE(sink->end->ok());
  EXPECT_EQ(sink->end->error().code, ErrorCode::kDeadlineExceeded);
}

TEST(Engine, EmbedsOnItsThread) {
  Fixture fixture;
  std::promise<Result<api::EmbedAnswer>> promise;
  EngineEmbedRequest request{.id = api::next_request_id(), .inputs = {{3, 4, 5}, {6}}};
  request.done = [&](Result<api::EmbedAnswer> answer) { promise.set_value(std::move(answer)); };
  ASSERT_TRUE(fixture.engine->submit(std::move(request)).ok());
  const auto answer = promise.get_future().get();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->embeddings.size(), 2u);
  EXPECT_EQ(answer->usage.prompt_tokens, 4);
}

TEST(Engine, RefusesAnIdThatIsRunning) {
  Gate gate;
  Fixture fixture(options(), {.before_step = [&] { gate.future.wait(); }});
  const auto sink = fixture.submit({3}, 2, 99);
  EXPECT_FALSE(fixture.submit({3}, 2, 99));
  EXPECT_EQ(fixture.refusal.param, "id");
  gate.open();
  EXPECT_TRUE(sink->wait());
}

TEST(Engine, RefusesContradictingOptions) {
  PieceTokenizer tokenizer;
  MetricsRegistry metrics;
  SteadyClock clock;
  EngineOptions narrow = options();
  narrow.step_rows_max = narrow.sequences_max - 1;
  const auto made = Engine::create(std::make_unique<HashModel>(32, 64, 4), tokenizer, narrow, metrics, clock);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().param, "step_rows_max");
}

}  // namespace
}  // namespace sluice::engine
