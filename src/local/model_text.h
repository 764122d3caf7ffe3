#pragma once
// The text half of a model directory or GGUF: its tokenizer, chat template, special tokens, end tokens and the sampling
// its authors recommend.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/generate.h"
#include "checkpoint/model_files.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace sluice::local {

struct ModelText {
  std::unique_ptr<text::Tokenizer> tokenizer;
  text::ChatTemplates templates;
  std::map<std::string, std::string> special_tokens;  // bos_token → "<s>", …: names templates may print
  std::vector<text::TokenId> eos;                     // every id that ends an answer
  std::string tool_dialect;                           // of text/answers/tool_dialects.h, or ""
  std::string reasoning_dialect;
  api::SamplingParams sampling;  // recommended; what the authors leave open is unset
};

struct TextOptions {
  std::string template_path;              // overrides the model's chat template when not ""
  std::string tool_parser = "auto";       // a dialect's name, "none", or what the template tells
  std::string reasoning_parser = "none";  // the same
};

// A template that does not parse is an error only when it was asked for; else the model is served without one and a
// warning says why.
Result<ModelText> load_model_text(const checkpoint::ModelFiles& files, const TextOptions& options);

}  // namespace sluice::local
