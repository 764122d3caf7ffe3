#pragma once
// A model on this machine as an api::Backend: files, memory plan, decoder, tokenizer, templates and engine put
// together. This is what embedding the engine half in another program means.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/backend.h"
#include "base/metrics.h"
#include "base/thread_pool.h"
#include "local/tuning_record.h"
#include "model/model_loader.h"

namespace sluice::local {

// Threads, tables of kernels, chunks and batches chosen by measuring this machine once (tuner.h), where they are left
// open: `threads.threads`, `memory.step_rows_max` and `memory.sequences_max` 0, `kernels` "".
enum class TuningMode {
  kOff,         // the usual values
  kRemembered,  // as an earlier start has measured, else the usual values
  kOn,          // the same, but measures first when none has; not models too small to gain
  kAgain,       // measures, whatever is remembered
};

struct SpeculationOptions {
  enum class Kind { kOff, kNgram, kModel };
  Kind kind = Kind::kOff;
  std::string draft_model;   // a model's path, for kModel
  int draft_tokens_max = 8;  // of one sequence in a step
};

struct LocalOptions {
  std::string model_path;                 // see checkpoint::open_model
  std::vector<std::string> served_names;  // empty: the model's own name
  std::string chat_template_path;         // "": the model's own template
  std::string tool_parser = "auto";       // a dialect of text/answers/tool_dialects.h, "none", or as the template tells
  std::string reasoning_parser = "none";  // the same
  model::LoadOptions load;
  model::MemoryRequest memory;
  ThreadPoolOptions threads;
  std::string kernels;     // pinned implementation, or ""
  int waiting_max = 1024;  // requests accepted but not yet running
  bool prefix_index = true;
  double prefill_slowdown = 0;  // engine/request.h
  TuningMode tuning = TuningMode::kOff;
  SpeculationOptions speculation;
};

// A request for memory with what it left open as tuned, else as usual; and the rows of logits that such batches need.
model::MemoryRequest with_batch_limits(model::MemoryRequest request, const std::optional<Tuning>& tuning,
                                       const SpeculationOptions& speculation = {});
// Where the tuning of such a model is remembered. `load` with its activations resolved.
TuningRecord tuning_record(const LocalOptions& options, const model::ModelDescription& description,
                           const model::LoadOptions& load);

// Told what happens while loading; any may be empty. Called on the loading thread.
struct LoadingReport {
  std::function<void(const model::ModelDescription&, const model::MemoryPlan&)>
      on_plan;  // before anything large is read
  std::function<void(size_t done_bytes, size_t total_bytes)> on_progress;
  std::function<void(size_t done_ms, size_t total_ms)> on_measuring;  // when it tunes
  std::function<void(const Tuning&)> on_tuned;                        // when it has measured
};

class LocalBackend : public api::Backend {
 public:
  // Loads the model and starts the engine's thread. `metrics` must outlive it.
  static Result<std::unique_ptr<LocalBackend>> load(const LocalOptions& options, MetricsRegistry& metrics,
                                                    const LoadingReport& report = {});

  // Stops accepting and waits up to `timeout_ms` for running requests; what is left then ends with kUnavailable.
  // Returns whether all finished.
  virtual bool drain(int64_t timeout_ms) = 0;
  virtual const model::MemoryPlan& plan() const = 0;
  virtual bool has_chat_template() const = 0;
  virtual std::string_view kernels() const = 0;  // the implementation in use
};

}  // namespace sluice::local
