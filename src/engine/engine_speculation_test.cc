// Speculation changes how many steps an answer takes and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "engine/engine_test_core.h"
#include "engine/engine_test_proposer.h"
#include "engine/model_proposer.h"
#include "engine/ngram_proposer.h"

namespace sluice::engine {
namespace {

EngineRequest asking(int prompt, int max_tokens, api::SamplingParams sampling = {}) {
  EngineRequest request{.prompt = iota_tokens(prompt)};
  request.sampling = std::move(sampling);
  request.sampling.max_tokens = max_tokens;
  if (!request.sampling.seed) request.sampling.seed = 11;
  return request;
}
EngineRequest asking_greedily(int prompt, int max_tokens) {
  return asking(prompt, max_tokens, {.temperature = 0, .ignore_eos = true});
}

// Everything a client sees, but for the time.
void expect_same_answer(const RecordingSink& got, const RecordingSink& wanted) {
  ASSERT_TRUE(got.end && wanted.end);
  ASSERT_EQ(got.end->ok(), wanted.end->ok());
  EXPECT_EQ(got.ids, wanted.ids);
  EXPECT_EQ(got.finish, wanted.finish);
  std::map<int, std::vector<const api::TokenDelta*>> left, right;
  for (const api::TokenDelta& delta : got.deltas) left[delta.choice].push_back(&delta);
  for (const api::TokenDelta& delta : wanted.deltas) right[delta.choice].push_back(&delta);
  for (const auto& [choice, deltas] : right) {
    ASSERT_EQ(left[choice].size(), deltas.size());
    for (size_t i = 0; i < deltas.size(); ++i) {
      const api::TokenDelta &a = *left[choice][i], &b = *deltas[i];
      EXPECT_EQ(a.text, b.text);
      EXPECT_EQ(a.stop_match, b.stop_match);
      ASSERT_EQ(a.logprobs.size(), b.logprobs.size());
      for (size_t j = 0; j < a.logprobs.size(); ++j) {
        EXPECT_EQ(std::memcmp(&a.logprobs[j].logprob, &b.logprobs[j].logprob, sizeof(float)), 0);
        ASSERT_EQ(a.logprobs[j].top.size(), b.logprobs[j].top.size());
        for (size_t k = 0; k < a.logprobs[j].top.size(); ++k) {
          EXPECT_EQ(a.logprobs[j].top[k].id, b.logprobs[j].top[k].id);
          EXPECT_EQ(a.logprobs[j].top[k].logprob, b.logprobs[j].top[k].logprob);
        }
      }
    }
  }
  if (!got.end->ok()) return;
  EXPECT_EQ((*got.end)->completion_tokens, (*wanted.end)->completion_tokens);
}

void teach(ReplayProposer& proposer, const EngineRequest& request, const RecordingSink& sink) {
  for (const auto& [choice, ids] : sink.ids) {
    std::vector<TokenId> text = request.prompt;
    text.insert(text.end(), ids.begin(), ids.end());
    proposer.know(std::move(text));
  }
}

// Of the requests, all at once, without speculation; then with drafts that are right as often as asked.
struct Compared {
  int64_t plain_steps = 0;
  int64_t steps = 0;
  int64_t drafted = 0;
  int64_t accepted = 0;
};
Compared compare(const std::vector<EngineRequest>& requests, double right_share, TestShape shape = {},
                 const RopeRule& rope = {}, EngineOptions options = {}) {
  const auto answer = [&](TestCore& t) {
    t.model->rope = rope;
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (const EngineRequest& request : requests) {
      sinks.push_back(t.add(request));
      SLUICE_CHECK(sinks.back() != nullptr, t.refusal.message);
    }
    t.run();
    return sinks;
  };
  TestCore plain(options, shape);
  const auto wanted = answer(plain);
  const auto proposer = std::make_shared<ReplayProposer>(right_share);
  for (size_t i = 0; i < requests.size(); ++i) teach(*proposer, requests[i], *wanted[i]);
  options.proposer = proposer;
  TestCore drafting(options, shape);
  const auto got = answer(drafting);
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(cat("request ", i));
    expect_same_answer(*got[i], *wanted[i]);
  }
  EXPECT_EQ(drafting.core->cache().allocator().used(), 0);
  return {plain.model->steps, drafting.model->steps,
          static_cast<int64_t>(drafting.metric("vllm:spec_decode_num_draft_tokens_total")),
          static_cast<int64_t>(drafting.metric("vllm:spec_decode_num_accepted_tokens_total"))};
}

TEST(Speculation, RightDraftsSaveSteps) {
  const Compared run = compare({asking_greedily(10, 55)}, 1);
  EXPECT_EQ(run.plain_steps, 55);
  // The prompt, one step to measure, then nine tokens at a time.
  EXPECT_LE(run.steps, 2 + 6 + 1);
  EXPECT_EQ(run.accepted, run.drafted);
}

TEST(Speculation, WrongDraftsCostNoStep) {
  const Compared run = compare({asking_greedily(10, 55)}, 0);
  EXPECT_EQ(run.steps, run.plain_steps);
  EXPECT_GT(run.drafted, 0);
}

// Step for step the same blocks are in use as without.
TEST(Speculation, WrongDraftsHoldNoBlocks) {
  for (const int window : {0, 6}) {
    const EngineRequest request = asking_greedily(10, 55);
    const TestShape shape = {.window = {window, true}};
    TestCore known({}, shape);
    const auto wanted = known.add(request);
    known.run();
    const auto proposer = std::make_shared<ReplayProposer>(0);
    teach(*proposer, request, *wanted);
    TestCore plain({}, shape), drafting({.proposer = proposer}, shape);
    plain.add(request);
    drafting.add(request);
    while (plain.step() && drafting.step()) {
      ASSERT_EQ(plain.core->cache().allocator().used(), drafting.core->cache().allocator().used());
      ASSERT_EQ(plain.core->cache().window().used(), drafting.core->cache().window().used());
    }
    EXPECT_GT(proposer->proposed, 20);
  }
}

TEST(Speculation, EverySettingGivesTheSameAnswer) {
  const std::vector<std::pair<const char*, api::SamplingParams>> all = {
      {"asking_greedily", {.temperature = 0}},
      {"sampled", {.temperature = 1.0}},
      {"hot", {.temperature = 2.0, .top_k = 12}},
      {"cut", {.temperature = 0.9, .top_p = 0.8, .min_p = 0.05}},
      {"penalised", {.temperature = 0.8, .frequency_penalty = 1.2, .presence_penalty = 0.5}},
      {"repetition", {.temperature = 0, .repetition_penalty = 1.6}},
      {"biased", {.temperature = 1.0, .logit_bias = {{9, 5.0F}, {12, -100.0F}}}},
      {"stop strings", {.temperature = 1.0, .stop = {"ab", "fa", "éa", "cc", "a"}}},
      {"stop strings shown", {.temperature = 1.0, .stop = {"bb", "ea"}, .include_stop = true}},
      {"stop ids", {.temperature = 1.0, .stop_token_ids = {9, 17, 23}}},
      {"not too soon", {.temperature = 1.0, .min_tokens = 9, .stop = {"a"}, .stop_token_ids = {9, 17, 23}}},
      {"endless", {.temperature = 1.5, .ignore_eos = true}},
      {"scored", {.temperature = 1.0, .logprobs = 4, .prompt_logprobs = 2}},
  };
  int64_t accepted = 0, drafted = 0;
  for (const auto& [name, sampling] : all) {
    SCOPED_TRACE(name);
    for (const double right : {1.0, 0.7, 0.0}) {
      std::vector<EngineRequest> requests;
      for (int i = 0; i < 6; ++i) {
        requests.push_back(asking(3 + 5 * i, 13 + 4 * i, sampling));
        requests.back().sampling.seed = 100 + i;
      }
      requests[2].choices = 3;
      requests[4].sampling.max_tokens = std::max(1, sampling.min_tokens);
      const Compared run = compare(requests, right);
      accepted += run.accepted;
      drafted += run.drafted;
    }
  }
  EXPECT_GT(accepted, 500);
  EXPECT_GT(drafted - accepted, 500);
}

TEST(Speculation, InEveryKindOfCache) {
  constexpr int kUnscaled = 21;
  const RopeRule restarting = {.mark = [](int length) { return length > kUnscaled ? 1000 : 0; },
                               .regime =
                                   [](int pass) {
                                     return pass > kUnscaled ? model::CacheRegime{.id = -1}
                                                             : model::CacheRegime{.shared_tokens = kUnscaled,
                                                                                  .tokens_max = kUnscaled};
                                   }};
  const RopeRule dynamic = {.mark = [](int length) { return length > kUnscaled ? length * 1000 : 0; },
                            .regime =
                                [](int pass) {
                                  return pass > kUnscaled ? model::CacheRegime{.id = pass, .shared_tokens = pass}
                                                          : model::CacheRegime{.shared_tokens = kUnscaled};
                                }};
  for (const int window : {0, 1, 7, 20}) {
    for (const RopeRule& rope : {RopeRule{}, restarting, dynamic}) {
      for (const bool tight : {false, true}) {
        SCOPED_TRACE(cat("window ", window, tight ? ", tight" : ""));
        const std::vector<EngineRequest> requests = {asking_greedily(12, 30), asking_greedily(20, 20),
                                                     asking_greedily(21, 20), asking_greedily(25, 20),
                                                     asking(12, 25),          asking(5, 30)};
        TestShape shape = {.context_max = 60, .window = {window, true}};
        EngineOptions options = {.blocks = tight ? 24 : 128, .step_rows_max = 16, .sequences_max = 4};
        const Compared run = compare(requests, 0.8, shape, rope, options);
        EXPECT_GT(run.accepted, 20);
      }
    }
  }
}

// Only what was accepted may be found by others: the next turn reuses exactly what it could without speculation.
TEST(Speculation, TheIndexKnowsAcceptedTokensOnly) {
  for (const double right : {0.0, 0.6, 1.0}) {
    const EngineRequest first = asking_greedily(10, 30);
    TestCore plain;
    const auto wanted = plain.add(first);
    plain.run();
    const auto proposer = std::make_shared<ReplayProposer>(right);
    teach(*proposer, first, *wanted);
    TestCore t({.proposer = proposer});
    const auto got = t.add(first);
    t.run();
    expect_same_answer(*got, *wanted);
    EngineRequest next = asking_greedily(10, 2);
    next.prompt.insert(next.prompt.end(), wanted->ids[0].begin(), wanted->ids[0].end());
    next.prompt.push_back(20);
    const auto continued = t.add(next);
    t.run();
    EXPECT_EQ((*continued->end)->cached_tokens, 39);
  }
}

// The drafted row is computed whether it is right or not; what is wrong with it must not matter.
TEST(Speculation, DamageBehindAWrongDraftIsNoDamage) {
  const EngineRequest request = asking_greedily(6, 30);
  TestCore plain;
  const auto wanted = plain.add(request);
  plain.run();
  const auto proposer = std::make_shared<ReplayProposer>(0.5);
  teach(*proposer, request, *wanted);
  std::vector<TokenId> text = request.prompt;
  text.insert(text.end(), wanted->ids[0].begin(), wanted->ids[0].end());
  ModelFaults faults;
  int damaged = 0;
  faults.nan_after = [&](std::span<const TokenId> history) {
    const bool wrong = history.size() > text.size() || !std::equal(history.begin(), history.end(), text.begin());
    damaged += wrong;
    return wrong;
  };
  TestCore t({.proposer = proposer}, {}, faults);
  const auto got = t.add(request);
  t.run();
  expect_same_answer(*got, *wanted);
  EXPECT_GT(damaged, 0);
}

TEST(Speculation, CountsWhatItDoes) {
  const EngineRequest request = asking_greedily(10, 20);
  TestCore plain;
  const auto wanted = plain.add(request);
  plain.run();
  const auto proposer = std::make_shared<ReplayProposer>(1);
  teach(*proposer, request, *wanted);
  TestCore t({.proposer = proposer, .draft_tokens_max = 4});
  t.add(request);
  t.run();
  // One token from the prompt, one to measure; five, five, five; then three are left, of which two can be drafted.
  EXPECT_EQ(t.metric("vllm:spec_decode_num_drafts_total"), 4);
  EXPECT_EQ(t.metric("vllm:spec_decode_num_draft_tokens_total"), 14);
  EXPECT_EQ(t.metric("vllm:spec_decode_num_accepted_tokens_total"), 14);
  EXPECT_EQ(t.metric("vllm:generation_tokens_total"), 20);
  EXPECT_EQ(t.metric("vllm:inter_token_latency_seconds_count"), 19);
}

// Time as on a machine whose steps take this long.
struct Timed {
  std::function<int64_t(int rows)> step_us;
  int64_t us = 0;
  int64_t rows = 0;
  int64_t tokens = 0;

