#pragma once
// Sends streamed completion requests to an OpenAI-compatible server and times every event of every answer. One thread.

#include <functional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "cli/settings.h"

namespace sluice::cli {

struct Load {
  std::string url;      // of the server, without /v1
  std::string model;    // "" for the first that /v1/models lists
  std::string api_key;  // sent as a bearer token; never printed
  int requests = 64;
  int streams = 16;  // requests under way at the same time (closed loop)
  double rate = 0;  // > 0: so many requests begin a second, at exponential gaps, however many are under way (open loop)
  int prompt_tokens = 256;  // of each prompt, sent as token ids
  int shared_tokens = 0;    // of them, from the front, the same in every prompt
  int max_tokens = 128;     // of each answer; ignore_eos is set
  uint64_t seed = 1;        // of prompts and gaps
};

struct AnswerTimes {
  double begin_s = 0;  // when it was sent, since the load began
  double ttft_s = 0;   // until the first chunk
  double total_s = 0;  // until the last event
  int prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  std::vector<double> gaps_s;  // between chunks
  std::string error;           // "" when it ended as it should

  // Time per output token after the first.
  double tpot_s() const { return completion_tokens > 1 ? (total_s - ttft_s) / (completion_tokens - 1) : 0; }
};

struct LoadOutcome {
  double seconds = 0;  // from the first request to the last event
  std::vector<AnswerTimes> answers;
};

// The knobs of `bench serve`; url is left empty. --shared-tokens, where it is not given, is `shared_share` of the
// prompt. kInvalidArgument names the flag.
Result<Load> load_from_settings(const Settings& settings, double shared_share = 0);

// kUnavailable when the server cannot be reached at all; failures of single requests are in their AnswerTimes.
// `progress(done, total)` now and then; kCancelled as soon as `cancelled` says so. Both may be empty.
Result<LoadOutcome> run_load(const Load& load, const std::function<void(int done, int total)>& progress,
                             const std::function<bool()>& cancelled);

// One short request of its own, for whatever is done for the first time is not what a server under load does.
Result<void> warm_up(const Load& load, const std::function<bool()>& cancelled);

// True from the first Ctrl-C on, which then no longer ends the process. The first call begins to listen; any thread.
bool interrupted();

// A line on a terminal's standard error that counts; nothing elsewhere.
std::function<void(int done, int total)> show_progress(std::string what);

struct ServiceObjective {
  double ttft_s = 0, tpot_s = 0;  // 0: no demand
};

// Percentiles of TTFT, TPOT, gaps (ITL) and whole answers, tokens and requests a second, and the goodput: requests a
// second that met the objective.
Json load_report(const LoadOutcome& outcome, const ServiceObjective& objective);
// The same for people.
std::string format_load_report(const Json& report);

}  // namespace sluice::cli
