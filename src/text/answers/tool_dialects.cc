#include "text/answers/tool_dialects.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/answers/dialects.h"
#include "text/answers/harmony_reader.h"
#include "text/answers/markers.h"

namespace sluice::text::answers {
namespace {

using Tools = std::shared_ptr<const ToolSet>;
using Maker = std::unique_ptr<CallParser> (*)(Tools);

struct ToolDialect {
  std::string_view name;
  Maker make;  // null: read by HarmonyReader
  // A template of this dialect holds `shows` and `also`, and not `lacks`. The first dialect that fits is taken.
  std::string_view shows, also, lacks;
  // Before and behind the name of a function that must be called; `any` before a name that the model chooses.
  std::string_view named_before, named_behind, any;
  std::vector<std::string> tokens;  // special in some of the family's tokenizers
  std::vector<std::string> stops;
};

std::unique_ptr<CallParser> make_hermes(Tools tools) {
  return make_json_calls({.openers = {"<tool_call>"}, .closers = {"</tool_call>"}}, std::move(tools));
}
std::unique_ptr<CallParser> make_llama3(Tools tools) {
  return make_json_calls({.openers = {"<|python_tag|>"}, .closers = {}, .bare = true, .python = true},
                         std::move(tools));
}
std::unique_ptr<CallParser> make_pythonic(Tools tools) {
  return make_python_calls({.openers = {"<|python_start|>", "<|python_tag|>", "<|tool_call_start|>"},
                            .closers = {"<|python_end|>", "<|tool_call_end|>"}},
                           std::move(tools));
}
std::unique_ptr<CallParser> make_mistral(Tools tools) {
  return make_json_calls({.openers = {"[TOOL_CALLS]"}, .closers = {}, .named = true}, std::move(tools));
}
std::unique_ptr<CallParser> make_glm45(Tools tools) {
  return make_tagged_calls({.opener = "<tool_call>",
                            .name_open = "",
                            .name_close = "",
                            .key_open = "<arg_key>",
                            .key_close = "</arg_key>",
                            .value_open = "<arg_value>",
                            .value_close = "</arg_value>",
                            .closers = {"</tool_call>", "<|observation|>"}},
                           std::move(tools));
}
std::unique_ptr<CallParser> make_qwen3_coder(Tools tools) {
  return make_tagged_calls({.opener = "<tool_call>",
                            .name_open = "<function=",
                            .name_close = ">",
                            .key_open = "<parameter=",
                            .key_close = ">",
                            .value_open = "",
                            .value_close = "</parameter>",
                            .closers = {"</function>", "</tool_call>"},
                            .trim_lines = true},
                           std::move(tools));
}
std::unique_ptr<CallParser> make_seed_oss(Tools tools) {
  return make_tagged_calls({.opener = "<seed:tool_call>",
                            .name_open = "<function=",
                            .name_close = ">",
                            .key_open = "<parameter=",
                            .key_close = ">",
                            .value_open = "",
                            .value_close = "</parameter>",
                            .closers = {"</function>", "</seed:tool_call>"},
                            .trim_lines = true},
                           std::move(tools));
}
std::unique_ptr<CallParser> make_minimax(Tools tools) {
  return make_tagged_calls({.opener = "<minimax:tool_call>",
                            .name_open = "<invoke name=\"",
                            .name_close = "\">",
                            .key_open = "<parameter name=\"",
                            .key_close = "\">",
                            .value_open = "",
                            .value_close = "</parameter>",
                            .closers = {"</invoke>", "</minimax:tool_call>"},
                            .trim_lines = true},
                           std::move(tools));
}
std::unique_ptr<CallParser> make_phi4(Tools tools) {
  return make_json_calls({.openers = {"<|tool_call|>", "functools"}, .closers = {"<|/tool_call|>"}}, std::move(tools));
}
std::unique_ptr<CallParser> make_granite(Tools tools) {
  return make_json_calls({.openers = {"<|tool_call|>", "<tool_call>"}, .closers = {"</tool_call>"}}, std::move(tools));
}
std::unique_ptr<CallParser> make_apriel(Tools tools) {
  return make_json_calls({.openers = {"<tool_calls>"}, .closers = {"</tool_calls>"}}, std::move(tools));
}
std::unique_ptr<CallParser> make_nemotron(Tools tools) {
  return make_json_calls({.openers = {"<TOOLCALL>"}, .closers = {"</TOOLCALL>"}}, std::move(tools));
}

std::unique_ptr<CallParser> make_kimi(Tools tools) {
  return make_marked_calls({.section_open = "<|tool_calls_section_begin|>",
                            .section_close = "<|tool_calls_section_end|>",
                            .call_open = "<|tool_call_begin|>",
                            .call_close = "<|tool_call_end|>",
                            .separator = "<|tool_call_argument_begin|>",
                            .numbered = true},
                           std::move(tools));
}
std::unique_ptr<CallParser> make_deepseek(Tools tools) {
  return make_marked_calls({.section_open = "<｜tool▁calls▁begin｜>",
                            .section_close = "<｜tool▁calls▁end｜>",
                            .call_open = "<｜tool▁call▁begin｜>",
                            .call_close = "<｜tool▁call▁end｜>",
                            .separator = "<｜tool▁sep｜>",
                            .fenced = true},
                           std::move(tools));
}
std::unique_ptr<CallParser> make_command_r(Tools tools) {
  return make_json_calls({.openers = {"<|START_ACTION|>"}, .closers = {"<|END_ACTION|>"}, .counts = true},
                         std::move(tools));
}

const std::vector<std::string>& deepseek_tokens() {
  static const std::vector<std::string> kTokens = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
                                                   "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"};
  return kTokens;
}

const std::vector<ToolDialect>& dialects() {
  static const std::vector<ToolDialect> kDialects = {
      {"glm45",
       make_glm45,
       "<arg_key>",
       "<tool_call>",
       "",
       "\n<tool_call>",
       "\n",
       "\n<tool_call>",
       {"<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"},
       {"<|observation|>"}},
      {"seed_oss",
       make_seed_oss,
       "<seed:tool_call>",
       "",
       "",
       "<seed:tool_call>\n<function=",
       ">\n",
       "<seed:tool_call>\n<function=",
       {"<seed:tool_call>", "</seed:tool_call>"},
       {}},
      {"minimax_m2",
       make_minimax,
       "<minimax:tool_call>",
       "<invoke name=",
       "",
       "<minimax:tool_call>\n<invoke name=\"",
       "\">\n",
       "<minimax:tool_call>\n<invoke name=\"",
       {"<minimax:tool_call>", "</minimax:tool_call>"},
       {}},
      {"qwen3_coder",
       make_qwen3_coder,
       "<function=",
       "<parameter=",
       "",
       "<tool_call>\n<function=",
       ">\n",
       "<tool_call>\n<function=",
       {"<tool_call>", "</tool_call>"},
       {}},
      {"apriel",
       make_apriel,
       "<tool_calls>[",
       "",
       "",
       "<tool_calls>[{\"name\": \"",
       "\", \"arguments\":",
       "<tool_calls>[{\"name\": \"",
       {"<tool_calls>", "</tool_calls>"},
       {}},
      {"hermes",
       make_hermes,
       "<tool_call>",
       "</tool_call>",
       "<invoke name=",
       "<tool_call>\n{\"name\": \"",
       "\", \"arguments\":",
       "<tool_call>\n{\"name\": \"",
       {"<tool_call>", "</tool_call>"},
       {}},
      {"mistral_v11",
       make_mistral,
       "[TOOL_CALLS]",
       "[ARGS]",
       "",
       "[TOOL_CALLS]",
       "[ARGS]",
       "[TOOL_CALLS]",
       {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"},
       {}},
      {"mistral",
       make_mistral,
       "[TOOL_CALLS]",
       "",
       "",
       "[TOOL_CALLS][{\"name\": \"",
       "\", \"arguments\":",
       "[TOOL_CALLS][{\"name\": \"",
       {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"},
       {}},
      {"granite",
       make_granite,
       "<|tool_call|>",
       "<|start_of_role|>",
       "",
       "<|tool_call|>[{\"name\": \"",
       "\", \"arguments\":",
       "<|tool_call|>[{\"name\": \"",
       {"<|tool_call|>"},
       {}},
      {"phi4_mini",
       make_phi4,
       "<|tool|>",
       "<|/tool|>",
       "",
       "<|tool_call|>[{\"name\": \"",
       "\", \"arguments\":",
       "<|tool_call|>[{\"name\": \"",
       {"<|tool_call|>", "<|/tool_call|>"},
       {}},
      {"nemotron",
       make_nemotron,
       "<TOOLCALL>",
       "",
       "",
       "<TOOLCALL>[{\"name\": \"",
       "\", \"arguments\":",
       "<TOOLCALL>[{\"name\": \"",
       {"<TOOLCALL>", "</TOOLCALL>"},
       {}},
      {"pythonic",
       make_pythonic,
       "func_name1(params_name1=",
       "",
       "",
       "[",
       "(",
       "[",
       {"<|python_start|>", "<|python_end|>", "<|python_tag|>", "<|tool_call_start|>", "<|tool_call_end|>"},
       {}},
      {"pythonic",
       make_pythonic,
       "<|tool_list_start|>",
       "",
       "",
       "[",
       "(",
       "[",
       {"<|python_start|>", "<|python_end|>", "<|python_tag|>", "<|tool_call_start|>", "<|tool_call_end|>"},
       {}},
      {"pythonic",
       make_pythonic,
       "<|tool_call_start|>",
       "",
       "",
       "[",
       "(",
       "[",
       {"<|python_start|>", "<|python_end|>", "<|python_tag|>", "<|tool_call_start|>", "<|tool_call_end|>"},
       {}},
      {"llama3_json",
       make_llama3,
       "\"parameters\": ",
       "<|start_header_id|>",
       "<function=",
       "{\"name\": \"",
       "\", \"parameters\":",
       "{\"name\": \"",
       {"<|python_tag|>"},
       {"<|eom_id|>", "<|eot_id|>"}},
      {"glm4",
       make_glm4_calls,
       "[gMASK]",
       "<|observation|>",
       "",
       "",
       "\n",
       "",
       {"<|assistant|>", "<|observation|>"},
       {"<|observation|>"}},
      {"glm4",
       make_glm4_calls,
       "[gMASK]",
       "tools",
       "",
       "",
       "\n",
       "",
       {"<|assistant|>", "<|observation|>"},
       {"<|observation|>"}},
      {"kimi_k2",
       make_kimi,
       "<|tool_calls_section_begin|>",
       "<|tool_call_argument_begin|>",
       "",
       "<|tool_calls_section_begin|><|tool_call_begin|>functions.",
       ":0<|tool_call_argument_begin|>",
       "<|tool_calls_section_begin|><|tool_call_begin|>functions.",
       {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>", "<|tool_call_end|>"},
       {}},
      {"deepseek_v3",
       make_deepseek,
       "<｜tool▁calls▁begin｜>",
       "```json",
       "",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
       "\n```json\n",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
       deepseek_tokens(),
       {}},
      {"deepseek_v31",
       make_deepseek,
       "<｜tool▁calls▁begin｜>",
       "",
       "",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
       "<｜tool▁sep｜>",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
       deepseek_tokens(),
       {}},
      {"command_r7b",
       make_command_r,
       "<|START_ACTION|>",
       "tool_name",
       "",
       "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"",
       "\", \"parameters\":",
       "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"",
       {"<|START_ACTION|>", "<|END_ACTION|>"},
       {}},
      {kHarmony,
       nullptr,
       "<|channel|>",
       "functions.",
       "",
       "<|channel|>commentary to=functions.",
       " <|constrain|>json<|message|>",
       "<|channel|>commentary to=functions.",
       harmony_tokens(),
       {"<|call|>", "<|return|>"}},
  };
  return kDialects;
}

struct ReasoningDialect {
  std::string_view name, opener, closer;
  bool begins_begun;  // unless the prompt has ended it, the answer begins inside the reasoning
};

constexpr std::array kReasoningDialects = {
    ReasoningDialect{"qwen3", "<think>", "</think>", false},
    ReasoningDialect{"deepseek_r1", "<think>", "</think>", true},
    ReasoningDialect{"glm45", "<think>", "</think>", false},
    ReasoningDialect{"mistral", "[THINK]", "[/THINK]", false},
    ReasoningDialect{"seed_oss", "<seed:think>", "</seed:think>", false},
    ReasoningDialect{"command_r7b", "<|START_THINKING|>", "<|END_THINKING|>", false},
    ReasoningDialect{kHarmony, "<|channel|>analysis<|message|>", "<|end|>", false},
};

const ToolDialect* find_tool_dialect(std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = std::ranges::find(dialects(), name, &ToolDialect::name);
  SLUICE_CHECK(found != dialects().end(), "the tool dialect has a known name");
  return &*found;
}

const ReasoningDialect* find_reasoning_dialect(std::string_view name) {
  if (name.empty()) return nullptr;
  const auto* found = std::ranges::find(kReasoningDialects, name, &ReasoningDialect::name);
  SLUICE_CHECK(found != kReasoningDialects.end(), "the reasoning dialect has a known name");
  return found;
}

}  // namespace

std::vector<std::string_view> tool_dialect_names() {
  std::vector<std::string_view> names;
  for (const ToolDialect& dialect : dialects()) {
    if (std::ranges::count(names, dialect.name) == 0) names.push_back(dialect.name);
  }
  return names;
}

std::vector<std::string_view> reasoning_dialect_names() {
  std::vector<std::string_view> names;
  for (const ReasoningDialect& dialect : kReasoningDialects) names.push_back(dialect.name);
  return names;
}

std::string_view detect_tool_dialect(std::string_view chat_template) {
  const auto holds = [&](std::string_view word) { return chat_template.find(word) != std::string_view::npos; };
  for (const ToolDialect& dialect : dialects()) {
    if (holds(dialect.shows) && holds(dialect.also) && (dialect.lacks.empty() || !holds(dialect.lacks)))
      return dialect.name;
  }
  return "";
}

std::string_view detect_reasoning_dialect(std::string_view chat_template) {
  const auto holds = [&](std::string_view word) { return chat_template.find(word) != std::string_view::npos; };
  if (holds("<|channel|>analysis")) return kHarmony;
  if (holds("<seed:think>")) return "seed_oss";
  if (holds("[THINK]")) return "mistral";
  if (holds("<|START_THINKING|>")) return "command_r7b";
  if (!holds("<think>") && !holds("</think>")) return "";
  if (holds("[gMASK]")) return "glm45";
  return holds("<｜Assistant｜>") ? "deepseek_r1" : "qwen3";
}

std::vector<std::string> shown_special_tokens(std::string_view tool_dialect, std::string_view reasoning_dialect) {
  std::vector<std::string> tokens;
  if (const ToolDialect* dialect = find_tool_dialect(tool_dialect); dialect != nullptr) {
    tokens = dialect->tokens;
  }
  if (reasoning_dialect == kHarmony) {
    tokens.insert(tokens.end(), harmony_tokens().begin(), harmony_tokens().end());
  } else if (const ReasoningDialect* dialect = find_reasoning_dialect(reasoning_dialect); dialect != nullptr) {
    tokens.emplace_back(dialect->opener);
    tokens.emplace_back(dialect->closer);
  }
  return tokens;
}

std::vector<std::string> stop_texts(std::string_view tool_dialect) {
  const ToolDialect* dialect = find_tool_dialect(tool_dialect);
  return dialect == nullptr ? std::vector<std::string>() : dialect->stops;
}

std::optional<std::string> forced_opening(std::string_view tool_dialect, std::string_view function) {
  const ToolDialect* dialect = find_tool_dialect(tool_dialect);
  if (dialect == nullptr || (function.empty() && dialect->any.empty())) return std::nullopt;
  if (function.empty()) return std::string(dialect->any);
  return cat(dialect->named_before, function, dialect->named_behind);
}

bool has_short_call_ids(std::string_view tool_dialect) { return tool_dialect.starts_with("mistral"); }

ReasoningState reasoning_state(std::string_view reasoning_dialect, std::string_view prompt) {
  const ReasoningDialect* dialect = find_reasoning_dialect(reasoning_dialect);
  if (dialect == nullptr) return ReasoningState::kNotBegun;
  const std::string_view end = trim(prompt.substr(prompt.size() - std::min<size_t>(prompt.size(), 256)));
  if (end.ends_with(dialect->opener)) return ReasoningState::kBegun;
  if (end.ends_with(dialect->closer)) return ReasoningState::kEnded;
  return dialect->begins_begun ? ReasoningState::kBegun : ReasoningState::kNotBegun;
}

std::string reasoning_closer(std::string_view reasoning_dialect) {
  const ReasoningDialect* dialect = find_reasoning_dialect(reasoning_dialect);
  return dialect == nullptr ? std::string() : std::string(dialect->closer);
}

std::unique_ptr<CallParser> make_call_parser(std::string_view tool_dialect, std::shared_ptr<const ToolSet> tools) {
  const ToolDialect* dialect = find_tool_dialect(tool_dialect);
  return dialect == nullptr ? nullptr : dialect->make(std::move(tools));
}

std::optional<ReasoningSplitter> make_reasoning_splitter(std::string_view reasoning_dialect, bool begun) {
  const ReasoningDialect* dialect = find_reasoning_dialect(reasoning_dialect);
  if (dialect == nullptr) return std::nullopt;
  return ReasoningSplitter(std::string(dialect->opener), std::string(dialect->closer), begun);
}

}  // namespace sluice::text::answers
