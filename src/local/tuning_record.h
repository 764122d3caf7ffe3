#pragma once
// Where a tuning is remembered: a small JSON file for a kind of model on a machine, beside the packed weights. Models
// of the same shapes and formats share it. A record that is damaged, or of another machine, model or version, counts as
// none. Written whole or not at all; of two processes that tune at once the later one's stays.

#include <optional>
#include <string>

#include "base/machine.h"
#include "kernels/ops.h"
#include "local/tuning.h"
#include "model/model_loader.h"

namespace sluice::local {

// Everything a measured time depends on. `load` with its activations resolved; `threads` and `kernels` as the user
// pinned them (0 and "": not at all).
std::string tuning_key(const Machine& machine, const model::ModelDescription& description,
                       const model::LoadOptions& load, const ThreadPoolOptions& threads, const std::string& kernels);

class TuningRecord {
 public:
  // `directory` "": nothing is remembered.
  TuningRecord(const std::string& directory, const model::ModelDescription& description, std::string key);

  bool can_remember() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  std::optional<Tuning> read() const;
  // A failure is logged: the next start measures again.
  void write(const Tuning& tuning) const;

 private:
  std::string path_, key_;
};

}  // namespace sluice::local
