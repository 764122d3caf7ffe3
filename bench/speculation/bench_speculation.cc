// Decoding with and without speculation, in one process: backends side by side, asked in turn, so that a busy machine
// slows all alike. Every round sends the same requests to each; answers must be equal.
//
//   bench_speculation MODEL PROMPTS.json [DRAFT_MODEL|-] [STREAMS,…] [ROUNDS] [TEMPERATURE] [MAX_TOKENS] [THREADS]
//
// PROMPTS.json holds {"examples": [{"prompt_token_ids": […]} or {"prompt": "text"}, …]}, as models/phone-demo has them.
// Printed: the median round's tokens per second; how many times as fast as off in the same round, by the clock and by
// processor time; and what became of the drafts.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "local/local_backend.h"

using namespace sluice;

namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double processor_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * time.tv_usec; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Counts the answers under way.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  void enter(int most) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return running < most; });
    ++running;
  }
  void leave() {
    const std::lock_guard lock(mutex);
    --running;
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return running == 0; });
  }
};

class Answer final : public api::GenerationSink {
 public:
  explicit Answer(Gate& gate) : gate_(gate) {}
  void on_prompt(api::PromptReport) override {}
  void on_delta(api::TokenDelta delta) override { ids.insert(ids.end(), delta.ids.begin(), delta.ids.end()); }
  void on_end(Result<api::Usage> result) override {
    if (!result.ok()) std::fprintf(stderr, "%s\n", result.error().message.c_str());
    gate_.leave();
  }
  std::vector<api::TokenId> ids;

 private:
  Gate& gate_;
};

struct Contestant {
  std::string name;
  MetricsRegistry metrics;
  std::unique_ptr<local::LocalBackend> backend;
  std::vector<double> rates, times, processor_times;
  double counter(std::string_view name_start) const {
    const std::string text = metrics.render();
    const size_t at = text.find(cat("\nvllm:spec_decode_num_", name_start, "_total"));
    return std::stod(text.substr(text.find(' ', at)));
  }
};

struct Round {
  double seconds, processor;
  std::vector<std::vector<api::TokenId>> answers;
  double tokens() const {
    double sum = 0;
    for (const auto& ids : answers) sum += static_cast<double>(ids.size());
    return sum;
  }
};

Round ask(local::LocalBackend& backend, const std::vector<api::Prompt>& prompts, api::SamplingParams sampling,
          int streams) {
  Gate gate;
  std::vector<std::shared_ptr<Answer>> answers;
  const double began = now_s(), processor = processor_s();
  for (const api::Prompt& prompt : prompts) {
    gate.enter(streams);
    sampling.seed = answers.size();
    answers.push_back(std::make_shared<Answer>(gate));
    const auto accepted =
        backend.generate({.id = api::next_request_id(), .prompt = prompt, .sampling = sampling}, answers.back());
    SLUICE_CHECK(accepted.ok(), accepted.error().message);
  }
  gate.wait();
  Round round = {now_s() - began, processor_s() - processor, {}};
  for (const auto& answer : answers) round.answers.push_back(answer->ids);
  return round;
}

void compare(std::vector<std::unique_ptr<Contestant>>& all, const std::vector<api::Prompt>& prompts,
             const api::SamplingParams& sampling, int streams, int rounds) {
  std::vector<std::pair<double, double>> before;
  for (const auto& one : all) {
    before.emplace_back(one->counter("draft_tokens"), one->counter("accepted_tokens"));
    one->rates.clear(), one->times.clear(), one->processor_times.clear();
  }
  for (int number = 0; number <= rounds; ++number) {
    std::vector<Round> outcome(all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t turn = (i + static_cast<size_t>(number)) % all.size();
      outcome[turn] = ask(*all[turn]->backend, prompts, sampling, streams);
    }
    for (size_t i = 0; i < all.size(); ++i) {
      SLUICE_CHECK(outcome[i].answers == outcome[0].answers, cat(all[i]->name, " gave other answers"));
      if (number == 0) continue;  // it fills the prefix index
      all[i]->rates.push_back(outcome[i].tokens() / outcome[i].seconds);
      all[i]->times.push_back(outcome[0].seconds / outcome[i].seconds);
      all[i]->processor_times.push_back(outcome[0].processor / outcome[i].processor);
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const double drafted = all[i]->counter("draft_tokens") - before[i].first,
                 accepted = all[i]->counter("accepted_tokens") - before[i].second;
    std::printf("| %d | %s | %.0f | %.2f | %.2f (%.2f–%.2f) | %.0f | %.0f %% |\n", streams, all[i]->name.c_str(),
                median(all[i]->rates), median(all[i]->times), median(all[i]->processor_times),
                std::ranges::min(all[i]->processor_times), std::ranges::max(all[i]->processor_times), drafted,
                drafted > 0 ? 100 * accepted / drafted : 0);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** words) {
  const auto word = [&](int i, const char* fallback) { return std::string(i < count ? words[i] : fallback); };
  const std::string model = word(1, ""), draft = word(3, "-");
  const Json file = parse_json(read_file(word(2, "")).value()).value();
  std::vector<api::Prompt> prompts;
  for (const Json& example : file["examples"]) {
    if (example.contains("prompt_token_ids")) {
      prompts.emplace_back(api::TokenPrompt{example["prompt_token_ids"].get<std::vector<api::TokenId>>()});
    } else {
      prompts.emplace_back(api::TextPrompt{example["prompt"].get<std::string>()});
    }
  }
  using Kind = local::SpeculationOptions::Kind;
  std::vector<std::unique_ptr<Contestant>> all;
  for (const Kind kind : {Kind::kOff, Kind::kNgram, Kind::kModel}) {
    if (kind == Kind::kModel && draft == "-") continue;
    all.push_back(std::make_unique<Contestant>());
    all.back()->name = kind == Kind::kOff ? "off" : kind == Kind::kNgram ? "ngram" : "draft";
    local::LocalOptions options = {.model_path = model, .memory = {.limit = size_t{2} << 30, .sequences_max = 16}};
    options.threads.threads = std::stoi(word(8, "1"));
    options.speculation = {.kind = kind, .draft_model = draft};
    auto backend = local::LocalBackend::load(options, all.back()->metrics);
    SLUICE_CHECK(backend.ok(), backend.error().message);
    all.back()->backend = std::move(*backend);
  }
  const api::SamplingParams sampling = {.temperature = std::stod(word(6, "0")),
                                        .max_tokens = std::stoi(word(7, "200"))};
  std::puts("| streams | speculation | tokens/s | times off, clock | processor (least–most) | drafted | right |");
  std::puts("|---|---|---|---|---|---|---|");
  for (const std::string& streams : split(word(4, "1,4,16"), ','))
    compare(all, prompts, sampling, std::stoi(streams), std::stoi(word(5, "5")));
}
