#include "local/draft_model.h"

#include <algorithm>

#include "base/strings.h"
#include "local/model_text.h"

namespace sluice::local {
namespace {

constexpr int kStepRows = 256;  // of one step of the drafting model, most of all when it catches up

}  // namespace

Result<DraftModel> DraftModel::open(const std::string& path, const model::LoadOptions& load, const kernels::Ops& ops,
                                    int sequences_max) {
  DraftModel draft;
  draft.path_ = path;
  draft.sequences_max_ = sequences_max;
  draft.options_ = load;
  auto opened = checkpoint::open_model(path);
  if (!opened.ok())
    return Error{opened.error().code, cat("--draft-model: ", opened.error().message), "draft-model", {}};
  draft.files_ = std::make_shared<const checkpoint::ModelFiles>(std::move(*opened));
  SLUICE_TRY(draft.description_, model::describe_model(*draft.files_));
  draft.options_.weights = model::resolve_activations(load.weights, draft.description_.spec, ops);
  return draft;
}

model::DraftDemand DraftModel::demand() const {
  return model::draft_demand(*files_, description_, options_, std::max(kStepRows, sequences_max_), sequences_max_);
}

Result<void> DraftModel::check_vocabulary(const text::Tokenizer& tokenizer, std::string_view model_name) const {
  SLUICE_TRY(const ModelText own, load_model_text(*files_, {}));
  const auto other = [&](const std::string& difference) {
    return invalid_argument(
        cat("--draft-model ", path_, " cannot draft for ", model_name, ", for their vocabularies differ: ", difference,
            "; both must come from one family of models"),
        "draft-model");
  };
  const text::Tokenizer& drafting = *own.tokenizer;
  if (drafting.vocab_size() != tokenizer.vocab_size())
    return other(cat("it has ", drafting.vocab_size(), " tokens, not ", tokenizer.vocab_size()));
  for (text::TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (drafting.token_text(id) != tokenizer.token_text(id)) {
      return other(cat("its token ", id, " is '", drafting.token_text(id), "', not '", tokenizer.token_text(id), "'"));
    }
  }
  return {};
}

Result<std::shared_ptr<engine::DraftProposer>> DraftModel::load(int blocks, int vocab_size, const kernels::Ops& ops,
                                                                ThreadPool& pool) const {
  SLUICE_TRY(auto decoder, model::load_decoder(files_, description_, options_, ops, pool));
  SLUICE_TRY(auto proposer,
             engine::ModelProposer::create(std::move(decoder), {.blocks = blocks,
                                                                .step_rows_max = std::max(kStepRows, sequences_max_),
                                                                .sequences_max = sequences_max_,
                                                                .vocab_size = vocab_size}));
  return std::shared_ptr<engine::DraftProposer>(std::move(proposer));
}

}  // namespace sluice::local
