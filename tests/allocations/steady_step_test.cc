// A steady decode step takes no memory from the heap, but for what it hands to another thread: a token's delta. Every
// allocation of the process is counted, whichever way it is asked for, so this is a program of its own.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>

#include "base/clock.h"
#include "base/metrics.h"
#include "engine/engine_core.h"
#include "model/model_loader.h"
#include "model/synthetic_steps.h"

namespace {
std::atomic<bool> g_counting{false};
std::atomic<int64_t> g_allocations{0};
void count() {
  if (g_counting.load(std::memory_order_relaxed)) ++g_allocations;
}
}  // namespace

// The C library's functions under their other names. operator new calls malloc.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
void* calloc(size_t number, size_t bytes) {
  count();
  return __libc_calloc(number, bytes);
}
void* realloc(void* memory, size_t bytes) {
  count();
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
}

namespace sluice {
namespace {

template <class Work>
int64_t allocations_of(const Work& work) {
  g_allocations = 0;
  g_counting = true;
  work();
  g_counting = false;
  return g_allocations;
}

class NullSink final : public api::GenerationSink {
 public:
  void on_prompt(api::PromptReport) override {}
  void on_delta(api::TokenDelta delta) override { tokens += static_cast<int>(delta.ids.size()); }
  void on_end(Result<api::Usage>) override {}
  int tokens = 0;
};

// What a real tokenizer allocates for a token's text is its own affair: here the first fifteen tokens of a span are
// letters and the others nothing, so that no text is too long to be held in place.
class LetterTokenizer final : public text::Tokenizer {
 public:
  explicit LetterTokenizer(int vocab_size) : vocab_size_(vocab_size) {}
  std::vector<text::TokenId> encode(std::string_view, const text::EncodeOptions&) const override { return {}; }
  std::string decode(std::span<const text::TokenId> ids, bool) const override {
    return std::string(std::min<size_t>(ids.size(), 15), 'x');
  }
  int vocab_size() const override { return vocab_size_; }
  std::string_view token_text(text::TokenId) const override { return "x"; }
  std::string token_bytes(text::TokenId) const override { return "x"; }
  bool is_special(text::TokenId) const override { return false; }
  std::optional<text::TokenId> token_id(std::string_view) const override { return std::nullopt; }
  std::optional<text::TokenId> bos() const override { return std::nullopt; }
  std::optional<text::TokenId> eos() const override { return std::nullopt; }

 private:
  int vocab_size_;
};

class SteadyStep : public testing::TestWithParam<model::WeightQuantization> {
 protected:
  void SetUp() override {
    files_ = std::make_shared<const checkpoint::ModelFiles>(
        checkpoint::open_model(std::string(SLUICE_SOURCE_DIR) + "/models/phone-demo").value());
    model::LoadOptions options;
    options.weights.quantization = GetParam();
    if (GetParam() != model::WeightQuantization::kNone) options.weights.activations = model::Activations::kInt8;
    decoder_ = model::load_decoder(files_, model::describe_model(*files_).value(), options,
                                   *kernels::select_ops("").value(), pool_)
                   .value();
  }

  std::shared_ptr<const checkpoint::ModelFiles> files_;
  ThreadPool pool_{{.threads = 2}};
  std::unique_ptr<model::Decoder> decoder_;
};

TEST(Counting, CountsWhatIsAllocated) {
  EXPECT_EQ(allocations_of([] {}), 0);
  EXPECT_EQ(allocations_of([] { ::operator delete(::operator new(1000)); }), 1);
  EXPECT_EQ(allocations_of([] { Buffer(1000); }), 1);
}

TEST_P(SteadyStep, OfTheDecoderAllocatesNothing) {
  ASSERT_TRUE(decoder_->reserve(64, 64, 8).ok());
  model::SyntheticSteps steps(*decoder_, 128, 8);
  // Every kind of step twice: what a thread needs to work in, it keeps.
  const auto run = [&] {
    for (const auto& [sequences, rows] : {std::pair{1, 1}, {8, 1}, {1, 64}, {4, 16}}) {
      for (int i = 0; i < 4; ++i) ASSERT_TRUE(steps.step(sequences, rows, 16).ok());
    }
  };
  run();
  // On a busy machine a worker may come to a kind of step late, and only then take what it keeps: the least of several.
  int64_t least = allocations_of(run);
  for (int i = 0; i < 5 && least > 0; ++i) least = std::min(least, allocations_of(run));
  EXPECT_EQ(least, 0);
}

TEST_P(SteadyStep, OfTheEngineAllocatesItsDeltasAlone) {
  constexpr int kSequences = 4, kSteps = 12;  // within a block of 16 tokens
  const LetterTokenizer tokenizer(decoder_->traits().vocab_size);
  MetricsRegistry metrics;
  const ManualClock clock;
  auto core = engine::EngineCore::create(
                  std::move(decoder_), tokenizer,
                  {.blocks = 64, .step_rows_max = 64, .sequences_max = kSequences, .pool = &pool_}, metrics, clock)
                  .value();
  const auto sink = std::make_shared<NullSink>();
  for (int i = 0; i < kSequences; ++i) {
    engine::EngineRequest request{.id = api::next_request_id(), .prompt = {300, 301, 302, 303 + i}, .sink = sink};
    request.sampling.max_tokens = 200;
    request.sampling.ignore_eos = true;
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 1.0f;
    core->add(core->accept(std::move(request)).value());
  }
  // After so many steps the next twelve lie within a block, and no list of tokens has to grow. The least of several, as
  // above.
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const int others : {46, 20, 4, 4}) {
    for (int step = 0; step < others; ++step) ASSERT_TRUE(core->step());
    const int before = sink->tokens;
    least = std::min(least, allocations_of([&] {
                       for (int step = 0; step < kSteps; ++step) core->step();
                     }));
    EXPECT_EQ(sink->tokens - before, kSequences * kSteps);
  }
  EXPECT_EQ(least, int64_t{kSequences} * kSteps) << "one for the ids of each delta";
}

INSTANTIATE_TEST_SUITE_P(Weights, SteadyStep,
                         testing::Values(model::WeightQuantization::kNone, model::WeightQuantization::kInt8),
                         [](const auto& param) {
                           return param.param == model::WeightQuantization::kNone ? "Stored" : "Packed";
                         });

}  // namespace
}  // namespace sluice
