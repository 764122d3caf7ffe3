#pragma once
// Prompts as OpenAI writes them: "text", ["text", …], [ids…], [[ids…], …]. Shared by completions and embeddings.

#include <string_view>
#include <vector>

#include "api/generate.h"
#include "server/openai/fields.h"

namespace sluice::openai {

// One to `prompts_max` prompts of the member `name`; none when a mistake was kept in `fields`.
std::vector<api::Prompt> read_text_prompts(FieldReader& fields, std::string_view name, bool add_special,
                                           int64_t prompts_max);

}  // namespace sluice::openai
