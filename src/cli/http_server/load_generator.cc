#include "cli/http_server/load_generator.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <memory>

#include "adapters/http/http_client.h"
#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"
#include "cli/bench.h"

namespace sluice::cli {
namespace {

using Time = std::chrono::steady_clock;
using adapters::HttpClient;
using adapters::HttpEnd;
using adapters::HttpHead;
using adapters::HttpReceiver;
using adapters::HttpRequest;

constexpr size_t kLineBytesMax = size_t{1} << 20;
constexpr size_t kErrorBytesMax = 4096;

// Ids that are ordinary text in every vocabulary: beyond special tokens and bytes, below the smallest vocabularies'
// end.
constexpr int kFirstId = 260, kIds = 240;

std::string prompt_ids(const Load& load, int number) {
  std::string ids = "[";
  for (int i = 0; i < load.prompt_tokens; ++i) {
    const auto stream = static_cast<uint64_t>(i < load.shared_tokens ? 0 : number + 1);
    const uint32_t draw = philox4x32(load.seed, stream, static_cast<uint64_t>(i))[0];
    ids += cat(i > 0 ? "," : "", kFirstId + static_cast<int>(draw % kIds));
  }
  return ids + "]";
}

// One streamed answer. Reads as little of each chunk as it can: the client shares the machine with what it measures.
class Answer final : public HttpReceiver {
 public:
  Answer(Time::time_point load_begin, AnswerTimes& times) : load_begin_(load_begin), times_(times) {
    times_.begin_s = now();
  }

  bool on_head(const HttpHead& head) override {
    status_ = head.status;
    return true;
  }

  bool on_body(std::string_view bytes) override {
    line_.append(bytes);
    if (status_ != 200) return line_.size() < kErrorBytesMax;
    size_t begin = 0;
    for (size_t end; (end = line_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      read_line(std::string_view(line_).substr(begin, end - begin));
    }
    line_.erase(0, begin);
    return line_.size() < kLineBytesMax;
  }

  void on_end(const HttpEnd& end) override {
    times_.total_s = now() - times_.begin_s;
    if (status_ != 200 && status_ != 0) {
      times_.error = cat("status ", status_, ": ", line_.substr(0, 300));
    } else if (end.kind != HttpEnd::Kind::kWhole) {
      times_.error = end.message;
    } else if (!done_) {
      times_.error = "the stream ended without [DONE]";
    } else if (chunks_ == 0) {
      times_.error = "the stream held no text";
    }
    if (times_.completion_tokens == 0) times_.completion_tokens = chunks_;  // a server without usage
    ended = true;
  }

  bool ended = false;

 private:
  double now() const { return std::chrono::duration<double>(Time::now() - load_begin_).count(); }

  void read_line(std::string_view line) {
    if (!line.starts_with("data:")) return;
    line = trim(line.substr(5));
    if (line == "[DONE]") {
      done_ = true;
      return;
    }
    if (line.find("\"usage\":{") != std::string_view::npos || line.find("\"usage\": {") != std::string_view::npos)
      read_usage(line);
    if (line.find("\"choices\":[]") != std::string_view::npos || line.find("\"choices\": []") != std::string_view::npos)
      return;
    const double at = now() - times_.begin_s;
    if (chunks_++ == 0) {
      times_.ttft_s = at;
    } else {
      times_.gaps_s.push_back(at - last_s_);
    }
    last_s_ = at;
  }

  void read_usage(std::string_view line) {
    const auto json = parse_json(line);
    if (!json.ok()) return;
    const Json* usage = json_find(*json, "usage");
    if (usage == nullptr || !usage->is_object()) return;
    const auto count = [](const Json& object, std::string_view key) {
      const auto value = json_int(object, key, 0);
      return value.ok() ? static_cast<int>(*value) : 0;
    };
    times_.prompt_tokens = count(*usage, "prompt_tokens");
    times_.completion_tokens = count(*usage, "completion_tokens");
    if (const Json* details = json_find(*usage, "prompt_tokens_details"); details != nullptr && details->is_object())
      times_.cached_tokens = count(*details, "cached_tokens");
  }

  const Time::time_point load_begin_;
  AnswerTimes& times_;
  int status_ = 0;
  std::string line_;
  int chunks_ = 0;
  double last_s_ = 0;
  bool done_ = false;
};

class LoadRun {
 public:
  LoadRun(const Load& load, HttpClient& client) : load_(load), client_(client) {
    outcome_.answers.resize(static_cast<size_t>(load.requests));
    answers_.resize(outcome_.answers.size());
    double at = 0;
    for (int i = 0; i < load.requests && load.rate > 0; ++i) {
      starts_.push_back(at);
      const double uniform = philox_uniform(load.seed, static_cast<uint64_t>(i), 7);
      at += -std::log(1 - uniform) / load.rate;
    }
  }

