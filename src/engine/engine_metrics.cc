#include "engine/engine_metrics.h"

#include "base/strings.h"

namespace sluice::engine {
namespace {

std::string label(std::string_view model_name) { return cat("model_name=\"", escape_label(model_name), "\""); }

// Seconds. vLLM's bounds, with some below for models that answer faster than its smallest.
const std::vector<double> kFirstToken = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                         1,     2.5,    5,     7.5,  10,   20,   40,   80,   160, 640,  2560};
const std::vector<double> kBetweenTokens = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
                                            0.4,    0.5,   0.75,   1,     2.5,  5,     7.5,  10,    20,  40,   80};
const std::vector<double> kWholeRequest = {0.01, 0.03, 0.1, 0.3, 0.5, 0.8, 1,   1.5, 2,   2.5, 5,    10,
                                           15,   20,   30,  40,  50,  60,  120, 240, 480, 960, 1920, 7680};
const std::vector<double> kChoices = {1, 2, 5, 10, 20};
const std::vector<double> kRequestTokens = {1,    2,    5,    10,    20,    50,    100,    200,    500,
                                            1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000};
const std::vector<double> kTokens = {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};

}  // namespace

EngineMetrics::EngineMetrics(MetricsRegistry& registry, std::string_view model_name)
    : running(registry.gauge("vllm:num_requests_running", "Sequences in the batch.", label(model_name))),
      waiting(
          registry.gauge("vllm:num_requests_waiting", "Sequences accepted and not in the batch.", label(model_name))),
      kv_usage(registry.gauge("vllm:kv_cache_usage_perc", "Share of the cache's blocks in use by sequences, 0 to 1.",
                              label(model_name))),
      prefix_queries(registry.counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix index.",
                                      label(model_name))),
      prefix_hits(registry.counter("vllm:prefix_cache_hits_total", "Prompt tokens taken from the prefix index.",
                                   label(model_name))),
      prompt_tokens(
          registry.counter("vllm:prompt_tokens_total", "Prompt tokens of begun requests.", label(model_name))),
      generation_tokens(registry.counter("vllm:generation_tokens_total", "Tokens generated.", label(model_name))),
      preemptions(registry.counter("vllm:num_preemptions_total", "Sequences put back for want of blocks or places.",
                                   label(model_name))),
      drafts(registry.counter("vllm:spec_decode_num_drafts_total", "Drafts of speculation, one a sequence and step.",
                              label(model_name))),
      draft_tokens(registry.counter("vllm:spec_decode_num_draft_tokens_total", "Tokens drafted by speculation.",
                                    label(model_name))),
      accepted_tokens(registry.counter("vllm:spec_decode_num_accepted_tokens_total",
                                       "Drafted tokens that were the ones sampled.", label(model_name))),
      time_to_first_token(registry.histogram("vllm:time_to_first_token_seconds", "Arrival to first token.", kFirstToken,
                                             label(model_name))),
      inter_token_latency(registry.histogram("vllm:inter_token_latency_seconds",
                                             "From a token to the next of its sequence.", kBetweenTokens,
                                             label(model_name))),
      time_per_output_token(registry.histogram("vllm:request_time_per_output_token_seconds",
                                               "Mean time per token after the first.", kBetweenTokens,
                                               label(model_name))),
      e2e_latency(registry.histogram("vllm:e2e_request_latency_seconds", "Arrival to the last event.", kWholeRequest,
                                     label(model_name))),
      queue_time(registry.histogram("vllm:request_queue_time_seconds", "Arrival to the first place in the batch.",
                                    kWholeRequest, label(model_name))),
      prefill_time(registry.histogram("vllm:request_prefill_time_seconds", "First place in the batch to first token.",
                                      kWholeRequest, label(model_name))),
      decode_time(registry.histogram("vllm:request_decode_time_seconds", "First token to last token.", kWholeRequest,
                                     label(model_name))),
      inference_time(registry.histogram("vllm:request_inference_time_seconds",
                                        "First place in the batch to last token.", kWholeRequest, label(model_name))),
      request_prompt_tokens(registry.histogram("vllm:request_prompt_tokens", "Prompt tokens of an answer.",
                                               kRequestTokens, label(model_name))),
      request_generation_tokens(registry.histogram("vllm:request_generation_tokens", "Generated tokens of an answer.",
                                                   kRequestTokens, label(model_name))),
      request_n(
          registry.histogram("vllm:request_params_n", "Answers asked for per prompt.", kChoices, label(model_name))),
      request_max_tokens(registry.histogram("vllm:request_params_max_tokens", "Tokens allowed to an answer.",
                                            kRequestTokens, label(model_name))),
      iteration_tokens(
          registry.histogram("vllm:iteration_tokens_total", "Rows of a step.", kTokens, label(model_name))),
      stopped_(success(registry, label(model_name), "stop")),
      length_(success(registry, label(model_name), "length")),
      aborted_(success(registry, label(model_name), "abort")),
      failed_(success(registry, label(model_name), "error")) {}

void EngineMetrics::describe_cache(MetricsRegistry& registry, std::string_view model_name, int block_tokens, int blocks,
                                   bool prefix_index) {
  const std::string labels = cat(label(model_name), ",block_size=\"", block_tokens, "\",num_gpu_blocks=\"", blocks,
                                 "\",enable_prefix_caching=\"", prefix_index ? "True" : "False", "\"");
  registry.gauge("vllm:cache_config_info", "The cache's size, in labels.", labels).set(1);
}

Counter& EngineMetrics::success(MetricsRegistry& registry, std::string_view labels, std::string_view reason) {
  return registry.counter("vllm:request_success_total", "Answers ended, by reason.",
                          cat(labels, ",finished_reason=\"", reason, "\""));
}

void EngineMetrics::count_finish(api::FinishReason reason) {
  (reason == api::FinishReason::kLength ? length_ : stopped_).add();
}

void EngineMetrics::count_failure(ErrorCode code) {
  const bool aborted =
      code == ErrorCode::kCancelled || code == ErrorCode::kDeadlineExceeded || code == ErrorCode::kUnavailable;
  (aborted ? aborted_ : failed_).add();
}

}  // namespace sluice::engine
