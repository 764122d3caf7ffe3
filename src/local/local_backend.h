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
#include "model/model_loader.h"

namespace sluice::local {

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
  SpeculationOptions speculation;
};

// Told what happens while loading; any may be empty. Called on the loading thread.
struct LoadingReport {
  std::function<void(const model::ModelDescription&, const model::MemoryPlan&)>
      on_plan;  // before anything large is read
  std::function<void(size_t done_bytes, size_t total_bytes)> on_progress;
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
