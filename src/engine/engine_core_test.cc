// The rules of the engine one by one, stepped by hand on a model whose outputs depend on every token of the history.
#include "engine/engine_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/log.h"
#include "base/strings.h"
#include "engine/engine_test_core.h"

namespace sluice::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Greedy decoding straight from the model, with no engine.
std::vector<TokenId> greedy_answer(const HashModel& model, std::vector<TokenId> history, int tokens) {
  std::vector<TokenId> answer;
  std::vector<float> logits(static_cast<size_t>(model.traits().vocab_size));
  for (int i = 0; i < tokens; ++i) {
    model.fill_logits(history, logits);
    answer.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    history.push_back(answer.back());
  }
  return answer;
}

TEST(EngineCore, AnswersAsTheModelAlone) {
  TestCore t;
  const auto sink = t.add(greedy(iota_tokens(10), 12));
  t.run();
  ASSERT_TRUE(sink->end->ok());
  EXPECT_EQ(sink->ids[0], greedy_answer(*t.model, iota_tokens(10), 12));
  EXPECT_EQ(sink->finish[0], api::FinishReason::kLength);
  EXPECT_EQ((*sink->end)->prompt_tokens, 10);
  EXPECT_EQ((*sink->end)->completion_tokens, 12);
  EXPECT_EQ(sink->deltas.size(), 12u);
  EXPECT_EQ(sink->text[0], utf8_sanitize(t.tokenizer.decode(sink->ids[0], true)));
}

TEST(EngineCore, BatchesDecodingSequences) {
  TestCore t;
  for (int i = 0; i < 8; ++i) t.add(greedy(iota_tokens(4, 3 + i), 10));
  t.run();
  // One step for all prompts, then nine of eight rows.
  EXPECT_EQ(t.model->steps, 10);
}

TEST(EngineCore, ChunksLongPromptsBesideDecoding) {
  TestCore t({.blocks = 64, .step_rows_max = 8, .sequences_max = 4});
  const auto first = t.add(greedy(iota_tokens(4), 40));
  t.step();
  const auto second = t.add(greedy(iota_tokens(30, 9), 5));
  const size_t before = first->deltas.size();
  for (int i = 0; i < 5; ++i) t.step();  // 30 tokens at 7 a step
  EXPECT_EQ(first->deltas.size(), before + 5);
  EXPECT_EQ(second->deltas.size(), 1u);
  t.run();
  EXPECT_EQ(second->ids[0], greedy_answer(*t.model, iota_tokens(30, 9), 5));
}

TEST(EngineCore, ReusesPrefixesToTheToken) {
  TestCore t;
  const auto prompt = iota_tokens(19);
  t.add(greedy(prompt, 6));
  t.run();
  const auto cached = [&](const std::vector<TokenId>& wanted, const std::string& salt = "") {
    EngineRequest request = greedy(wanted, 3);
    request.cache_salt = salt;
    const int64_t rows = t.model->rows_run;
    const auto sink = t.add(request);
    t.run();
    EXPECT_EQ(sink->ids[0], greedy_answer(*t.model, wanted, 3));
    EXPECT_EQ(sink->prompt->cached_tokens, (*sink->end)->cached_tokens);
    EXPECT_EQ(t.model->rows_run - rows, static_cast<int64_t>(wanted.size()) - (*sink->end)->cached_tokens + 2);
    return (*sink->end)->cached_tokens;
  };
  EXPECT_EQ(cached(prompt), 18);  // the last token's logits are wanted
  auto longer = prompt;
  longer.push_back(29);
  longer.push_back(28);
  EXPECT_EQ(cached(longer), 19);
  auto forked = prompt;
  forked[13] = 31;
  EXPECT_EQ(cached(forked), 13);
  forked[0] = 31;
  EXPECT_EQ(cached(forked), 0);
  EXPECT_EQ(cached({prompt[0]}), 0);
  EXPECT_EQ(cached(prompt, "tenant"), 0);
  EXPECT_EQ(cached(prompt, "tenant"), 18);
}

