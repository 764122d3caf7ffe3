#pragma once
// The ways in which model families write tool calls and reasoning, by name, and which of them a chat template shows.
// docs/tools.md has the table for people. Pure functions.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/answers/call_parser.h"
#include "text/answers/reasoning_splitter.h"

namespace sluice::text::answers {

// "hermes", "llama3_json", … in the order of the table.
std::vector<std::string_view> tool_dialect_names();
std::vector<std::string_view> reasoning_dialect_names();

// The dialect that a chat template's text tells, or "".
std::string_view detect_tool_dialect(std::string_view chat_template);
std::string_view detect_reasoning_dialect(std::string_view chat_template);

// Special tokens whose text the parsers need, although answers do not print special tokens. Dialects may be "".
std::vector<std::string> shown_special_tokens(std::string_view tool_dialect, std::string_view reasoning_dialect);
// Texts that end an answer with calls, besides the model's own end tokens.
std::vector<std::string> stop_texts(std::string_view tool_dialect);

// What an answer begins with that must call `function`, or any function for "". Nothing when the dialect has no such
// beginning.
std::optional<std::string> forced_opening(std::string_view tool_dialect, std::string_view function);

// The ids that the family's templates take: nine letters and digits (Mistral), else of any form.
bool has_short_call_ids(std::string_view tool_dialect);

// Where a rendered prompt leaves the reasoning.
enum class ReasoningState { kNotBegun, kBegun, kEnded };
ReasoningState reasoning_state(std::string_view reasoning_dialect, std::string_view prompt);
// What ends reasoning that has begun, before something else is put there.
std::string reasoning_closer(std::string_view reasoning_dialect);

// Null for "". Unknown names are a bug, and so is "harmony", whose calls and reasoning HarmonyReader reads together.
std::unique_ptr<CallParser> make_call_parser(std::string_view tool_dialect, std::shared_ptr<const ToolSet> tools);
std::optional<ReasoningSplitter> make_reasoning_splitter(std::string_view reasoning_dialect, bool begun);

}  // namespace sluice::text::answers
