// Known answers, a float64 reference for the distribution, and draws counted against it.
#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

namespace sluice::engine {
namespace {

using testing::ElementsAre;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

SamplingSettings greedy() {
  SamplingSettings settings;
  settings.temperature = 0;
  return settings;
}

TokenId choose(std::vector<float> logits, const SamplingSettings& settings, const SeenTokens& seen = {},
               Draw draw = {}) {
  Sampler sampler(static_cast<int>(logits.size()));
  const auto sample = sampler.sample(logits, settings, seen, draw);
  EXPECT_TRUE(sample.ok());
  return sample.ok() ? sample->id : -1;
}

// The whole distribution in float64 by sorting, straight from the definition in sampler.h.
std::vector<double> reference(const std::vector<float>& logits, const SamplingSettings& settings) {
  const size_t n = logits.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::pair(-logits[a], a) < std::pair(-logits[b], b); });
  std::vector<double> p(n);
  const auto normalise = [&] {
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& x : p) x /= sum;
  };
  for (size_t i = 0; i < n; ++i)
    p[i] = std::exp((double{logits[i]} - double{logits[order[0]]}) / double{settings.temperature});
  normalise();
  if (settings.top_k > 0) {
    for (size_t rank = static_cast<size_t>(settings.top_k); rank < n; ++rank) p[order[rank]] = 0;
    normalise();
  }
  if (settings.top_p < 1) {
    double before = 0;
    for (size_t rank = 0; rank < n; ++rank) {
      const double mass = p[order[rank]];
      if (rank > 0 && before >= settings.top_p) p[order[rank]] = 0;
      before += mass;
    }
    normalise();
  }
  const double best = *std::max_element(p.begin(), p.end());
  for (double& x : p) {
    if (x < double{settings.min_p} * best) x = 0;
  }
  normalise();
  return p;
}

std::vector<double> frequencies(const std::vector<float>& logits, const SamplingSettings& settings, int draws) {
  Sampler sampler(static_cast<int>(logits.size()));
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i) {
    std::vector<float> row = logits;
    ++counts[static_cast<size_t>(
        sampler.sample(row, settings, {}, {.seed = 11, .index = static_cast<uint64_t>(i)})->id)];
  }
  return counts;
}

// Pearson's statistic over the tokens the reference allows; a token it excludes must never be drawn.
void expect_distribution(const std::vector<float>& logits, const SamplingSettings& settings) {
  constexpr int kDraws = 20000;
  const std::vector<double> wanted = reference(logits, settings), got = frequencies(logits, settings, kDraws);
  double statistic = 0, rest_wanted = 0, rest_got = 0;
  int cells = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0) {
      EXPECT_EQ(got[i], 0) << "token " << i;
    } else if (wanted[i] * kDraws < 5) {
      rest_wanted += wanted[i] * kDraws;
      rest_got += got[i];
    } else {
      statistic += std::pow(got[i] - wanted[i] * kDraws, 2) / (wanted[i] * kDraws);
      ++cells;
    }
  }
  if (rest_wanted >= 5) {
    statistic += std::pow(rest_got - rest_wanted, 2) / rest_wanted;
    ++cells;
  }
  const double freedom = cells - 1;
  // Wilson and Hilferty: about 4.5 standard deviations, fixed seeds.
  const double bound =
      freedom < 1 ? 1e-9 : freedom * std::pow(1 - 2 / (9 * freedom) + 4.5 * std::sqrt(2 / (9 * freedom)), 3);
  EXPECT_LE(statistic, bound) << cells << " cells";
}

std::vector<float> random_logits(int count, uint64_t seed, float spread) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(static_cast<size_t>(count));
  for (float& logit : logits) logit = normal(random);
  return logits;
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  EXPECT_EQ(choose({1, 3, 3, 2}, greedy()), 1);
  EXPECT_EQ(choose({-kInfinity, -5, -kInfinity}, greedy()), 1);
  std::vector<float> many(1000, 0.5f);
  many[777] = many[500] = 0.75f;
  EXPECT_EQ(choose(many, greedy()), 500);
}

