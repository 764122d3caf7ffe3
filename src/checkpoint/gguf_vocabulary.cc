#include <limits>

#include "base/strings.h"
#include "checkpoint/model_files.h"

namespace sluice::checkpoint {
namespace {

// Token ids that files write as −1, 2^32 − 1 or anything else outside the vocabulary mean "none", as in llama.cpp.
Result<std::optional<int32_t>> token_id(const GgufMetadata& metadata, const std::string& key, size_t vocab) {
  std::optional<int32_t> out;
  SLUICE_TRY(const int64_t id, metadata.integer(key, -1));
  if (id >= 0 && static_cast<uint64_t>(id) < vocab) out = static_cast<int32_t>(id);
  return out;
}

Result<std::optional<bool>> flag(const GgufMetadata& metadata, const std::string& key) {
  std::optional<bool> out;
  if (!metadata.contains(key)) return out;
  SLUICE_TRY(out, metadata.boolean(key, false));
  return out;
}

Result<void> read_token_types(const GgufMetadata& metadata, const std::string& key, std::vector<int32_t>* out) {
  SLUICE_TRY(const auto types, metadata.integers(key));
  for (const int64_t type : types) {
    if (type < std::numeric_limits<int32_t>::min() || type > std::numeric_limits<int32_t>::max()) {
      return corrupt_data(cat(metadata.path(), ": metadata ", quote(key), " has the impossible token type ", type));
    }
    out->push_back(static_cast<int32_t>(type));
  }
  return {};
}

}  // namespace

Result<GgufVocabularyArrays> read_gguf_vocabulary(const GgufMetadata& metadata) {
  const std::string prefix = "tokenizer.ggml.";
  GgufVocabularyArrays out;
  SLUICE_TRY(out.model, metadata.string(prefix + "model"));
  SLUICE_TRY(out.pre, metadata.string(prefix + "pre", ""));
  SLUICE_TRY(const auto tokens, metadata.strings(prefix + "tokens"));
  if (tokens.empty()) return not_found(cat(metadata.path(), ": metadata '", prefix, "tokens' is missing or empty"));
  if (tokens.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return corrupt_data(cat(metadata.path(), ": a vocabulary of ", tokens.size(), " tokens is not possible"));
  }
  out.tokens.assign(tokens.begin(), tokens.end());
  SLUICE_TRY(const auto merges, metadata.strings(prefix + "merges"));
  out.merges.assign(merges.begin(), merges.end());
  SLUICE_TRY(out.scores, metadata.numbers(prefix + "scores"));
  SLUICE_RETURN_IF_ERROR(read_token_types(metadata, prefix + "token_type", &out.types));
  for (const auto& [key, count] : {std::pair{"scores", out.scores.size()}, std::pair{"token_type", out.types.size()}}) {
    if (count != 0 && count != tokens.size()) {
      return corrupt_data(cat(metadata.path(), ": metadata '", prefix, key, "' has ", count, " entries for ",
                              tokens.size(), " tokens"));
    }
  }

  const size_t vocab = tokens.size();
  SLUICE_TRY(out.bos, token_id(metadata, prefix + "bos_token_id", vocab));
  SLUICE_TRY(out.eos, token_id(metadata, prefix + "eos_token_id", vocab));
  SLUICE_TRY(out.eot, token_id(metadata, prefix + "eot_token_id", vocab));
  SLUICE_TRY(out.eom, token_id(metadata, prefix + "eom_token_id", vocab));
  SLUICE_TRY(out.unk, token_id(metadata, prefix + "unknown_token_id", vocab));
  SLUICE_TRY(out.sep, token_id(metadata, prefix + "seperator_token_id", vocab));  // spelled so in the files
  SLUICE_TRY(out.pad, token_id(metadata, prefix + "padding_token_id", vocab));
  SLUICE_TRY(out.mask, token_id(metadata, prefix + "mask_token_id", vocab));
  SLUICE_TRY(out.add_bos, flag(metadata, prefix + "add_bos_token"));
  SLUICE_TRY(out.add_eos, flag(metadata, prefix + "add_eos_token"));
  SLUICE_TRY(out.add_space_prefix, flag(metadata, prefix + "add_space_prefix"));
  return out;
}

}  // namespace sluice::checkpoint
