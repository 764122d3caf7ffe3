#pragma once
// Samples the next tokens of a step's sequences, on the compute pool when they are worth several threads. A sample is a
// function of its own row alone (sampler.h), so the answers are those of one thread. Engine thread only.

#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "engine/sampler.h"

namespace sluice::engine {

struct SampleTask {
  std::span<float> logits;  // changed, as Sampler::sample does
  const SamplingSettings* settings = nullptr;
  const SeenTokens* seen = nullptr;
  Draw draw;
  std::optional<Result<Sample>> sample = {};  // the answer
};

class BatchSampler {
 public:
  // `pool` may be null: then one thread does it all. It must outlive this.
  BatchSampler(int vocab_size, ThreadPool* pool) : vocab_size_(vocab_size), pool_(pool) {
    samplers_.emplace_back(vocab_size);
  }

  void sample(std::span<SampleTask> tasks);
  // For what is not sampled in a batch.
  Sampler& single() { return samplers_.front(); }

 private:
  const int vocab_size_;
  ThreadPool* const pool_;
  std::vector<Sampler> samplers_;  // one a thread, made when first needed
};

}  // namespace sluice::engine
