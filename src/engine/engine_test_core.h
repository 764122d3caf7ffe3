#pragma once
// An EngineCore over a HashModel, stepped by hand. After every step it audits itself and poisons all free blocks and
// slots.

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "engine/engine_core.h"
#include "engine/engine_test_model.h"
#include "engine/engine_test_sink.h"

namespace sluice::engine {

struct TestShape {
  int block_tokens = 4;
  int context_max = 256;
  int vocab_size = 0;  // 0: the tokenizer's
  HashModel::Window window = {0, true};
};

inline EngineRequest greedy(std::vector<TokenId> prompt, int max_tokens) {
  EngineRequest request{.prompt = std::move(prompt)};
  request.sampling.temperature = 0;
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

struct TestCore {
  // `step_us`: the time a step of so many rows takes.
  explicit TestCore(EngineOptions options = {}, TestShape shape = {}, ModelFaults faults = {},
                    const std::function<int64_t(int rows)>& step_us = {}) {
    if (options.blocks == 0) options.blocks = 64;
    if (options.eos.empty()) options.eos = {PieceTokenizer::kEos};
    if (!options.random_seed) options.random_seed = 1;
    options.model_name = "hash";
    auto made_model =
        std::make_unique<HashModel>(shape.vocab_size > 0 ? shape.vocab_size : tokenizer.vocab_size(), shape.context_max,
                                    shape.block_tokens, std::move(faults), shape.window);
    model = made_model.get();
    if (step_us) model->on_step = [this, step_us](int rows) { clock.advance_us(step_us(rows)); };
    auto made = EngineCore::create(std::move(made_model), tokenizer, std::move(options), metrics, clock);
    SLUICE_CHECK(made.ok(), made.error().message);
    core = std::move(*made);
  }

  // The sink, or null when refused (then `refusal` says why).
  std::shared_ptr<RecordingSink> add(EngineRequest request) {
    auto sink = std::make_shared<RecordingSink>();
    if (request.id == 0) request.id = api::next_request_id();
    request.sink = sink;
    auto accepted = core->accept(std::move(request));
    if (!accepted.ok()) {
      refusal = accepted.error();
      return nullptr;
    }
    core->add(std::move(*accepted));
    return sink;
  }

  struct Embedding {
    int ends = 0;
    std::optional<Result<api::EmbedAnswer>> answer;
  };
  std::shared_ptr<Embedding> add(EngineEmbedRequest request) {
    auto embedding = std::make_shared<Embedding>();
    if (request.id == 0) request.id = api::next_request_id();
    request.done = [embedding](Result<api::EmbedAnswer> answer) {
      ++embedding->ends;
      embedding->answer.emplace(std::move(answer));
    };
    auto accepted = core->accept(std::move(request));
    if (!accepted.ok()) {
      refusal = accepted.error();
      return nullptr;
    }
    core->add(std::move(*accepted));
    return embedding;
  }

  bool step() {
    const bool worked = core->step();
    clock.advance_us(1000);
    check();
    return worked;
  }
  void run() {
    while (step()) {
    }
  }
  void check() {
    const Result<void> audit = core->audit();
    ASSERT_TRUE(audit.ok()) << audit.error().message;
    const BlockAllocator& allocator = core->cache().allocator();
    for (BlockId block = 0; block < allocator.capacity(); ++block) {
      if (allocator.is_free(block)) model->poison(block);
    }
    const WindowSlots& window = core->cache().window();
    for (SlotId slot = 0; slot < window.capacity(); ++slot) {
      if (window.is_free(slot)) model->poison_slot(slot);
    }
  }
  double metric(std::string_view line_start) const {
    const std::string text = metrics.render();
    const size_t at = text.find(std::string("\n") + std::string(line_start));
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(text.find(' ', at)));
  }

  PieceTokenizer tokenizer;
  MetricsRegistry metrics;
  ManualClock clock;
  Error refusal;
  HashModel* model = nullptr;
  std::unique_ptr<EngineCore> core;
};

inline std::vector<TokenId> iota_tokens(int count, TokenId first = 3) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(first + i % 20);
  return tokens;
}

}  // namespace sluice::engine