  Timed(std::function<int64_t(int)> cost, double right_share, int streams, bool speculation)
      : step_us(std::move(cost)) {
    std::vector<EngineRequest> requests;
    for (int i = 0; i < streams; ++i) {
      requests.push_back(asking_greedily(6, 200));
      requests.back().prompt[0] = 3 + i;
    }
    EngineOptions options = {.blocks = 1024, .sequences_max = streams};
    const auto proposer = std::make_shared<ReplayProposer>(right_share);
    if (speculation) {
      TestCore plain(options);
      for (const EngineRequest& request : requests) {
        const auto sink = plain.add(request);
        plain.run();
        teach(*proposer, request, *sink);
      }
      options.proposer = proposer;
    }
    TestCore t(options, {}, {}, step_us);
    for (const EngineRequest& request : requests) t.add(request);
    const int64_t began = t.clock.now_us();
    while (t.core->step()) t.check();
    us = t.clock.now_us() - began;
    rows = t.model->rows_run;
    tokens = static_cast<int64_t>(t.metric("vllm:generation_tokens_total"));
  }
  double rate() const { return static_cast<double>(tokens) / static_cast<double>(us); }
};

TEST(Speculation, IsFasterWhereRowsAreCheap) {
  const auto memory = [](int rows) { return 10000 + 200 * rows; };
  for (const int streams : {1, 4}) {
    EXPECT_GT(Timed(memory, 0.9, streams, true).rate(), 2.5 * Timed(memory, 0, streams, false).rate());
  }
}

TEST(Speculation, SwitchesItselfOffWhereItLoses) {
  const auto arithmetic = [](int rows) { return 100 + 1000 * rows; };
  const auto memory = [](int rows) { return 10000 + 200 * rows; };
  for (const int streams : {1, 4, 16}) {
    EXPECT_GT(Timed(arithmetic, 0.9, streams, true).rate(), 0.98 * Timed(arithmetic, 0, streams, false).rate());
    EXPECT_GT(Timed(memory, 0, streams, true).rate(), 0.98 * Timed(memory, 0, streams, false).rate());
  }
}

// A time in which rows were dear, a busy neighbour say, is not remembered for ever.
TEST(Speculation, TriesAgain) {
  int64_t steps = 0;
  const auto changing = [&](int rows) { return ++steps < 60 ? 100 + 1000 * rows : 10000 + 10 * rows; };
  const Timed run(changing, 1, 1, true);
  EXPECT_EQ(run.tokens, 200);
  EXPECT_LT(steps, 150);
}

// A model that drafts for itself is always right, at any temperature: it draws the same numbers.
TEST(Speculation, ADraftingModelOfTheSameMind) {
  for (const double temperature : {0.0, 1.0}) {
    std::vector<EngineRequest> requests;
    for (int i = 0; i < 5; ++i) {
      requests.push_back(asking(20 + 3 * i, 60, {.temperature = temperature, .seed = 7 + i, .ignore_eos = true}));
    }
    TestCore plain({.blocks = 400});
    std::vector<std::shared_ptr<RecordingSink>> wanted, got;
    for (const EngineRequest& request : requests) wanted.push_back(plain.add(request));
    plain.run();
    auto model = std::make_unique<HashModel>(plain.tokenizer.vocab_size(), 256, 4);
    auto proposer = ModelProposer::create(
        std::move(model),
        {.blocks = 200, .step_rows_max = 16, .sequences_max = 64, .vocab_size = plain.tokenizer.vocab_size()});
    ASSERT_TRUE(proposer.ok());
    TestCore t({.blocks = 400, .proposer = *proposer});
    for (const EngineRequest& request : requests) got.push_back(t.add(request));
    t.run();
    for (size_t i = 0; i < requests.size(); ++i) expect_same_answer(*got[i], *wanted[i]);
    EXPECT_LT(t.model->steps, 25);
    EXPECT_EQ(t.metric("vllm:spec_decode_num_accepted_tokens_total"),
              t.metric("vllm:spec_decode_num_draft_tokens_total"));
    EXPECT_EQ((*proposer)->free_blocks(), 200) << "blocks go back when sequences end";
  }
}

TEST(Speculation, TextsThatRepeatThemselvesAreFoundByTheirNgrams) {
  // The likeliest token is biased to be one of three: answers soon run in circles.
  EngineRequest request = asking(12, 100, {.temperature = 0.6, .logit_bias = {{9, 30.0F}}, .ignore_eos = true});
  TestCore plain;
  const auto wanted = plain.add(request);
  plain.run();
  TestCore t({.proposer = std::make_shared<NgramProposer>()});
  const auto got = t.add(request);
  t.run();
  expect_same_answer(*got, *wanted);
  EXPECT_LT(t.model->steps, 30);
}

}  // namespace
}  // namespace sluice::engine
