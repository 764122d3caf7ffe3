// The memory plan: arithmetic over the file's tensor list, before a byte of weights is read.

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/json.h"
#include "base/strings.h"
#include "model/cache_plan.h"
#include "model/model_loader.h"

namespace sluice::model {
namespace {

constexpr size_t kProgramBytes = size_t{24} << 20;  // code, libraries, stacks, HTTP buffers
constexpr int kContextMin = 64;                     // a shorter window serves nobody

struct WeightBytes {
  size_t mapped = 0;
  size_t converted = 0;
};

// Mirrors load_decoder_weights over names and shapes alone.
WeightBytes weight_bytes(const checkpoint::ModelFiles& files, const ModelDescription& description,
                         const WeightOptions& options) {
  WeightBytes bytes;
  const Naming naming = find_naming(*description.architecture, description.kind, files.weights);
  bool has_head = false;
  for (const WeightName& name : description.architecture->weights) {
    if (name.role == Role::kHead) has_head = files.weights.contains(tensor_name(name, naming, 0));
  }
  for (const WeightName& name : description.architecture->weights) {
    for (int layer = 0; layer < (per_layer(name) ? description.spec.layers : 1); ++layer) {
      const std::string text = tensor_name(name, naming, layer);
      const checkpoint::WeightEntry* entry = files.weights.find(text);
      if (entry == nullptr || !entry->dtype) continue;
      const int64_t columns = entry->shape.columns(), rows = entry->shape.rows();
      if (entry->shape.rank() < 2) {
        bytes.converted += static_cast<size_t>(entry->shape.elements()) * sizeof(float);
        continue;
      }
      const bool lookup_only =
          name.role == Role::kEmbedding && !head_is_embedding(description.spec, description.kind, has_head);
      const Result<MatrixTarget> target = matrix_target(files.weights, *entry, name.role, lookup_only, options);
      if (!target.ok()) continue;  // loading will say what is wrong with it
      size_t& kind = target->dtype == *entry->dtype && entry->quantized == nullptr ? bytes.mapped : bytes.converted;
      std::vector<int64_t> parts = fused_rows(name.role, description.spec);
      if (parts.empty() || target->dtype != DType::kPacked) parts = {rows};
      for (const int64_t part : parts) kind += target->bytes(part, columns);
    }
  }
  return bytes;
}

// The vocabulary as text, its hash tables and merge rules: about 100 bytes each.
size_t tokenizer_bytes(const DecoderSpec& spec) { return static_cast<size_t>(spec.vocab_size) * 400; }

// What of the cache's settings would make it smaller.
std::string cache_advice(const CacheDemand& demand, int context) {
  const int kept = demand.layout.window_tokens + demand.step_rows_max;  // of windowed layers, whatever the context
  if (demand.layout.window_tokens == 0 || kept >= context) return "--kv-dtype int8 or a shorter --context";
  const std::string chunks = "smaller --chunk-tokens";
  if (demand.layout.block_bytes > 0) return cat("--kv-dtype int8, a shorter --context or ", chunks);
  return cat("--kv-dtype int8 or ", chunks, " (every layer keeps its last ", demand.layout.window_tokens,
             " tokens and the step's, so only a --context below ", kept, " would help)");
}

Error cannot_fit(const MemoryPlan& plan, const CacheDemand& demand) {
  const size_t fixed =
      plan.weights_mapped + plan.weights_converted + plan.activations + plan.program + plan.draft_model;
  const size_t needed = demand.least_bytes(plan.context);
  return {ErrorCode::kResourceExhausted,
          cat("the model does not fit: weights ", format_bytes(plan.weights_mapped + plan.weights_converted),
              ", activations ", format_bytes(plan.activations), ", program ", format_bytes(plan.program),
              plan.draft_model > 0 ? cat(", drafting model ", format_bytes(plan.draft_model)) : "", ", and at least ",
              format_bytes(needed), " of cache for ", plan.context, " tokens make ", format_bytes(fixed + needed),
              ", but the limit is ", format_bytes(plan.limit), "; use --quantize int8 or int4 to shrink the weights, ",
              cache_advice(demand, plan.context), " to shrink the cache, or raise --memory"),
          "memory",
          {}};
}

// The two parts of the cache, in tokens.
std::string cache_note(const MemoryPlan& plan) {
  const auto part = [](int64_t tokens, size_t each) { return cat(tokens, " tokens at ", format_bytes(each), " each"); };
  if (plan.window_tokens == 0) return part(plan.kv_tokens, plan.kv_per_token);
  const std::string window =
      cat(part(plan.window_kv_tokens, plan.window_kv_per_token), " in layers that keep the last ", plan.window_tokens);
  return plan.kv_per_token == 0 ? window : cat(part(plan.kv_tokens, plan.kv_per_token), ", ", window);
}

}  // namespace

size_t available_memory() {
  size_t available = SIZE_MAX;
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  size_t kib = 0;
  std::string unit;
  while (meminfo >> key >> kib) {
    std::getline(meminfo, unit);
    if (key == "MemAvailable:") available = kib * 1024;
  }
  // Version 2 of control groups, then version 1; a limit above the machine's memory means none.
  for (const auto& [limit_file, usage_file] :
       {std::pair{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        std::pair{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
    size_t limit = 0, usage = 0;
    if (std::ifstream(limit_file) >> limit && std::ifstream(usage_file) >> usage && limit > usage)
      available = std::min(available, limit - usage);
  }
  return available;
}

namespace {

// The drafting model's cache holds as many tokens as the other's, but no more than one batch can have.
void add_draft_cache(MemoryPlan& plan, const DraftDemand& draft, int block_tokens) {
  const int64_t tokens = std::min(plan.kv_tokens, int64_t{plan.sequences_max} * plan.context);
  plan.draft_blocks = static_cast<int>(std::max<int64_t>(1, tokens / block_tokens));
  plan.draft_model += static_cast<size_t>(plan.draft_blocks) * draft.block;
}

void fill_in(MemoryPlan& plan, const CacheLayout& layout, const CachePlan& cache) {
  const auto tokens = static_cast<size_t>(layout.block_tokens);
  plan.kv_per_token = layout.block_bytes / tokens;
  plan.window_kv_per_token = layout.window_block_bytes / tokens;
  plan.window_tokens = layout.window_tokens;
  plan.blocks = cache.blocks;
  plan.window_slots = cache.window_slots;
  plan.kv_cache = cache.cache_bytes;
  plan.program += cache.record_bytes;
  plan.window_kv_tokens = int64_t{cache.window_slots} * layout.block_tokens;
  plan.kv_tokens = layout.block_bytes > 0 ? int64_t{cache.blocks} * layout.block_tokens : plan.window_kv_tokens;
  plan.context = cache.context;
  plan.sequences_at_context = cache.sequences_at_context;
}

}  // namespace

DraftDemand draft_demand(const checkpoint::ModelFiles& files, const ModelDescription& description,
                         const LoadOptions& options, int step_rows_max, int logits_rows_max) {
  const WeightBytes weights = weight_bytes(files, description, options.weights);
  const CacheLayout layout =
      cache_layout(description.spec, resolve_kv_dtype(description, options), options.block_tokens);
  return {
      .fixed = weights.mapped + weights.converted + activation_bytes(description.spec, step_rows_max, logits_rows_max),
      .block = layout.block_bytes + layout.window_block_bytes};
}

Result<MemoryPlan> plan_memory(const checkpoint::ModelFiles& files, const ModelDescription& description,
                               const LoadOptions& options, const MemoryRequest& request) {
  const DecoderSpec& spec = description.spec;
  if (request.context > spec.context_max) {
    return invalid_argument(cat("--context ", request.context, " is more than the ", spec.context_max,
                                " positions this model was made for"),
                            "context");
  }
  MemoryPlan plan;
  plan.limit = request.limit > 0 ? request.limit : available_memory();
  const WeightBytes weights = weight_bytes(files, description, options.weights);
  plan.weights_mapped = weights.mapped;
  plan.weights_converted = weights.converted;
  plan.activations = activation_bytes(spec, request.step_rows_max, request.logits_rows_max);
  plan.program = kProgramBytes + tokenizer_bytes(spec);
  plan.sequences_max = request.sequences_max;

  plan.draft_model = request.draft ? request.draft->fixed : 0;

  const size_t fixed = plan.total();
  const CacheLayout layout = cache_layout(spec, resolve_kv_dtype(description, options), options.block_tokens);
  size_t left = plan.limit > fixed ? plan.limit - fixed : 0;
  if (request.draft) {  // both caches hold the same tokens
    const auto own = static_cast<double>(layout.block_bytes + layout.window_block_bytes);
    left = static_cast<size_t>(static_cast<double>(left) * own / (own + static_cast<double>(request.draft->block)));
  }
  const CacheDemand demand = {.layout = layout,
                              .share = static_cast<size_t>(static_cast<double>(left) * request.graph_memory_ratio),
                              .most = left,
                              .context = request.context,
                              .context_min = std::min(spec.context_max, kContextMin),
                              .context_max = spec.context_max,
                              .sequences_max = request.sequences_max,
                              .step_rows_max = request.step_rows_max};
  plan.context = request.context > 0 ? request.context : demand.context_min;
  const std::optional<CachePlan> cache = plan_cache(demand);
  if (!cache) return cannot_fit(plan, demand);
  fill_in(plan, demand.layout, *cache);
  if (request.draft) add_draft_cache(plan, *request.draft, demand.layout.block_tokens);
  plan.left = plan.limit > plan.total() ? plan.limit - plan.total() : 0;
  return plan;
}

std::string format_plan(const MemoryPlan& plan) {
  const auto line = [](std::string_view name, size_t bytes, const std::string& note) {
    char text[64];
    std::snprintf(text, sizeof text, "  %-12s %10s", std::string(name).c_str(), format_bytes(bytes).c_str());
    return cat(text, note.empty() ? "" : "   ", note, "\n");
  };
  return cat(
      "memory plan\n",
      line("weights", plan.weights_mapped + plan.weights_converted,
           cat(format_bytes(plan.weights_mapped), " mapped, ", format_bytes(plan.weights_converted), " converted")),
      line("kv cache", plan.kv_cache, cache_note(plan)), line("activations", plan.activations, ""),
      line("program", plan.program, ""),
      plan.draft_model > 0
          ? line("draft model", plan.draft_model, cat("its cache of ", plan.draft_blocks, " blocks included"))
          : "",
      line("left", plan.left, cat("of ", format_bytes(plan.limit))), "  context ", plan.context, " tokens; ",
      plan.sequences_at_context, " sequences of full length fit, at most ", plan.sequences_max, " run at once\n");
}

Json plan_to_json(const MemoryPlan& plan) {
  return {{"limit_bytes", plan.limit},
          {"weights_mapped_bytes", plan.weights_mapped},
          {"weights_converted_bytes", plan.weights_converted},
          {"activation_bytes", plan.activations},
          {"program_bytes", plan.program},
          {"draft_model_bytes", plan.draft_model},
          {"kv_cache_bytes", plan.kv_cache},
          {"kv_bytes_per_token", plan.kv_per_token},
          {"kv_tokens", plan.kv_tokens},
          {"window_tokens", plan.window_tokens},
          {"window_kv_bytes_per_token", plan.window_kv_per_token},
          {"window_kv_tokens", plan.window_kv_tokens},
          {"blocks", plan.blocks},
          {"window_slots", plan.window_slots},
          {"context_tokens", plan.context},
          {"sequences_max", plan.sequences_max},
          {"sequences_at_context", plan.sequences_at_context},
          {"total_bytes", plan.total()},
          {"left_bytes", plan.left}};
}

}  // namespace sluice::model
