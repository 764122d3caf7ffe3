#pragma once
// A second, smaller model that drafts for another (engine/model_proposer.h): whether it can, what memory it takes, and
// its loading. It is loaded with the large model's own options: quantisation, types, kernels, threads.

#include <memory>
#include <string>

#include "checkpoint/model_files.h"
#include "engine/model_proposer.h"
#include "model/model_loader.h"
#include "text/tokenizer.h"

namespace sluice::local {

class DraftModel {
 public:
  // Reads its small files. `sequences_max`: that draft at once.
  static Result<DraftModel> open(const std::string& path, const model::LoadOptions& load, const kernels::Ops& ops,
                                 int sequences_max);

  // For the memory plan of the model it drafts for.
  model::DraftDemand demand() const;
  // kInvalidArgument names the first token that the other's vocabulary has otherwise.
  Result<void> check_vocabulary(const text::Tokenizer& tokenizer, std::string_view model_name) const;
  // `blocks` of its cache; `vocab_size` of the other model's logits.
  Result<std::shared_ptr<engine::DraftProposer>> load(int blocks, int vocab_size, const kernels::Ops& ops,
                                                      ThreadPool& pool) const;

 private:
  std::string path_;
  std::shared_ptr<const checkpoint::ModelFiles> files_;
  model::ModelDescription description_;
  model::LoadOptions options_;
  int sequences_max_ = 0;
};

}  // namespace sluice::local
