#include "text/tokenizer.h"

#include "base/file.h"
#include "base/strings.h"
#include "text/tokenizer_loaders.h"

namespace sluice::text {

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_json(std::string_view tokenizer_json) {
  SLUICE_TRY(TokenizerParts parts, parts_from_json(tokenizer_json));
  return PipelineTokenizer::create(std::move(parts));
}

namespace {

Result<TokenizerParts> parts_from_directory(const std::string& directory, const TokenizerConfig& config) {
  if (file_exists(directory + "/tokenizer.json")) {
    SLUICE_TRY(const std::string text, read_file(directory + "/tokenizer.json"));
    SLUICE_TRY(TokenizerParts parts, parts_from_json(text));
    TokenizerConfig names = config;  // the file's own post-processor stands
    names.add_bos.reset();
    names.add_eos.reset();
    apply_config(names, parts);
    return parts;
  }
  return not_found(cat("no tokenizer in ", directory, ": expected tokenizer.json, tokenizer.model, *.tiktoken, vocab.json with "
                       "merges.txt, or vocab.txt"));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_directory(const std::string& directory) {
  TokenizerConfig config;
  SLUICE_TRY(TokenizerParts parts, parts_from_directory(directory, config));
  return PipelineTokenizer::create(std::move(parts));
}

}  // namespace sluice::text
