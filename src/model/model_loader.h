#pragma once
// From the files of a model to a decoder that runs, and the memory plan that is made before anything is loaded.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/model_files.h"
#include "model/decoder.h"

namespace sluice::model {

// What a model is, known from its small files alone.
struct ModelDescription {
  const Architecture* architecture = nullptr;
  FileKind kind = FileKind::kHuggingFace;
  DecoderSpec spec;
  DType stored_dtype = DType::kF32;  // of most of its weights
};
Result<ModelDescription> describe_model(const checkpoint::ModelFiles& files);

struct LoadOptions {
  WeightOptions weights;
  std::string pack_directory = {};  // where packed weights are kept between starts (pack_cache.h); "": nowhere
  std::optional<DType> kv_dtype;    // nothing ("auto"): f32 for f32 weights, bf16 for bf16, else f16
  int block_tokens = 16;
};
DType resolve_kv_dtype(const ModelDescription& description, const LoadOptions& options);

// `files` are kept by the decoder as long as it maps them. `progress` as in load_decoder_weights.
Result<std::unique_ptr<Decoder>> load_decoder(std::shared_ptr<const checkpoint::ModelFiles> files,
                                              const ModelDescription& description, const LoadOptions& options,
                                              const kernels::Ops& ops, ThreadPool& pool,
                                              const std::function<void(size_t done, size_t total)>& progress = {});

// What a second model takes that drafts for the first (engine/model_proposer.h).
struct DraftDemand {
  size_t fixed = 0;  // weights and activations
  size_t block = 0;  // of its cache
};
DraftDemand draft_demand(const checkpoint::ModelFiles& files, const ModelDescription& description,
                         const LoadOptions& options, int step_rows_max, int logits_rows_max);

// Where the memory of a served model will go. Bytes throughout.
struct MemoryPlan {
  size_t limit = 0;              // what we may use: --memory, else what the machine has free
  size_t weights_mapped = 0;     // stays in the page cache, shared between processes
  size_t weights_converted = 0;  // copies in another type
  size_t activations = 0;
  size_t program = 0;      // code, tokenizer, buffers of connections
  size_t draft_model = 0;  // weights, activations and cache of a drafting model
  size_t kv_cache = 0;
  size_t kv_per_token = 0;         // in layers that see everything
  int64_t kv_tokens = 0;           // the cache holds this many
  size_t window_kv_per_token = 0;  // in layers that see the last window_tokens tokens, as are the next two
  int64_t window_kv_tokens = 0;
  int window_tokens = 0;
  int blocks = 0;
  int window_slots = 0;
  int draft_blocks = 0;
  int context = 0;                   // tokens one sequence may have
  int sequences_max = 0;             // in one batch
  int64_t sequences_at_context = 0;  // that fit when every one is full
  size_t left = 0;                   // limit − all of the above

  size_t total() const { return weights_mapped + weights_converted + activations + program + draft_model + kv_cache; }
};

struct MemoryRequest {
  size_t limit = 0;  // bytes; 0: what the machine has free now
  double graph_memory_ratio =
      0.6;                 // share of what weights and activations leave that the KV cache and prefix index get
  int context = 0;         // tokens a sequence may have; 0: the model's, or what fits
  int sequences_max = 64;  // LocalBackend takes 0 here and below for: as tuned, or as usual
  int step_rows_max = 512;
  int logits_rows_max = 64;
  std::optional<DraftDemand> draft = {};
};

// kResourceExhausted with advice (what is missing and which flags would help) when it cannot fit.
Result<MemoryPlan> plan_memory(const checkpoint::ModelFiles& files, const ModelDescription& description,
                               const LoadOptions& options, const MemoryRequest& request);
// For people, one item a line; and for programs.
std::string format_plan(const MemoryPlan& plan);
Json plan_to_json(const MemoryPlan& plan);

// Bytes this process could still get: the machine's available memory, cut by its control group's limit.
size_t available_memory();

}  // namespace sluice::model
