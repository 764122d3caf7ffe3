// Whatever arrives, whenever, in however small a cache: every request is answered as if it had been alone.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/log.h"
#include "base/sanitized.h"
#include "engine/engine_test_core.h"
#include "engine/engine_test_proposer.h"

namespace sluice::engine {
namespace {

using Random = std::mt19937_64;

// How many of `all` worlds a test tries, and what they must have seen: a quarter in sanitized builds, which are ten
// times slower.
constexpr int64_t share(int64_t all) { return kSanitized ? all / 4 : all; }

int between(Random& random, int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }
bool chance(Random& random, double share) { return std::bernoulli_distribution(share)(random); }

struct World {
  EngineOptions options;
  TestShape shape;
  int longest() const { return std::min(shape.context_max, options.blocks * shape.block_tokens); }
};

World random_world(Random& random) {
  World world;
  world.shape.block_tokens = between(random, 1, 6);
  world.shape.context_max = between(random, 20, 80);
  world.options.blocks = between(random, 5, 40);
  world.options.sequences_max = between(random, 1, 6);
  world.options.step_rows_max = world.options.sequences_max + between(random, 0, 20);
  world.options.prompt_score_rows = between(random, 1, 8);
  world.options.prefix_index = chance(random, 0.85);
  return world;
}

// Layers with a window, alone or beside full ones, and hardly more slots than one sequence needs.
World with_windows(Random& random, World world) {
  world.shape.window = {between(random, 1, 30), chance(random, 0.6)};
  const model::CacheLayout layout = {.block_tokens = world.shape.block_tokens,
                                     .window_tokens = world.shape.window.tokens};
  // Without full layers blocks cost nothing.
  if (!world.shape.window.full_layers) world.options.blocks *= between(random, 1, 3);
  const int least = std::min(world.options.blocks, layout.window_blocks(world.options.step_rows_max));
  world.options.window_slots = between(random, least, std::max(least, world.options.blocks));
  return world;
}

EngineRequest random_request(Random& random, const World& world, const std::vector<std::vector<TokenId>>& pool) {
  EngineRequest request{.id = api::next_request_id()};
  // A beginning that others have too, then something of its own.
  const std::vector<TokenId>& text = pool[static_cast<size_t>(between(random, 0, static_cast<int>(pool.size()) - 1))];
  const int limit = std::min(static_cast<int>(text.size()), world.longest() - 1);
  request.prompt.assign(text.begin(), text.begin() + between(random, 1, limit));
  for (int i = between(random, 0, 6); i > 0 && static_cast<int>(request.prompt.size()) < world.longest() - 1; --i) {
    request.prompt.push_back(between(random, 0, 30));
  }
  request.choices = chance(random, 0.25) ? between(random, 2, 4) : 1;
  request.priority = between(random, -1, 1);
  request.cache_salt = chance(random, 0.3) ? "tenant" : "";
  api::SamplingParams& sampling = request.sampling;
  sampling.temperature = chance(random, 0.3) ? 0 : between(random, 1, 20) / 10.0;
  sampling.seed = random();
  if (chance(random, 0.3)) sampling.top_p = between(random, 1, 10) / 10.0;
  if (chance(random, 0.3)) sampling.top_k = between(random, 0, 40);
  if (chance(random, 0.2)) sampling.min_p = 0.1;
  if (chance(random, 0.3)) sampling.repetition_penalty = 1.3;
  if (chance(random, 0.3)) sampling.frequency_penalty = 0.7;
  if (chance(random, 0.3)) sampling.presence_penalty = -0.5;
  if (chance(random, 0.7)) sampling.max_tokens = between(random, 1, 30);
  if (chance(random, 0.2)) sampling.min_tokens = between(random, 0, sampling.max_tokens == 0 ? 9 : sampling.max_tokens);
  if (chance(random, 0.5)) sampling.stop = {"ab", "fa", "éa", "cc"};
  sampling.include_stop = chance(random, 0.2);
  sampling.ignore_eos = chance(random, 0.3);
  if (chance(random, 0.2)) sampling.stop_token_ids = {PieceTokenizer::kStopToken};
  if (chance(random, 0.3)) sampling.logprobs = between(random, 0, 5);
  if (chance(random, 0.15)) sampling.prompt_logprobs = between(random, 0, 3);
  return request;
}

// The same request with a cache to itself, and all the time it needs.
std::shared_ptr<RecordingSink> alone(EngineRequest request, const World& world) {
  request.deadline_us = 0;
  TestShape shape = world.shape;
  shape.context_max = world.longest();
  shape.block_tokens = 16;
  TestCore core({.blocks = 200, .step_rows_max = 512, .sequences_max = 8, .prefix_index = false}, shape);
  auto sink = core.add(std::move(request));
  SLUICE_CHECK(sink != nullptr);
  core.run();
  return sink;
}

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

void expect_same(const std::vector<api::TokenLogprob>& got, const std::vector<api::TokenLogprob>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].id, wanted[i].id);
    EXPECT_TRUE(same_bits(got[i].logprob, wanted[i].logprob) ||
                (std::isnan(got[i].logprob) && std::isnan(wanted[i].logprob)));
    ASSERT_EQ(got[i].top.size(), wanted[i].top.size());
    for (size_t j = 0; j < got[i].top.size(); ++j) {
      EXPECT_EQ(got[i].top[j].id, wanted[i].top[j].id);
      EXPECT_TRUE(same_bits(got[i].top[j].logprob, wanted[i].top[j].logprob));
    }
  }
}