TEST(Sampler, LogitBiasAddsAndBans) {
  SamplingSettings settings = greedy();
  settings.logit_bias = {{2, 100}};
  EXPECT_EQ(choose({5, 3, -20, 2}, settings), 2);
  settings.logit_bias = {{0, -100}, {1, -100}};
  EXPECT_EQ(choose({5, 3, -20, 2}, settings), 3);
}

TEST(Sampler, FrequencyPenaltyCountsGeneratedTokensAlsoWhenGreedy) {
  SamplingSettings settings = greedy();
  settings.frequency_penalty = 0.5f;
  SeenTokens seen;
  seen.add_prompt(std::vector<TokenId>{0, 0, 0, 0, 0, 0});  // the prompt does not count
  EXPECT_EQ(choose({2, 1.2f}, settings, seen), 0);
  seen.add_generated(0);
  EXPECT_EQ(choose({2, 1.2f}, settings, seen), 0);  // 1.5
  seen.add_generated(0);
  EXPECT_EQ(choose({2, 1.2f}, settings, seen), 1);  // 1.0
}

TEST(Sampler, PresencePenaltyCountsOnce) {
  SamplingSettings settings = greedy();
  settings.presence_penalty = 0.5f;
  SeenTokens seen;
  for (int i = 0; i < 5; ++i) seen.add_generated(0);
  EXPECT_EQ(choose({2, 1.4f}, settings, seen), 0);  // 1.5
  EXPECT_EQ(choose({2, 1.6f}, settings, seen), 1);
  settings.presence_penalty = -0.5f;
  EXPECT_EQ(choose({2, 2.4f}, settings, seen), 0);  // 2.5
}

TEST(Sampler, RepetitionPenaltyDividesOrMultipliesPromptAndAnswer) {
  SamplingSettings settings = greedy();
  settings.repetition_penalty = 2;
  SeenTokens seen;
  seen.add_prompt(std::vector<TokenId>{0});
  EXPECT_EQ(choose({2, 1.1f, -1}, settings, seen), 1);  // 2 → 1
  EXPECT_EQ(choose({2, 0.9f, -1}, settings, seen), 0);
  EXPECT_EQ(choose({-1, -1.9f, -3}, settings, seen), 1);  // −1 → −2
  seen.add_generated(1);
  EXPECT_EQ(choose({-1, -1.9f, -3}, settings, seen), 0);  // −2, −3.8, −3
}

TEST(Sampler, PenaltiesComeInVllmsOrder) {
  SamplingSettings settings = greedy();
  settings.logit_bias = {{0, 2}};
  settings.repetition_penalty = 2;
  settings.frequency_penalty = 1;
  SeenTokens seen;
  seen.add_generated(0);
  // (1 + 2) / 2 − 1 = 0.5; any other order gives 1, 1.5 or more.
  EXPECT_EQ(choose({1, 0.6f}, settings, seen), 1);
  EXPECT_EQ(choose({1, 0.4f}, settings, seen), 0);
}

TEST(Sampler, MinTokensBansEndTokensUntilThen) {
  SamplingSettings settings = greedy();
  settings.end_ids = {1, 7, 100000};  // one behind the vocabulary
  settings.min_tokens = 3;
  const std::vector<float> logits = {1, 9, 2, 3, 0, 0, 0, 8};
  EXPECT_EQ(choose(logits, settings, {}, {.index = 2}), 3);
  EXPECT_EQ(choose(logits, settings, {}, {.index = 3}), 1);
}