  Result<LoadOutcome> run(const std::function<void(int, int)>& progress, const std::function<bool()>& cancelled) {
    begin_ = Time::now();
    while (done_ < load_.requests) {
      if (cancelled && cancelled()) {
        client_.cancel_all();
        return Error{ErrorCode::kCancelled, "stopped", {}, {}};
      }
      start_due();
      SLUICE_RETURN_IF_ERROR(client_.poll(wait_ms()));
      collect();
      if (progress) progress(done_, load_.requests);
    }
    for (const AnswerTimes& answer : outcome_.answers)
      outcome_.seconds = std::max(outcome_.seconds, answer.begin_s + answer.total_s);
    return std::move(outcome_);
  }

 private:
  double now() const { return std::chrono::duration<double>(Time::now() - begin_).count(); }

  bool is_due() const {
    if (started_ == load_.requests) return false;
    return load_.rate > 0 ? starts_[static_cast<size_t>(started_)] <= now() : started_ - done_ < load_.streams;
  }

  void start_due() {
    while (is_due()) {
      const auto i = static_cast<size_t>(started_);
      HttpRequest request;
      request.url = cat(load_.url, "/v1/completions");
      request.headers = {"Content-Type: application/json", "Accept: text/event-stream"};
      if (!load_.api_key.empty()) request.secret_headers = {cat("Authorization: Bearer ", load_.api_key)};
      request.stall_timeout_ms = 0;  // a queued answer may be silent for long
      request.body =
          cat(R"({"model":)", dump_json(Json(load_.model)), R"(,"prompt":)", prompt_ids(load_, started_),
              R"(,"max_tokens":)", load_.max_tokens,
              R"(,"temperature":0,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}})");
      answers_[i] = std::make_unique<Answer>(begin_, outcome_.answers[i]);
      client_.start(request, *answers_[i]);
      running_.push_back(i);
      ++started_;
    }
  }

  int wait_ms() const {
    if (load_.rate <= 0 || started_ == load_.requests) return 100;
    const double left_s = starts_[static_cast<size_t>(started_)] - now();
    return std::clamp(static_cast<int>(left_s * 1000), 0, 100);
  }

  void collect() {
    std::erase_if(running_, [this](size_t i) {
      if (!answers_[i]->ended) return false;
      answers_[i].reset();
      ++done_;
      return true;
    });
  }

