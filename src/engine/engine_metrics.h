#pragma once
// The engine's metrics, under the names vLLM gives them, so that dashboards and routers made for it read ours.
// Recorded on the engine thread.

#include <string_view>

#include "api/generate.h"
#include "base/metrics.h"
#include "base/result.h"

namespace sluice::engine {

class EngineMetrics {
 public:
  EngineMetrics(MetricsRegistry& registry, std::string_view model_name);

  // vllm:cache_config_info: what routers that look for shared prefixes have to know of the cache.
  static void describe_cache(MetricsRegistry& registry, std::string_view model_name, int block_tokens, int blocks,
                             bool prefix_index);
  void count_finish(api::FinishReason reason);
  void count_failure(ErrorCode code);  // "abort" for what the client or its deadline ended, else "error"

  Gauge& running;
  Gauge& waiting;
  Gauge& kv_usage;
  Counter& prefix_queries;  // prompt tokens looked up
  Counter& prefix_hits;     // of them, found
  Counter& prompt_tokens;
  Counter& generation_tokens;
  Counter& preemptions;
  Counter& drafts;           // made for one sequence in one step
  Counter& draft_tokens;     // in them
  Counter& accepted_tokens;  // of those, that were what the model sampled
  Histogram& time_to_first_token;
  Histogram& inter_token_latency;
  Histogram& time_per_output_token;
  Histogram& e2e_latency;
  Histogram& queue_time;
  Histogram& prefill_time;
  Histogram& decode_time;
  Histogram& inference_time;  // both together
  Histogram& request_prompt_tokens;
  Histogram& request_generation_tokens;
  Histogram& request_n;
  Histogram& request_max_tokens;
  Histogram& iteration_tokens;

 private:
  static Counter& success(MetricsRegistry& registry, std::string_view labels, std::string_view reason);

  Counter& stopped_;
  Counter& length_;
  Counter& aborted_;
  Counter& failed_;
};

}  // namespace sluice::engine