TEST(Sampler, TopPKeepsTheTokenThatReachesIt) {
  SamplingSettings settings;
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  const std::vector<std::pair<double, size_t>> kept = {{0, 1},    {0.1, 1},  {0.49, 1}, {0.51, 2}, {0.79, 2},
                                                       {0.81, 3}, {0.94, 3}, {0.96, 4}, {1, 4}};
  for (const auto& [top_p, count] : kept) {
    settings.top_p = top_p;
    const std::vector<double> got = frequencies(logits, settings, 2000);
    EXPECT_EQ(static_cast<size_t>(std::count_if(got.begin(), got.end(), [](double n) { return n > 0; })), count)
        << top_p;
  }
  // Exact at the edge: half the mass is reached by half of the tokens.
  settings.top_p = 0.5;
  const std::vector<double> equal = frequencies({0, 0, 0, 0}, settings, 2000);
  EXPECT_GT(equal[0], 0);
  EXPECT_GT(equal[1], 0);
  EXPECT_EQ(equal[2] + equal[3], 0);
}

TEST(Sampler, TopKKeepsExactlySoMany) {
  SamplingSettings settings;
  settings.top_k = 3;
  const std::vector<double> got = frequencies({1, 1, 1, 1, 1, -9}, settings, 2000);
  EXPECT_GT(std::min({got[0], got[1], got[2]}), 0);
  EXPECT_EQ(got[3] + got[4] + got[5], 0);
  settings.top_k = 1;
  EXPECT_EQ(choose({0, 3, 3}, settings), 1);
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  SamplingSettings settings;
  settings.min_p = 0.25f;
  const std::vector<double> got =
      frequencies({std::log(0.5f), std::log(0.2f), std::log(0.12f), std::log(0.18f)}, settings, 4000);
  EXPECT_GT(std::min({got[0], got[1], got[3]}), 0);
  EXPECT_EQ(got[2], 0);
  settings.min_p = 1;
  EXPECT_EQ(frequencies({1, 0.5f, 1}, settings, 500)[1], 0);
}

TEST(Sampler, DrawsFromTheReferenceDistribution) {
  struct Case {
    int vocab;
    float spread, temperature;
    double top_p;
    int top_k;
    float min_p;
  };
  const std::vector<Case> cases = {
      {50, 2, 1, 1, 0, 0},         {50, 2, 0.5f, 1, 0, 0},
      {50, 2, 1.7f, 1, 0, 0},      {5000, 3, 1, 1, 0, 0},
      {5000, 3, 1, 0.9, 0, 0},     {5000, 0.1f, 1, 0.3, 0, 0},
      {3000, 3, 1, 1, 40, 0},      {3000, 3, 1.3f, 0.8, 40, 0},
      {3000, 3, 1, 1, 0, 0.05f},   {3000, 3, 0.8f, 0.95, 100, 0.02f},
      {1025, 3, 1, 0.99, 2000, 0}, {17, 1, 1, 0.7, 0, 0},
      {1, 1, 1, 0.5, 3, 0.1f},
  };
  uint64_t seed = 0;
  for (const Case& one : cases) {
    SamplingSettings settings;
    settings.temperature = one.temperature;
    settings.top_p = one.top_p;
    settings.top_k = one.top_k;
    settings.min_p = one.min_p;
    SCOPED_TRACE(testing::Message() << "case " << seed);
    expect_distribution(random_logits(one.vocab, seed++, one.spread), settings);
  }
}

TEST(Sampler, TheDrawsNumbersAloneDecide) {
  const std::vector<float> logits = random_logits(500, 3, 1);
  SamplingSettings settings;
  settings.top_p = 0.9;
  Sampler used(500);
  std::vector<float> other = random_logits(500, 4, 1);
  std::ignore = used.sample(other, settings, {}, {.seed = 9});
  const Draw draw{.seed = 5, .index = 17, .choice = 2};
  std::vector<float> row = logits;
  EXPECT_EQ(used.sample(row, settings, {}, draw)->id, choose(logits, settings, {}, draw));
  std::map<TokenId, int> by_index, by_choice, by_seed;
  for (uint64_t i = 0; i < 50; ++i) {
    ++by_index[choose(logits, settings, {}, {.seed = 5, .index = i})];
    ++by_choice[choose(logits, settings, {}, {.seed = 5, .choice = i})];
    ++by_seed[choose(logits, settings, {}, {.seed = i})];
  }
  EXPECT_GT(by_index.size(), 20u);
  EXPECT_GT(by_choice.size(), 20u);
  EXPECT_GT(by_seed.size(), 20u);
}