  const Load& load_;
  HttpClient& client_;
  Time::time_point begin_;
  std::vector<double> starts_;  // open loop: when each begins
  std::vector<std::unique_ptr<Answer>> answers_;
  std::vector<size_t> running_;
  int started_ = 0, done_ = 0;
  LoadOutcome outcome_;
};

Error unreachable(std::string message) { return {ErrorCode::kUnavailable, std::move(message), {}, {}}; }

// The model's name, which also proves that a server is there.
Result<std::string> first_model(HttpClient& client, const Load& load) {
  HttpRequest request;
  request.url = cat(load.url, "/v1/models");
  if (!load.api_key.empty()) request.secret_headers = {cat("Authorization: Bearer ", load.api_key)};
  SLUICE_TRY(const adapters::HttpAnswer answer,
             adapters::fetch(client, request, size_t{1} << 20, [] { return false; }));
  if (answer.end.kind != HttpEnd::Kind::kWhole)
    return unreachable(cat("no server answers at ", load.url, ": ", answer.end.message));
  if (answer.head.status != 200)
    return unreachable(cat(request.url, " answered ", answer.head.status, ": ", answer.body.substr(0, 300)));
  SLUICE_TRY(const Json json, parse_json(answer.body));
  const Json* list = json_find(json, "data");
  if (list == nullptr || !list->is_array() || list->empty()) return unreachable(cat(request.url, " lists no model"));
  return json_string(list->front(), "id", "");
}

Json distribution(const std::vector<double>& seconds) {
  return {{"p50", percentile(seconds, 0.5)},
          {"p90", percentile(seconds, 0.9)},
          {"p95", percentile(seconds, 0.95)},
          {"p99", percentile(seconds, 0.99)}};
}

}  // namespace

Result<Load> load_from_settings(const Settings& settings, double shared_share) {
  Load load;
  SLUICE_TRY(const std::vector<int> prompts, whole_numbers(settings.prompt_tokens, {256}, "prompt-tokens"));
  load.requests = static_cast<int>(settings.requests);
  load.streams = static_cast<int>(settings.streams);
  load.rate = settings.rate;
  load.prompt_tokens = prompts.front();
  load.shared_tokens = settings.shared_tokens >= 0 ? static_cast<int>(settings.shared_tokens)
                                                   : static_cast<int>(shared_share * load.prompt_tokens);
  load.max_tokens = static_cast<int>(settings.answer_tokens);
  load.seed = settings.seed < 0 ? 1 : static_cast<uint64_t>(settings.seed);
  if (!settings.api_key.empty()) load.api_key = settings.api_key.front();
  if (!settings.served_model_name.empty()) load.model = settings.served_model_name.front();
  if (load.shared_tokens > load.prompt_tokens)
    return invalid_argument("--shared-tokens cannot be more than --prompt-tokens", "shared-tokens");
  return load;
}

Result<void> warm_up(const Load& load, const std::function<bool()>& cancelled) {
  Load one = load;
  one.requests = one.streams = 1;
  one.rate = 0;
  one.max_tokens = 4;
  one.seed = load.seed + 1;
  one.shared_tokens = 0;
  const auto outcome = run_load(one, {}, cancelled);
  return outcome.ok() ? Result<void>() : outcome.error();
}

bool interrupted() {
  static std::atomic<bool> flag = false;
  static const bool listening = [] {
    struct sigaction action{};
    action.sa_handler = [](int) { flag = true; };
    action.sa_flags = SA_RESTART;
    return sigaction(SIGINT, &action, nullptr) == 0 && sigaction(SIGTERM, &action, nullptr) == 0;
  }();
  return listening && flag;
}

std::function<void(int, int)> show_progress(std::string what) {
  if (isatty(STDERR_FILENO) == 0) return {};
  return [what = std::move(what)](int done, int total) {
    std::fprintf(stderr, "\r%s: %d/%d\x1b[K%s", what.c_str(), done, total, done == total ? "\r\x1b[K" : "");
  };
}

Result<LoadOutcome> run_load(const Load& load, const std::function<void(int, int)>& progress,
                             const std::function<bool()>& cancelled) {
  SLUICE_TRY(const auto client, HttpClient::create("sluice-bench", ""));
  Load named = load;
  if (named.model.empty()) {
    SLUICE_TRY(named.model, first_model(*client, load));
  }
  return LoadRun(named, *client).run(progress, cancelled);
}

Json load_report(const LoadOutcome& outcome, const ServiceObjective& objective) {
  std::vector<double> ttft, tpot, gaps, total;
  int64_t prompt = 0, cached = 0, completion = 0;
  int failed = 0, good = 0;
  Json errors = Json::array();
  for (const AnswerTimes& answer : outcome.answers) {
    if (!answer.error.empty()) {
      ++failed;
      if (errors.size() < 3) errors.push_back(answer.error);
      continue;
    }
    ttft.push_back(answer.ttft_s);
    total.push_back(answer.total_s);
    if (answer.completion_tokens > 1) tpot.push_back(answer.tpot_s());
    gaps.insert(gaps.end(), answer.gaps_s.begin(), answer.gaps_s.end());
    prompt += answer.prompt_tokens;
    cached += answer.cached_tokens;
    completion += answer.completion_tokens;
    good += (objective.ttft_s <= 0 || answer.ttft_s <= objective.ttft_s) &&
            (objective.tpot_s <= 0 || answer.tpot_s() <= objective.tpot_s);
  }
  const double seconds = std::max(outcome.seconds, 1e-9);
  return {{"requests", outcome.answers.size()},
          {"failed", failed},
          {"errors", std::move(errors)},
          {"seconds", outcome.seconds},
          {"prompt_tokens", prompt},
          {"cached_tokens", cached},
          {"completion_tokens", completion},
          {"output_tokens_per_s", static_cast<double>(completion) / seconds},
          {"total_tokens_per_s", static_cast<double>(prompt + completion) / seconds},
          {"requests_per_s", static_cast<double>(ttft.size()) / seconds},
          {"goodput_requests_per_s", good / seconds},
          {"ttft_s", distribution(ttft)},
          {"tpot_s", distribution(tpot)},
          {"itl_s", distribution(gaps)},
          {"e2e_s", distribution(total)}};
}

std::string format_load_report(const Json& report) {
  std::string text;
  const auto line = [&](const char* format, auto... values) {
    char buffer[256];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  };
  const auto number = [&](const char* key) { return report[key].get<double>(); };
  line("%.0f requests in %.1f s, %.0f failed\n", number("requests"), number("seconds"), number("failed"));
  line("%.1f output tokens/s, %.1f with the prompts' (%.0f of %.0f prompt tokens came from the cache)\n",
       number("output_tokens_per_s"), number("total_tokens_per_s"), number("cached_tokens"), number("prompt_tokens"));
  line("%.2f requests/s, %.2f within the objective\n", number("requests_per_s"), number("goodput_requests_per_s"));
  line("%-22s %10s %10s %10s %10s\n", "milliseconds", "p50", "p90", "p95", "p99");
  for (const auto& [key, what] : {std::pair{"ttft_s", "first token (TTFT)"},
                                  {"tpot_s", "per token (TPOT)"},
                                  {"itl_s", "between chunks (ITL)"},
                                  {"e2e_s", "whole answer"}}) {
    const auto ms = [&, name = key](const char* p) { return 1000 * report[name][p].get<double>(); };
    line("%-22s %10.1f %10.1f %10.1f %10.1f\n", what, ms("p50"), ms("p90"), ms("p95"), ms("p99"));
  }
  for (const Json& error : report["errors"]) text += cat("failed: ", error.get<std::string>(), "\n");
  return text;
}

}  // namespace sluice::cli