TEST(EngineCore, GeneratedTokensAreReusedInTheNextTurn) {
  TestCore t;
  const auto first = t.add(greedy(iota_tokens(10), 9));
  t.run();
  auto next = iota_tokens(10);
  next.insert(next.end(), first->ids[0].begin(), first->ids[0].end());
  next.insert(next.end(), {20, 21, 22});
  const auto second = t.add(greedy(next, 2));
  t.run();
  EXPECT_EQ((*second->end)->cached_tokens, 18);  // the last generated token was never computed
}

TEST(EngineCore, SimultaneousRequestsShareWhatTheFirstComputes) {
  TestCore t({.blocks = 64, .step_rows_max = 8, .sequences_max = 4});
  const auto common = iota_tokens(32);
  auto one = common, two = common;
  one.push_back(20);
  two.push_back(21);
  const auto a = t.add(greedy(one, 3)), b = t.add(greedy(two, 3));
  t.run();
  EXPECT_EQ((*a->end)->cached_tokens, 0);
  EXPECT_GE((*b->end)->cached_tokens, 28);
  EXPECT_EQ(b->ids[0], greedy_answer(*t.model, two, 3));
}

TEST(EngineCore, AnIndexCanBeTurnedOff) {
  TestCore t({.prefix_index = false});
  EngineRequest request = greedy(iota_tokens(12), 3);
  request.choices = 2;
  t.add(request);
  t.run();
  const auto again = t.add(request);
  t.run();
  EXPECT_EQ((*again->end)->cached_tokens, 0);
  EXPECT_EQ(t.core->cache().allocator().idle(), 0);
}

TEST(EngineCore, ChoicesShareThePromptAndDiffer) {
  TestCore t;
  EngineRequest request{.prompt = iota_tokens(30), .choices = 5};
  request.sampling = {.seed = 3, .max_tokens = 8, .ignore_eos = true};
  const auto sink = t.add(request);
  t.run();
  ASSERT_TRUE(sink->end->ok());
  EXPECT_EQ((*sink->end)->prompt_tokens, 30);
  EXPECT_EQ((*sink->end)->completion_tokens, 40);
  EXPECT_EQ((*sink->end)->cached_tokens, 0);
  std::set<std::vector<TokenId>> distinct;
  for (const auto& [choice, ids] : sink->ids) distinct.insert(ids);
  EXPECT_EQ(distinct.size(), 5u);
  // The siblings computed one prompt token each.
  EXPECT_EQ(t.model->rows_run, 30 + 4 + 5 * 7);
}

TEST(EngineCore, TheSameSeedGivesTheSameTextAndNoSeedGivesAnother) {
  TestCore t({.prefix_index = false});
  const auto text = [&](std::optional<uint64_t> seed) {
    EngineRequest request{.prompt = iota_tokens(5)};
    request.sampling = {.seed = seed, .max_tokens = 12, .ignore_eos = true};
    const auto sink = t.add(request);
    t.run();
    return sink->ids[0];
  };
  EXPECT_EQ(text(5), text(5));
  EXPECT_NE(text(5), text(6));
  EXPECT_NE(text({}), text({}));
}

TEST(EngineCore, EndTokensEndSilentlyAndCount) {
  TestCore t;
  EngineRequest request = greedy(iota_tokens(6), 30);
  const auto free_run = t.add(request);
  t.run();
  // Whatever comes fourth becomes the end token.
  const TokenId end = free_run->ids[0][3];
  ASSERT_EQ(std::count(free_run->ids[0].begin(), free_run->ids[0].begin() + 3, end), 0);
  request.sampling.stop_token_ids = {end};
  const auto sink = t.add(request);
  t.run();
  EXPECT_EQ(sink->finish[0], api::FinishReason::kStop);
  EXPECT_EQ((*sink->end)->completion_tokens, 4);
  EXPECT_EQ(sink->ids[0].size(), 4u);
  EXPECT_EQ(sink->deltas.back().stop_match, "");
  EXPECT_EQ(sink->text[0], utf8_sanitize(t.tokenizer.decode(std::span(sink->ids[0]).first(3), true)));
  // Held back until min_tokens.
  request.sampling.min_tokens = 6;
  const auto later = t.add(request);
  t.run();
  EXPECT_GT((*later->end)->completion_tokens, 6);
}

