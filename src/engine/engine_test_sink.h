#pragma once
// A sink that keeps everything and checks the order of events.

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/generate.h"

namespace sluice::engine {

class RecordingSink final : public api::GenerationSink {
 public:
  void on_prompt(api::PromptReport report) override {
    EXPECT_FALSE(prompt) << "two prompt reports";
    EXPECT_TRUE(deltas.empty());
    EXPECT_EQ(ends, 0);
    prompt = std::move(report);
  }
  void on_delta(api::TokenDelta delta) override {
    EXPECT_TRUE(prompt) << "a delta before the prompt report";
    EXPECT_EQ(ends, 0) << "a delta after the end";
    EXPECT_FALSE(finish.contains(delta.choice)) << "a delta after the choice's last";
    if (delta.finish) finish[delta.choice] = *delta.finish;
    text[delta.choice] += delta.text;
    for (const api::TokenId id : delta.ids) ids[delta.choice].push_back(id);
    deltas.push_back(std::move(delta));
    if (on_delta_hook) on_delta_hook();
  }
  void on_end(Result<api::Usage> result) override {
    const std::lock_guard lock(mutex_);
    end.emplace(std::move(result));
    ++ends;
    ended_.notify_all();
  }

  // False when no end came within a minute.
  bool wait() {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, std::chrono::minutes(1), [&] { return ends > 0; });
  }

  std::function<void()> on_delta_hook;
  std::optional<api::PromptReport> prompt;
  std::vector<api::TokenDelta> deltas;
  std::map<int, std::string> text;               // by choice
  std::map<int, std::vector<api::TokenId>> ids;  // by choice
  std::map<int, api::FinishReason> finish;       // by choice
  std::optional<Result<api::Usage>> end;
  int ends = 0;

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
};

}  // namespace sluice::engine
