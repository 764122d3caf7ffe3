#pragma once
// AnswerForm: how the text of a chat answer is taken apart: into content, reasoning and tool calls. It is made from
// what the request says about tools and what the model's card says about its dialects (text/answers/). Pure functions;
// the blocking pool.

#include <string>

#include "api/backend.h"
#include "server/openai/request.h"
#include "text/answers/answer_parser.h"

namespace sluice::openai {

struct AnswerForm {
  text::answers::AnswerOptions parser;
  std::string opening;     // what the model was made to begin with: the parser reads it first
  bool one_call = false;   // further calls are left out
  bool reasoning = true;   // shown
  bool short_ids = false;  // call ids of nine letters and digits

  bool parses() const { return !parser.tool_dialect.empty() || !parser.reasoning_dialect.empty(); }
};

// Decides the form, and prepares the request for it: special tokens that the parser must see are shown to it, and a
// call that must come is begun in the prompt. kInvalidArgument when this model cannot be made to call.
Result<AnswerForm> prepare_answer_form(const api::Backend& backend, const api::ModelCard& card, GenerateCall& call);

// "call_" and 32 random hexadecimal digits, or nine letters and digits.
std::string make_call_id(bool short_id);
// Messages for templates that take only ids of nine letters and digits: others are replaced, equal ones by equal ones.
Json with_short_call_ids(const Json& messages);

}  // namespace sluice::openai