std::map<int, std::vector<api::TokenLogprob>> logprobs_by_choice(const RecordingSink& sink) {
  std::map<int, std::vector<api::TokenLogprob>> result;
  for (const api::TokenDelta& delta : sink.deltas) {
    result[delta.choice].insert(result[delta.choice].end(), delta.logprobs.begin(), delta.logprobs.end());
  }
  return result;
}

// A request, what came of it, and what would have come had it been alone.
struct Told {
  EngineRequest request;
  std::shared_ptr<RecordingSink> sink;
  std::shared_ptr<RecordingSink> alone;
};

void expect_as_alone(const Told& told) {
  const auto& [request, sink, wanted] = told;
  const RecordingSink& got = *sink;
  EXPECT_EQ(got.ends, 1);
  ASSERT_TRUE(got.end.has_value());
  if (!got.end->ok()) {  // cut short: what came must be a beginning of the whole
    for (const auto& [choice, ids] : got.ids) {
      const std::vector<TokenId>& whole = wanted->ids[choice];
      ASSERT_LE(ids.size(), whole.size());
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), whole.begin()));
      EXPECT_TRUE(wanted->text[choice].starts_with(got.text.at(choice)));
    }
    return;
  }
  ASSERT_TRUE(got.prompt.has_value());
  EXPECT_EQ(got.ids, wanted->ids);
  EXPECT_EQ(got.text, wanted->text);
  EXPECT_EQ(got.finish, wanted->finish);
  EXPECT_EQ(static_cast<int>(got.finish.size()), request.choices);
  EXPECT_EQ((*got.end)->completion_tokens, (*wanted->end)->completion_tokens);
  EXPECT_EQ((*got.end)->prompt_tokens, static_cast<int64_t>(request.prompt.size()));
  expect_same(got.prompt->logprobs, wanted->prompt->logprobs);
  const auto got_scores = logprobs_by_choice(got);
  const auto wanted_scores = logprobs_by_choice(*wanted);
  for (const auto& [choice, scores] : wanted_scores) expect_same(got_scores.at(choice), scores);
}

