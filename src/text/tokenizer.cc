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

// Errors name the file they are about.
Result<std::unique_ptr<Tokenizer>> create(const std::string& path, Result<TokenizerParts> parts) {
  auto made = parts.ok() ? PipelineTokenizer::create(std::move(parts).value())
                         : Result<std::unique_ptr<Tokenizer>>(std::move(parts).error());
  if (made.ok() || made.error().message.find(path) != std::string::npos) return made;
  Error error = std::move(made).error();
  if (error.message.find(path.substr(0, path.rfind('/') + 1)) == std::string::npos)
    error.message = cat(path, ": ", error.message);
  return error;
}

// SentencePiece models begin with the field of their first piece; tiktoken files with base64.
bool is_sentencepiece(std::string_view file) { return !file.empty() && file[0] == '\n'; }

// tokenizer.json, whose own post-processor says what is added.
Result<TokenizerParts> parts_from_json_and_config(std::string_view json, TokenizerConfig config) {
  SLUICE_TRY(TokenizerParts parts, parts_from_json(json));
  config.add_bos.reset();
  config.add_eos.reset();
  apply_config(config, parts);
  return parts;
}

Result<TokenizerParts> parts_from_model(std::string_view model, const TokenizerConfig& config) {
  return is_sentencepiece(model) ? parts_from_sentencepiece(model, config) : parts_from_tiktoken(model, config);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_directory(const std::string& directory) {
  SLUICE_TRY(const TokenizerConfig config, read_tokenizer_config(directory));
  const auto in = [&](std::string_view name) { return cat(directory, "/", name); };
  SLUICE_TRY(const auto json, read_if_there(in("tokenizer.json")));
  if (json) return create(in("tokenizer.json"), parts_from_json_and_config(*json, config));
  for (const char* name :
       {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tiktoken.model", "qwen.tiktoken"}) {
    SLUICE_TRY(const auto model, read_if_there(in(name)));
    if (model) return create(in(name), parts_from_model(*model, config));
  }
  SLUICE_TRY(const auto vocab, read_if_there(in("vocab.json")));
  SLUICE_TRY(const auto merges, read_if_there(in("merges.txt")));
  if (vocab && merges) return create(in("vocab.json"), parts_from_vocab_merges(*vocab, *merges, config));
  SLUICE_TRY(const auto words, read_if_there(in("vocab.txt")));
  if (words) return create(in("vocab.txt"), parts_from_word_list(*words, config));
  return not_found(cat("no tokenizer in ", directory,
                       ": expected tokenizer.json, tokenizer.model, spiece.model, "
                       "tiktoken.model, vocab.json with merges.txt, or vocab.txt"));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_file(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  SLUICE_TRY(const std::string text, read_file(path));
  if (path.ends_with(".json")) return create(path, parts_from_json(text));
  SLUICE_TRY(const TokenizerConfig config, read_tokenizer_config(directory));
  return create(path, path.ends_with(".txt") ? parts_from_word_list(text, config) : parts_from_model(text, config));
}

}  // namespace sluice::text
