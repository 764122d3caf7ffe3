#pragma once
// Turns a prompt (a conversation, a text, or ids) into the token ids the engine computes. Immutable; any thread.

#include <map>
#include <string>
#include <vector>

#include "api/generate.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace sluice::context {

class PromptBuilder {
 public:
  // `tokenizer` must outlive it. `special_tokens` are the names a template may print: bos_token, eos_token, … → "<s>".
  PromptBuilder(const text::Tokenizer& tokenizer, text::ChatTemplates templates,
                std::map<std::string, std::string> special_tokens);

  bool has_chat_template() const { return templates_.any(); }

  // The text a conversation becomes, with what the answer is made to begin with. kInvalidArgument without a template,
  // or with the template's own complaint.
  Result<std::string> render(const api::ChatPrompt& prompt) const;

  // Ids of any prompt. A rendered conversation is encoded without bos (the template writes what it wants) and with
  // special tokens recognised, as transformers' apply_chat_template does.
  Result<std::vector<text::TokenId>> tokens(const api::Prompt& prompt) const;

 private:
  Result<std::string> render_messages(const api::ChatPrompt& prompt) const;

  const text::Tokenizer& tokenizer_;
  text::ChatTemplates templates_;
  std::map<std::string, std::string> special_tokens_;
};

}  // namespace sluice::context
