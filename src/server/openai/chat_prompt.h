#pragma once
// The members of a body that make a chat prompt, shared by /v1/chat/completions, /apply-template, /tokenize and /infer.

#include "api/generate.h"
#include "server/openai/fields.h"
#include "server/openai/request.h"

namespace sluice::openai {

// messages, tools, tool_choice, parallel_tool_calls, chat_template_kwargs, documents, reasoning_effort,
// add_generation_prompt, continue_final_message. Mistakes are kept in `fields`.
ToolUse read_chat_prompt(FieldReader& fields, const RequestLimits& limits, api::ChatPrompt& prompt);

}  // namespace sluice::openai