// Nothing can be reused that no request of the same salt has had.
int64_t longest_known_beginning(const std::vector<Told>& all, size_t self) {
  const EngineRequest& request = all[self].request;
  size_t best = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (i == self || all[i].request.cache_salt != request.cache_salt) continue;
    std::map<int, std::vector<TokenId>> answers = all[i].sink->ids;
    answers.try_emplace(0);
    for (const auto& [choice, generated] : answers) {
      std::vector<TokenId> text = all[i].request.prompt;
      text.insert(text.end(), generated.begin(), generated.end());
      const size_t length = std::min(text.size(), request.prompt.size());
      const auto common =
          std::mismatch(text.begin(), text.begin() + static_cast<ptrdiff_t>(length), request.prompt.begin()).first -
          text.begin();
      best = std::max(best, static_cast<size_t>(common));
    }
  }
  return static_cast<int64_t>(best);
}

struct Story {
  int64_t preemptions = 0;
  int64_t cached = 0;
  int64_t failed = 0;
  int64_t drafted = 0;
  int64_t accepted = 0;

  void operator+=(const Story& other) {
    preemptions += other.preemptions;
    cached += other.cached;
    failed += other.failed;
    drafted += other.drafted;
    accepted += other.accepted;
  }
};

struct Twists {
  bool failures = false;
  bool windows = false;
  bool speculation = false;
};

// Sometimes right, for requests of which it knows the answers; in steps that take as long as their rows, or not.
std::shared_ptr<ReplayProposer> random_speculation(Random& random, World& world) {
  const auto proposer = std::make_shared<ReplayProposer>(between(random, 2, 10) / 10.0, random());
  world.options.proposer = proposer;
  world.options.draft_tokens_max = between(random, 1, 9);
  world.options.draft_rows = between(random, 1, 20);
  return proposer;
}

Story tell(uint64_t seed, Twists twists) {
  Random random(seed);
  World world = random_world(random);
  if (twists.windows) world = with_windows(random, world);
  ModelFaults faults;
  if (twists.failures) faults.fail_step = [&random] { return chance(random, 0.03); };
  const World plain = world;
  const auto proposer = twists.speculation ? random_speculation(random, world) : nullptr;
  TestCore core(world.options, world.shape, faults);

  std::vector<std::vector<TokenId>> pool(static_cast<size_t>(between(random, 1, 4)));
  for (auto& text : pool) {
    text.resize(static_cast<size_t>(world.longest()));
    for (TokenId& id : text) id = between(random, 0, 30);
  }
  if (pool.size() > 1) std::copy_n(pool[0].begin(), pool[0].size() / 2, pool[1].begin());

  std::vector<Told> all;
  std::vector<std::pair<EngineEmbedRequest, std::shared_ptr<TestCore::Embedding>>> embeddings;
  const int requests = between(random, 5, 40);
  while (static_cast<int>(all.size()) < requests || core.core->has_work()) {
    while (static_cast<int>(all.size()) < requests && chance(random, 0.4)) {
      EngineRequest request = random_request(random, world, pool);
      if (chance(random, 0.1)) request.deadline_us = core.clock.now_us() + between(random, 1, 60) * 1000;
      auto sink = core.add(request);
      EXPECT_TRUE(sink) << core.refusal.message;
      if (!sink) return {};
      all.push_back({request, sink, alone(request, plain)});
      for (const auto& [choice, ids] : all.back().alone->ids) {
        if (proposer == nullptr) continue;
        std::vector<TokenId> text = request.prompt;
        text.insert(text.end(), ids.begin(), ids.end());
        proposer->know(std::move(text));
      }
      if (chance(random, 0.1)) {
        EngineEmbedRequest embed{.inputs = {request.prompt, pool[0]},
                                 .pooling = chance(random, 0.5) ? api::Pooling::kMean : api::Pooling::kLast};
        embeddings.emplace_back(embed, core.add(embed));
      }
    }
    if (!all.empty() && chance(random, 0.05))
      core.core->cancel(all[static_cast<size_t>(between(random, 0, static_cast<int>(all.size()) - 1))].request.id);
    core.step();
    if (testing::Test::HasFatalFailure()) return {};
  }

  const auto counted = [&](std::string_view name) { return static_cast<int64_t>(core.metric(name)); };
  Story story{.preemptions = counted("vllm:num_preemptions_total"),
              .drafted = counted("vllm:spec_decode_num_draft_tokens_total"),
              .accepted = counted("vllm:spec_decode_num_accepted_tokens_total")};
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(cat("request ", i, " with a prompt of ", all[i].request.prompt.size()));
    expect_as_alone(all[i]);
    if (!all[i].sink->end->ok()) {
      ++story.failed;
      continue;
    }
    const int64_t cached = (*all[i].sink->end)->cached_tokens;
    story.cached += cached;
    EXPECT_LT(cached, static_cast<int64_t>(all[i].request.prompt.size()));
    if (all[i].request.sampling.prompt_logprobs || !world.options.prefix_index) {
      EXPECT_EQ(cached, 0);
    } else if (embeddings.empty()) {
      EXPECT_LE(cached, longest_known_beginning(all, i));
    }
  }
  for (const auto& [request, embedding] : embeddings) {
    EXPECT_EQ(embedding->ends, 1);
    if (!embedding->answer->ok()) continue;
    TestCore fresh({.blocks = 200, .step_rows_max = 512},
                   {.block_tokens = 16, .context_max = world.longest(), .window = world.shape.window});
    const auto wanted = fresh.add(request);
    fresh.run();
    EXPECT_EQ((**embedding->answer).embeddings, (**wanted->answer).embeddings);
  }
  EXPECT_EQ(core.core->cache().allocator().used(), 0);
  EXPECT_EQ(core.core->cache().window().used(), 0);
  return story;
}