TEST(EngineCore, EndTokensInThePromptStopNothing) {
  TestCore t;
  EngineRequest request = greedy({PieceTokenizer::kEos, 5, PieceTokenizer::kEos}, 3);
  request.sampling.ignore_eos = false;
  request.sampling.min_tokens = 3;
  const auto sink = t.add(request);
  t.run();
  EXPECT_EQ((*sink->end)->completion_tokens, 3);
}

TEST(EngineCore, StopStringsAcrossTokensNeverLeak) {
  TestCore t;
  EngineRequest request = greedy(iota_tokens(7), 40);
  const auto free_run = t.add(request);
  t.run();
  const std::string whole = free_run->text[0];
  const std::string stop = whole.substr(whole.size() / 2, 3);
  request.sampling.stop = {"no such text", stop};
  const auto sink = t.add(request);
  t.run();
  EXPECT_EQ(sink->text[0], whole.substr(0, whole.find(stop)));
  EXPECT_EQ(sink->finish[0], api::FinishReason::kStop);
  EXPECT_EQ(sink->deltas.back().stop_match, stop);
  request.sampling.include_stop = true;
  const auto including = t.add(request);
  t.run();
  EXPECT_EQ(including->text[0], whole.substr(0, whole.find(stop) + stop.size()));
}

