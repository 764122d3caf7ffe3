// The memory plan: arithmetic over the file's tensor list, before a byte of weights is read.

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/json.h"
#include "base/strings.h"
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
      size_t& kind = target->dtype == *entry->dtype && entry->packed == nullptr ? bytes.mapped : bytes.converted;
      std::vector<int64_t> parts = fused_rows(name.role, description.spec);
      if (parts.empty() || target->dtype != DType::kPacked) parts = {rows};
      for (const int64_t part : parts) kind += target->bytes(part, columns);
    }
  }
  return bytes;
}

// The vocabulary as text, its hash tables and merge rules: about 100 bytes each.
size_t tokenizer_bytes(const DecoderSpec& spec) { return static_cast<size_t>(spec.vocab_size) * 400; }

Error cannot_fit(const MemoryPlan& plan, size_t kv_needed) {
  const size_t fixed = plan.weights_mapped + plan.weights_converted + plan.activations + plan.program;
  return {ErrorCode::kResourceExhausted,
          cat("the model does not fit: weights ", format_bytes(plan.weights_mapped + plan.weights_converted),
              ", activations ", format_bytes(plan.activations), ", program ", format_bytes(plan.program),
              ", and at least ", format_bytes(kv_needed), " of cache for ", plan.context, " tokens make ",
              format_bytes(fixed + kv_needed), ", but the limit is ", format_bytes(plan.limit),
              "; use --quantize int8 or int4 to shrink the weights, --kv-dtype int8 or a shorter --context to shrink "
              "the cache, or raise --memory"),
          "memory",
          {}};
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
  plan.kv_per_token = kv_bytes_per_token(spec, resolve_kv_dtype(description, options));
  plan.sequences_max = request.sequences_max;

  const size_t fixed = plan.total();
  const bool context_asked = request.context > 0;
  plan.context = context_asked ? request.context : std::min(spec.context_max, kContextMin);
  const size_t block = plan.kv_per_token * static_cast<size_t>(options.block_tokens);
  const auto blocks_of = [&](int64_t tokens) { return (tokens + options.block_tokens - 1) / options.block_tokens; };
  // One sequence alone may take all that is left; beyond that the cache gets its share.
  const size_t left = plan.limit > fixed ? plan.limit - fixed : 0;
  const auto blocks_that_fit = static_cast<int64_t>(left / block);
  if (blocks_that_fit < blocks_of(plan.context) + 1) {
    return cannot_fit(plan, static_cast<size_t>(blocks_of(plan.context) + 1) * block);
  }
  const auto share =
      static_cast<int64_t>(static_cast<double>(left) * request.graph_memory_ratio / static_cast<double>(block));
  if (!context_asked) {
    const int64_t room = std::max(share, blocks_of(plan.context) + 1) - 1;
    plan.context = static_cast<int>(std::min<int64_t>(spec.context_max, room * options.block_tokens));
  }
  // More than every sequence at full length is of use to the prefix index alone: one more batch of them at the most.
  const int64_t wanted = 2 * request.sequences_max * blocks_of(plan.context) + 1;
  plan.blocks = static_cast<int>(std::clamp<int64_t>(std::min(share, wanted), blocks_of(plan.context) + 1, 1 << 30));
  plan.kv_cache = static_cast<size_t>(plan.blocks) * block;
  plan.kv_tokens = int64_t{plan.blocks} * options.block_tokens;
  plan.sequences_at_context = plan.kv_tokens / plan.context;
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
      line("kv cache", plan.kv_cache, cat(plan.kv_tokens, " tokens at ", format_bytes(plan.kv_per_token), " each")),
      line("activations", plan.activations, ""), line("program", plan.program, ""),
      line("left", plan.left, cat("of ", format_bytes(plan.limit))), "  context ", plan.context, " tokens; ",
      plan.sequences_at_context, " sequences of full length fit, at most ", plan.sequences_max, " run at once\n");
}

Json plan_to_json(const MemoryPlan& plan) {
  return {{"limit_bytes", plan.limit},
          {"weights_mapped_bytes", plan.weights_mapped},
          {"weights_converted_bytes", plan.weights_converted},
          {"activation_bytes", plan.activations},
          {"program_bytes", plan.program},
          {"kv_cache_bytes", plan.kv_cache},
          {"kv_bytes_per_token", plan.kv_per_token},
          {"kv_tokens", plan.kv_tokens},
          {"blocks", plan.blocks},
          {"context_tokens", plan.context},
          {"sequences_max", plan.sequences_max},
          {"sequences_at_context", plan.sequences_at_context},
          {"total_bytes", plan.total()},
          {"left_bytes", plan.left}};
}

}  // namespace sluice::model