TEST(EngineProperty, EveryRequestIsAnsweredAsIfAlone) {
  Story sum;
  for (int64_t seed = 0; seed < share(600); ++seed) {
    SCOPED_TRACE(cat("seed ", seed));
    sum += tell(seed, {});
    if (HasFailure()) break;
  }
  // The stories must have been hard enough.
  EXPECT_GT(sum.preemptions, share(1000));
  EXPECT_GT(sum.cached, share(50000));
  EXPECT_GT(sum.failed, share(500));
}

TEST(EngineProperty, WithWindowsToo) {
  Story sum;
  for (int64_t seed = 2000; seed < 2000 + share(800); ++seed) {
    SCOPED_TRACE(cat("seed ", seed));
    sum += tell(seed, {.windows = true});
    if (HasFailure()) break;
  }
  EXPECT_GT(sum.preemptions, share(1000));
  EXPECT_GT(sum.cached, share(50000));
  EXPECT_GT(sum.failed, share(500));
}

TEST(EngineProperty, WithSpeculationToo) {
  Story sum;
  for (int64_t seed = 4000; seed < 4000 + share(800); ++seed) {
    SCOPED_TRACE(cat("seed ", seed));
    sum += tell(seed, {.windows = seed % 2 == 0, .speculation = true});
    if (HasFailure()) break;
  }
  EXPECT_GT(sum.preemptions, share(1000));
  EXPECT_GT(sum.cached, share(50000));
  EXPECT_GT(sum.failed, share(500));
  EXPECT_GT(sum.accepted, share(20000));
  EXPECT_GT(sum.drafted, sum.accepted + share(20000));
}

TEST(EngineProperty, AFailedStepEndsItsOwnRequestsOnly) {
  log::configure(log::Level::kOff, log::Format::kText);
  for (int64_t seed = 1000; seed < 1000 + share(100); ++seed) {
    SCOPED_TRACE(cat("seed ", seed));
    tell(seed, {.failures = true, .windows = seed % 2 == 0, .speculation = seed % 3 == 0});
    if (HasFailure()) break;
  }
  log::configure(log::Level::kInfo, log::Format::kText);
}

}  // namespace
}  // namespace sluice::engine