TEST(EngineCore, ThePromptAndAnswerShareTheContext) {
  TestCore t({.blocks = 64}, {.context_max = 20});
  const auto sink = t.add(greedy(iota_tokens(15), 0));
  t.run();
  EXPECT_EQ(sink->finish[0], api::FinishReason::kLength);
  EXPECT_EQ((*sink->end)->completion_tokens, 5);
  const auto clipped = t.add(greedy(iota_tokens(19), 100));
  t.run();
  EXPECT_EQ((*clipped->end)->completion_tokens, 1);
  EXPECT_FALSE(t.add(greedy(iota_tokens(20), 1)));
  EXPECT_EQ(t.refusal.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(t.refusal.reason, "context_length_exceeded");
  EXPECT_EQ(t.refusal.param, "prompt");
  EXPECT_THAT(t.refusal.message,
              HasSubstr("This model's maximum context length is 20 tokens. However, your prompt has 20 tokens."));
  EngineRequest chat = greedy(iota_tokens(25), 1);
  chat.prompt_param = "messages";
  EXPECT_FALSE(t.add(chat));
  EXPECT_EQ(t.refusal.param, "messages");
  EXPECT_THAT(t.refusal.message,
              HasSubstr("your messages resulted in 25 tokens. Please reduce the length of the messages."));
}

TEST(EngineCore, ACacheSmallerThanTheContextLimitsAndSaysSo) {
  TestCore t({.blocks = 4}, {.block_tokens = 4, .context_max = 100});
  const auto sink = t.add(greedy(iota_tokens(10), 50));
  t.run();
  EXPECT_EQ((*sink->end)->completion_tokens, 6);
  EXPECT_EQ(sink->finish[0], api::FinishReason::kLength);
  EXPECT_FALSE(t.add(greedy(iota_tokens(16), 1)));
  EXPECT_EQ(t.refusal.reason, "context_length_exceeded");
  EXPECT_THAT(t.refusal.message, HasSubstr("key/value cache is too small"));
}

TEST(EngineCore, RefusesWhatCanNeverBeServed) {
  TestCore t;
  EXPECT_FALSE(t.add(greedy({}, 1)));
  EXPECT_FALSE(t.add(greedy({-1}, 1)));
  EXPECT_EQ(t.refusal.param, "prompt");
  EXPECT_FALSE(t.add(greedy({t.tokenizer.vocab_size()}, 1)));
  EngineRequest request = greedy({3}, 1);
  request.choices = 0;
  EXPECT_FALSE(t.add(request));
  EXPECT_EQ(t.refusal.param, "n");
  request.choices = 1;
  request.sampling.top_p = 7;
  EXPECT_FALSE(t.add(request));
  EXPECT_EQ(t.refusal.param, "top_p");
  EXPECT_FALSE(t.add(EngineEmbedRequest{.inputs = {}}));
  EXPECT_FALSE(t.add(EngineEmbedRequest{.inputs = {{3}, {}}}));
  EXPECT_EQ(t.refusal.param, "input");
}

TEST(EngineCore, ALogitBehindTheTokenizersVocabularyHasNoText) {
  TestCore t({}, {.vocab_size = 100});
  EngineRequest request = greedy(iota_tokens(4), 3);
  request.sampling.logit_bias = {{99, 100}};
  request.sampling.logprobs = 1;
  const auto sink = t.add(request);
  t.run();
  EXPECT_THAT(sink->ids[0], ElementsAre(99, 99, 99));
  EXPECT_EQ(sink->text[0], "");
  EXPECT_EQ(sink->deltas[0].logprobs.at(0).bytes, "");
}

TEST(EngineCore, PromptLogprobsAreTheModels) {
  TestCore t({.step_rows_max = 16, .sequences_max = 4, .prompt_score_rows = 3});
  const auto prompt = iota_tokens(20);
  t.add(greedy(prompt, 2));
  t.run();
  EngineRequest request = greedy(prompt, 2);
  request.sampling.prompt_logprobs = 2;
  const auto sink = t.add(request);
  t.run();
  EXPECT_EQ(sink->prompt->ids, prompt);
  EXPECT_EQ(sink->prompt->cached_tokens, 0);
  ASSERT_EQ(sink->prompt->logprobs.size(), 20u);
  EXPECT_TRUE(std::isnan(sink->prompt->logprobs[0].logprob));
  std::vector<float> logits(static_cast<size_t>(t.tokenizer.vocab_size()));
  for (size_t i = 1; i < prompt.size(); ++i) {
    t.model->fill_logits(std::span(prompt).first(i), logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    EXPECT_EQ(sink->prompt->logprobs[i].id, prompt[i]);
    EXPECT_EQ(sink->prompt->logprobs[i].bytes, t.tokenizer.token_bytes(prompt[i]));
    EXPECT_NEAR(sink->prompt->logprobs[i].logprob, double{logits[static_cast<size_t>(prompt[i])]} - std::log(sum),
                1e-5);
    ASSERT_EQ(sink->prompt->logprobs[i].top.size(), 2u);
    EXPECT_EQ(sink->prompt->logprobs[i].top[0].id, std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
}

TEST(EngineCore, EmbeddingsAreTheModelsHiddenStates) {
  TestCore t({.step_rows_max = 8, .sequences_max = 3});
  const std::vector<std::vector<TokenId>> inputs = {iota_tokens(20), iota_tokens(1), iota_tokens(20),
                                                    iota_tokens(9, 8)};
  for (const auto pooling : {api::Pooling::kMean, api::Pooling::kLast}) {
    for (const bool normalize : {true, false}) {
      const auto got = t.add(EngineEmbedRequest{.inputs = inputs, .pooling = pooling, .normalize = normalize});
      t.run();
      ASSERT_EQ(got->ends, 1);
      ASSERT_TRUE(got->answer->ok());
      EXPECT_EQ((**got->answer).usage.prompt_tokens, 50);
      for (size_t i = 0; i < inputs.size(); ++i) {
        std::vector<double> wanted(8);
        for (size_t n = pooling == api::Pooling::kMean ? 1 : inputs[i].size(); n <= inputs[i].size(); ++n) {
          const auto row = t.model->hidden_after(std::span(inputs[i]).first(n));
          for (size_t d = 0; d < 8; ++d) wanted[d] += double{row[d]};
        }
        double scale = pooling == api::Pooling::kMean ? 1.0 / static_cast<double>(inputs[i].size()) : 1;
        double squares = 0;
        for (const double x : wanted) squares += x * scale * x * scale;
        if (normalize) scale /= std::sqrt(squares);
        for (size_t d = 0; d < 8; ++d) EXPECT_NEAR((**got->answer).embeddings[i][d], wanted[d] * scale, 1e-6);
      }
    }
  }
}

TEST(EngineCore, BetterPriorityIsServedFirst) {
  TestCore t({.blocks = 64, .sequences_max = 1});
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  std::vector<int> order;
  for (const int priority : {5, 0, 5, -3}) {
    EngineRequest request = greedy(iota_tokens(3), 2);
    request.priority = priority;
    sinks.push_back(t.add(request));
  }
  std::vector<bool> seen(4);
  while (t.step()) {
    for (size_t i = 0; i < 4; ++i) {
      if (sinks[i]->ends > 0 && !seen[i]) {
        seen[i] = true;
        order.push_back(static_cast<int>(i));
      }
    }
  }
  EXPECT_THAT(order, ElementsAre(3, 1, 0, 2));
}

TEST(EngineCore, AnUrgentRequestPreemptsAndNothingIsLost) {
  TestCore t({.blocks = 64, .sequences_max = 1});
  const auto slow = t.add(greedy(iota_tokens(6), 10));
  for (int i = 0; i < 4; ++i) t.step();
  EngineRequest urgent = greedy(iota_tokens(6, 12), 3);
  urgent.priority = -1;
  const auto fast = t.add(urgent);
  while (fast->ends == 0) t.step();
  EXPECT_EQ(slow->deltas.size(), 4u);
  t.run();
  EXPECT_EQ(slow->ids[0], greedy_answer(*t.model, iota_tokens(6), 10));
  EXPECT_EQ(t.metric("vllm:num_preemptions_total"), 1);
  // Its blocks were remembered: only the one token that had no place was computed again.
  EXPECT_EQ(t.model->rows_run, 6 + 9 + 6 + 2);
}

TEST(EngineCore, CancellationFreesAtOnce) {
  TestCore t;
  EngineRequest request = greedy(iota_tokens(6), 50);
  request.id = 77;
  request.choices = 3;
  const auto sink = t.add(request);
  const auto other = t.add(greedy(iota_tokens(6, 10), 4));
  t.step();
  t.step();
  const size_t deltas = sink->deltas.size();
  t.core->cancel(77);
  EXPECT_EQ(sink->ends, 1);
  EXPECT_EQ(sink->end->error().code, ErrorCode::kCancelled);
  t.check();
  t.core->cancel(77);
  t.run();
  EXPECT_EQ(sink->deltas.size(), deltas);
  EXPECT_EQ(sink->ends, 1);
  EXPECT_TRUE(other->end->ok());
  EXPECT_EQ(t.core->cache().allocator().used(), 0);
}

TEST(EngineCore, DeadlinesHoldForRunningAndWaiting) {
  TestCore t({.blocks = 64, .sequences_max = 1});
  t.clock.advance_us(5000);
  EngineRequest request = greedy(iota_tokens(4), 200);
  request.deadline_us = t.clock.now_us() + 10500;
  const auto running = t.add(request), waiting = t.add(request);
  request.deadline_us = 0;
  request.sampling.max_tokens = 2;
  const auto patient = t.add(request);
  t.run();
  EXPECT_EQ(running->end->error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(running->deltas.size(), 11u);
  EXPECT_EQ(waiting->end->error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_FALSE(waiting->prompt);
  EXPECT_TRUE(patient->end->ok());
}

TEST(EngineCore, DamagedLogitsEndOneRequest) {
  ModelFaults faults;
  faults.nan_after = [](std::span<const TokenId> history) { return history.size() == 8 && history[0] == 3; };
  TestCore t({}, {}, faults);
  EngineRequest request = greedy(iota_tokens(6), 9);
  request.choices = 2;
  const auto bad = t.add(request), good = t.add(greedy(iota_tokens(6, 4), 9));
  t.run();
  EXPECT_EQ(bad->ends, 1);
  EXPECT_EQ(bad->end->error().code, ErrorCode::kInternal);
  EXPECT_TRUE(good->end->ok());
}

TEST(EngineCore, AFailedStepEndsWhatItComputed) {
  bool fail = false;
  ModelFaults faults;
  faults.fail_step = [&] { return fail; };
  log::configure(log::Level::kOff, log::Format::kText);
  TestCore t({.blocks = 64, .sequences_max = 1}, {}, faults);
  const auto first = t.add(greedy(iota_tokens(6), 9)), second = t.add(greedy(iota_tokens(6), 9));
  t.step();
  fail = true;
  t.step();
  fail = false;
  t.run();
  log::configure(log::Level::kInfo, log::Format::kText);
  EXPECT_EQ(first->end->error().message, "scripted failure");
  EXPECT_EQ(first->deltas.size(), 1u);
  ASSERT_TRUE(second->end->ok());
  EXPECT_EQ((*second->end)->cached_tokens, 5);
  EXPECT_EQ(second->ids[0], greedy_answer(*t.model, iota_tokens(6), 9));
}

TEST(EngineCore, StoppingEndsEverything) {
  std::shared_ptr<RecordingSink> sink;
  {
    TestCore t;
    sink = t.add(greedy(iota_tokens(6), 9));
    t.step();
  }
  EXPECT_EQ(sink->ends, 1);
  EXPECT_EQ(sink->end->error().code, ErrorCode::kUnavailable);
}

TEST(EngineCore, CountsWhatItDoes) {
  TestCore t;
  t.add(greedy(iota_tokens(10), 4));
  t.run();
  EngineRequest request = greedy(iota_tokens(10), 4);
  request.id = 5;
  t.add(request);
  t.step();
  EXPECT_EQ(t.metric("vllm:num_requests_running{model_name=\"hash\"}"), 1);
  EXPECT_NEAR(t.metric("vllm:kv_cache_usage_perc"), 3 / 64.0, 1e-9);
  t.core->cancel(5);
  EXPECT_EQ(t.metric("vllm:num_requests_running"), 0);
  EXPECT_EQ(t.metric("vllm:prompt_tokens_total"), 20);
  EXPECT_EQ(t.metric("vllm:generation_tokens_total"), 5);
  EXPECT_EQ(t.metric("vllm:prefix_cache_queries_total"), 20);
  EXPECT_EQ(t.metric("vllm:prefix_cache_hits_total"), 9);
  EXPECT_EQ(t.metric("vllm:request_success_total{model_name=\"hash\",finished_reason=\"length\"}"), 1);
  EXPECT_EQ(t.metric("vllm:request_success_total{model_name=\"hash\",finished_reason=\"abort\"}"), 1);
  EXPECT_EQ(t.metric("vllm:time_to_first_token_seconds_count"), 2);
  EXPECT_EQ(t.metric("vllm:inter_token_latency_seconds_count"), 3);
  EXPECT_NEAR(t.metric("vllm:inter_token_latency_seconds_sum"), 0.003, 1e-9);
  EXPECT_EQ(t.metric("vllm:e2e_request_latency_seconds_count"), 2);
  EXPECT_EQ(t.metric("vllm:iteration_tokens_total_sum"), 10 + 3 + 1);
}

}  // namespace
}  // namespace sluice::engine
