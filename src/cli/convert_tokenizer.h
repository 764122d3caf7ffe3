#pragma once
// The tokenizer of a Hugging Face directory as the arrays of a GGUF file, and back.

#include "base/json.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/model_files.h"

namespace sluice::cli {

// tokenizer.ggml.* from tokenizer.json (and the scores of tokenizer.model), the special ids, the chat templates, and
// tokenizer.json itself as tokenizer.huggingface.json. `vocab_size` is the embedding's; ids without a token are filled.
// A directory without a tokenizer gives none. kUnimplemented names a tokenizer that GGUF has no words for.
Result<void> add_gguf_tokenizer(const checkpoint::ModelFiles& files, int vocab_size, checkpoint::GgufHead& head);

// The text files a directory made from a GGUF file needs: name → content. tokenizer.json, tokenizer_config.json,
// generation_config.json, chat_template.jinja; without a vocabulary in the file, fewer.
struct TextFile {
  std::string name, content;
};
Result<std::vector<TextFile>> tokenizer_files(const checkpoint::ModelFiles& files);

}  // namespace sluice::cli