TEST(Sampler, LogprobsAreOfTheRawDistribution) {
  for (const int vocab : {3, 1000, 70001}) {
    const std::vector<float> logits = random_logits(vocab, 8, 4);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    std::vector<size_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return std::pair(-logits[a], a) < std::pair(-logits[b], b); });

    SamplingSettings settings;
    settings.temperature = 0.7f;
    settings.logprobs = 20;
    settings.logit_bias = {{1, 50}};  // it is chosen, but its score is the raw one
    Sampler sampler(vocab);
    std::vector<float> row = logits;
    SeenTokens seen;
    seen.add_generated(1);
    settings.presence_penalty = 1;
    const auto sample = sampler.sample(row, settings, seen, {});
    ASSERT_TRUE(sample.ok());
    EXPECT_EQ(sample->id, 1);
    EXPECT_NEAR(sample->logprob, double{logits[1]} - std::log(sum), 1e-5);
    ASSERT_EQ(sample->top.size(), std::min<size_t>(20, logits.size()));
    for (size_t i = 0; i < sample->top.size(); ++i) {
      EXPECT_EQ(sample->top[i].id, static_cast<TokenId>(order[i]));
      EXPECT_NEAR(sample->top[i].logprob, double{logits[order[i]]} - std::log(sum), 1e-5);
    }
    const auto score = sampler.score(logits, 2, 3);
    EXPECT_NEAR(score->logprob, double{logits[2]} - std::log(sum), 1e-5);
    EXPECT_EQ(score->top.size(), 3u);
  }
}

TEST(Sampler, LogprobsDoNotChangeTheChoice) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> logits = random_logits(300, seed, 2);
    SamplingSettings settings;
    settings.top_p = seed % 2 == 0 ? 1 : 0.8;
    settings.top_k = seed % 3 == 0 ? 7 : 0;
    const TokenId plain = choose(logits, settings, {}, {.seed = seed});
    settings.logprobs = 5;
    EXPECT_EQ(choose(logits, settings, {}, {.seed = seed}), plain);
  }
}

TEST(Sampler, DamagedLogitsAreAnErrorNotACrash) {
  Sampler sampler(40);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (const size_t at : {size_t{0}, size_t{20}, size_t{39}}) {
      std::vector<float> logits(40, 1.0f);
      logits[at] = bad;
      for (const float temperature : {0.0f, 1.0f}) {
        SamplingSettings settings;
        settings.temperature = temperature;
        const auto sample = sampler.sample(logits, settings, {}, {});
        ASSERT_FALSE(sample.ok());
        EXPECT_EQ(sample.error().code, ErrorCode::kInternal);
      }
      EXPECT_FALSE(sampler.score(logits, 1, 2).ok());
    }
  }
  std::vector<float> none(40, -kInfinity);
  EXPECT_EQ(sampler.sample(none, {}, {}, {}).error().code, ErrorCode::kInvalidArgument);  // the settings' doing
}

TEST(Sampler, ExtremeTemperaturesStayFinite) {
  const std::vector<float> logits = {-3e38f, 3e38f, 0};
  for (const float temperature : {1e-5f, 1.0f, 1000.0f}) {
    SamplingSettings settings;
    settings.temperature = temperature;
    settings.top_p = 0.9;
    EXPECT_EQ(choose(logits, settings), 1);
  }
}

TEST(Settings, RequestThenModelThenOpenAI) {
  api::SamplingParams params, defaults;
  defaults.temperature = 0.6;
  defaults.top_k = 50;
  params.temperature = 0.2;
  const auto settings = resolve_sampling(params, defaults, std::vector<TokenId>{5, 3}, 100);
  ASSERT_TRUE(settings.ok());
  EXPECT_FLOAT_EQ(settings->temperature, 0.2f);
  EXPECT_EQ(settings->top_k, 50);
  EXPECT_EQ(settings->top_p, 1);
  EXPECT_EQ(settings->repetition_penalty, 1);
  EXPECT_THAT(settings->end_ids, ElementsAre(3, 5));
  EXPECT_TRUE(settings->ends(5));
  EXPECT_FALSE(settings->ends(4));
}

