#include "engine/batch_sampler.h"

namespace sluice::engine {
namespace {

// Below this many logits in all, one thread is done before another has heard of them.
constexpr size_t kSerialLogits = size_t{64} * 1024;

void run(Sampler& sampler, SampleTask& task) {
  task.sample.emplace(sampler.sample(task.logits, *task.settings, *task.seen, task.draw));
}

}  // namespace

void BatchSampler::sample(std::span<SampleTask> tasks) {
  const bool serial =
      pool_ == nullptr || tasks.size() < 2 || tasks.size() * static_cast<size_t>(vocab_size_) < kSerialLogits;
  if (serial) {
    for (SampleTask& task : tasks) run(samplers_.front(), task);
    return;
  }
  while (samplers_.size() < static_cast<size_t>(pool_->threads())) samplers_.emplace_back(vocab_size_);
  pool_->parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t task, int thread) {
    run(samplers_[static_cast<size_t>(thread)], tasks[static_cast<size_t>(task)]);
  });
}

}  // namespace sluice::engine
