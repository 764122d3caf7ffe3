#pragma once
// An OpenAI messages array becomes what chat templates read: roles they know, content as one string, tool-call
// arguments as objects. Errors name the element: "messages[2].content[0].type".

#include <string>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::openai {

// role: system, developer (given to templates as system, the word they know), user, assistant, tool.
// content: a string; null or absent only for the assistant (becomes ""); a list of text parts is joined by newlines, as
// templates of text models expect a string. Parts of other kinds are refused: a text model cannot see them.
// tool_calls: arguments given as a string of JSON become the object. reasoning_content, thinking or reasoning, the
// first that is set, is given as reasoning_content and, unless that is set, as thinking. Other members (name,
// tool_call_id…) are kept for the template.
Result<Json> normalise_messages(const Json& messages, const std::string& param, int64_t messages_max);

// A tools array, checked: {"type": "function", "function": {"name", "description"?, "parameters"?}}.
Result<Json> normalise_tools(const Json& tools, const std::string& param, int64_t tools_max);

}  // namespace sluice::openai
