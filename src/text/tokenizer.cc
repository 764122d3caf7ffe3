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

Result<std::optional<std::string>> read_if_there(const std::string& path) {
  if (!file_exists(path)) return std::optional<std::string>();
  SLUICE_TRY(std::string text, read_file(path));
  return std::optional(std::move(text));
}

// SentencePiece models begin with the field of their first piece; tiktoken files with base64.
bool is_sentencepiece(std::string_view file) { return !file.empty() && file[0] == '\n'; }

Result<TokenizerParts> parts_from_files(const std::string& directory) {
  SLUICE_TRY(TokenizerConfig config, read_tokenizer_config(directory));
  SLUICE_TRY(const auto json, read_if_there(directory + "/tokenizer.json"));
  if (json) {
    SLUICE_TRY(TokenizerParts parts, parts_from_json(*json));
    config.add_bos.reset();  // the file's own post-processor says what is added
    config.add_eos.reset();
    apply_config(config, parts);
    return parts;
  }
  for (const char* name :
       {"/tokenizer.model", "/spiece.model", "/sentencepiece.bpe.model", "/tiktoken.model", "/qwen.tiktoken"}) {
    SLUICE_TRY(const auto model, read_if_there(directory + name));
    if (!model) continue;
    return is_sentencepiece(*model) ? parts_from_sentencepiece(*model, config) : parts_from_tiktoken(*model, config);
  }
  SLUICE_TRY(const auto vocab, read_if_there(directory + "/vocab.json"));
  SLUICE_TRY(const auto merges, read_if_there(directory + "/merges.txt"));
  if (vocab && merges) return parts_from_vocab_merges(*vocab, *merges, config);
  SLUICE_TRY(const auto words, read_if_there(directory + "/vocab.txt"));
  if (words) return parts_from_word_list(*words, config);
  return not_found(cat("no tokenizer in ", directory,
                       ": expected tokenizer.json, tokenizer.model, spiece.model, "
                       "tiktoken.model, vocab.json with merges.txt, or vocab.txt"));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_directory(const std::string& directory) {
  SLUICE_TRY(TokenizerParts parts, parts_from_files(directory));
  return PipelineTokenizer::create(std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_file(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  SLUICE_TRY(const std::string text, read_file(path));
  const auto build = [&]() -> Result<TokenizerParts> {
    if (path.ends_with(".json")) return parts_from_json(text);
    SLUICE_TRY(const TokenizerConfig config, read_tokenizer_config(directory));
    if (path.ends_with(".txt")) return parts_from_word_list(text, config);
    return is_sentencepiece(text) ? parts_from_sentencepiece(text, config) : parts_from_tiktoken(text, config);
  };
  SLUICE_TRY(TokenizerParts parts, build());
  return PipelineTokenizer::create(std::move(parts));
}

}  // namespace sluice::text
