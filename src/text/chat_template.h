#pragma once
// Chat templates: the Jinja program in a model's files that turns a conversation into the prompt's text, rendered as
// transformers' apply_chat_template renders it. Immutable after parsing; any thread may render.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::text {

struct TemplateLimits {
  size_t source_bytes_max = size_t{1} << 20;
  size_t output_bytes_max = size_t{64} << 20;
  int depth_max = 200;             // nested expressions, blocks, macro calls
  int64_t steps_max = 20'000'000;  // evaluated nodes: the bound on time
};

class ChatTemplate {
 public:
  // kCorruptData names line and what was expected.
  static Result<ChatTemplate> parse(std::string_view source, const TemplateLimits& limits = {});
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // `variables` is an object: messages, tools, documents, add_generation_prompt, bos_token, eos_token, enable_thinking,
  // … trim_blocks and lstrip_blocks are on, undefined names are lenient exactly where Jinja2's default is.
  // Failures name line and expression; raise_exception("…") in the template gives kInvalidArgument with its text first.
  // strftime_now uses the local clock.
  Result<std::string> render(const Json& variables) const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

// The templates of a model that are told apart by what is asked.
struct ChatTemplates {
  std::optional<ChatTemplate> usual;       // "default"
  std::optional<ChatTemplate> with_tools;  // "tool_use": for conversations with tools, where a model has one

  bool any() const { return usual || with_tools; }
  // As transformers chooses. Null when there is none for what is asked.
  const ChatTemplate* choose(bool tools) const {
    const auto& chosen = tools && with_tools ? with_tools : usual;
    return chosen ? &*chosen : nullptr;
  }
};

}  // namespace sluice::text