TEST(Settings, TheModelsLengthOfAnswersIsADefault) {
  const api::SamplingParams usual{.max_tokens = 40};
  const auto tokens = [&](const api::SamplingParams& asked) {
    return resolve_sampling(asked, usual, {}, 100)->max_tokens;
  };
  EXPECT_EQ(tokens({}), 40);
  EXPECT_EQ(tokens({.max_tokens = 90}), 90);
  EXPECT_EQ(tokens({.min_tokens = 60}), 60);
  EXPECT_EQ(resolve_sampling({}, {}, {}, 100)->max_tokens, 0);
}

TEST(Settings, EndTokens) {
  api::SamplingParams params;
  params.stop_token_ids = {9, 3};
  EXPECT_THAT(resolve_sampling(params, {}, std::vector<TokenId>{5, 3}, 100)->end_ids, ElementsAre(3, 5, 9));
  params.ignore_eos = true;
  EXPECT_THAT(resolve_sampling(params, {}, std::vector<TokenId>{5}, 100)->end_ids, ElementsAre(3, 9));
}

TEST(Settings, NamesTheWrongParameter) {
  const auto param_of = [](const auto& change) {
    api::SamplingParams params;
    change(params);
    const auto settings = resolve_sampling(params, {}, {}, 100);
    return settings.ok() ? std::string("none") : settings.error().param;
  };
  const double nan = std::nan("");
  EXPECT_EQ(param_of([](auto& p) { p.temperature = -1; }), "temperature");
  EXPECT_EQ(param_of([&](auto& p) { p.temperature = nan; }), "temperature");
  EXPECT_EQ(param_of([](auto& p) { p.top_p = 1.1; }), "top_p");
  EXPECT_EQ(param_of([](auto& p) { p.min_p = -0.1; }), "min_p");
  EXPECT_EQ(param_of([](auto& p) { p.repetition_penalty = 0; }), "repetition_penalty");
  EXPECT_EQ(param_of([](auto& p) { p.frequency_penalty = 3; }), "frequency_penalty");
  EXPECT_EQ(param_of([&](auto& p) { p.presence_penalty = nan; }), "presence_penalty");
  EXPECT_EQ(param_of([](auto& p) { p.logit_bias = {{100, 1.0}}; }), "logit_bias");
  EXPECT_EQ(param_of([](auto& p) { p.logit_bias = {{-1, 1.0}}; }), "logit_bias");
  EXPECT_EQ(param_of([](auto& p) { p.logit_bias = {{1, 101.0}}; }), "logit_bias");
  EXPECT_EQ(param_of([](auto& p) { p.max_tokens = -1; }), "max_tokens");
  EXPECT_EQ(param_of([](auto& p) { p.max_tokens = 2, p.min_tokens = 3; }), "min_tokens");
  EXPECT_EQ(param_of([](auto& p) { p.stop = {"a", ""}; }), "stop");
  EXPECT_EQ(param_of([](auto& p) { p.stop = std::vector<std::string>(65, "x"); }), "stop");
  EXPECT_EQ(param_of([](auto& p) { p.stop = {std::string(5000, 'x')}; }), "stop");
  EXPECT_EQ(param_of([](auto& p) { p.logprobs = 21; }), "logprobs");
  EXPECT_EQ(param_of([](auto& p) { p.prompt_logprobs = -1; }), "prompt_logprobs");
  EXPECT_EQ(param_of([](auto& p) { p.top_k = -1; }), "none");
  EXPECT_EQ(param_of([](auto& p) { p.stop_token_ids = {1000000}; }), "none");
}

TEST(Settings, ATinyTemperatureIsGreedy) {
  api::SamplingParams params;
  params.temperature = 1e-300;
  EXPECT_TRUE(resolve_sampling(params, {}, {}, 100)->greedy());
}

}  // namespace
}  // namespace sluice::engine
