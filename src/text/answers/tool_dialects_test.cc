#include "text/answers/tool_dialects.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/strings.h"

namespace sluice::text::answers {
namespace {

using Dialects = std::pair<std::string, std::string>;  // of calls, of reasoning

std::string templates_directory() {
  const char* shared = std::getenv("SLUICE_SHARED_DATA");
  return cat(shared != nullptr ? shared : SLUICE_SOURCE_DIR "/../shared/data", "/templates/llama.cpp");
}

// What each family's model card says it writes; "": a form that has no parser here.
const std::map<std::string, Dialects>& known_templates() {
  static const std::map<std::string, Dialects> kKnown = {
      {"Apertus-8B-Instruct", {"", ""}},
      {"Apriel-1.6-15b-Thinker-fixed", {"apriel", ""}},
      {"Bielik-11B-v3.0-Instruct", {"hermes", "qwen3"}},
      {"ByteDance-Seed-OSS", {"seed_oss", "seed_oss"}},
      {"Cohere2MoE", {"command_r7b", "command_r7b"}},
      {"CohereForAI-c4ai-command-r-plus-tool_use", {"", ""}},
      {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", {"command_r7b", "command_r7b"}},
      {"GLM-4.6", {"glm45", "glm45"}},
      {"GLM-4.7-Flash", {"glm45", "glm45"}},
      {"GigaChat3-10B-A1.8B", {"", ""}},
      {"GigaChat3.1-10B-A1.8B", {"", ""}},
      {"HuggingFaceTB-SmolLM3-3B", {"", "qwen3"}},
      {"Kimi-K2-Instruct", {"kimi_k2", ""}},
      {"Kimi-K2-Thinking", {"kimi_k2", "qwen3"}},
      {"LFM2-8B-A1B", {"pythonic", ""}},
      {"LFM2.5-8B-A1B", {"pythonic", "qwen3"}},
      {"LFM2.5-Instruct", {"", "qwen3"}},
      {"MiMo-VL", {"hermes", ""}},
      {"MiniMax-M2", {"minimax_m2", "qwen3"}},
      {"MiniMax-M3", {"", ""}},
      {"Mistral-Small-3.2-24B-Instruct-2506", {"mistral_v11", ""}},
      {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", {"qwen3_coder", "qwen3"}},
      {"NVIDIA-Nemotron-Nano-v2", {"nemotron", "qwen3"}},
      {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", {"hermes", ""}},
      {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", {"hermes", ""}},
      {"Qwen-QwQ-32B", {"hermes", "qwen3"}},
      {"Qwen-Qwen2.5-7B-Instruct", {"hermes", ""}},
      {"Qwen-Qwen3-0.6B", {"hermes", "qwen3"}},
      {"Qwen3-Coder", {"qwen3_coder", ""}},
      {"Qwen3.5-4B", {"qwen3_coder", "qwen3"}},
      {"Reka-Edge", {"hermes", "qwen3"}},
      {"StepFun3.5-Flash", {"qwen3_coder", "qwen3"}},
      {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", {"deepseek_v3", "deepseek_r1"}},
      {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", {"deepseek_v3", "deepseek_r1"}},
      {"deepseek-ai-DeepSeek-V3.1", {"deepseek_v31", "deepseek_r1"}},
      {"deepseek-ai-DeepSeek-V3.2", {"", "deepseek_r1"}},
      {"deepseek-ai-DeepSeek-V4", {"", "deepseek_r1"}},
      {"deepseek-ai-DeepSeek-V4-Flash-0731", {"", "deepseek_r1"}},
      {"fireworks-ai-llama-3-firefunction-v2", {"", ""}},
      {"google-gemma-2-2b-it", {"", ""}},
      {"google-gemma-4-31B-it", {"", ""}},
      {"google-gemma-4-31B-it-interleaved", {"", ""}},
      {"ibm-granite-granite-3.3-2B-Instruct", {"granite", "qwen3"}},
      {"ibm-granite-granite-4.0", {"hermes", ""}},
      {"ibm-granite-granite-4.1", {"hermes", ""}},
      {"llama-cpp-deepseek-r1", {"deepseek_v3", "deepseek_r1"}},
      {"llama-cpp-rwkv-world", {"", "qwen3"}},
      {"meetkai-functionary-medium-v3.1", {"", ""}},
      {"meetkai-functionary-medium-v3.2", {"", ""}},
      {"meta-llama-Llama-3.1-8B-Instruct", {"llama3_json", ""}},
      {"meta-llama-Llama-3.2-3B-Instruct", {"llama3_json", ""}},
      {"meta-llama-Llama-3.3-70B-Instruct", {"llama3_json", ""}},
      {"microsoft-Phi-3.5-mini-instruct", {"", ""}},
      {"mistralai-Ministral-3-14B-Reasoning-2512", {"mistral_v11", "mistral"}},
      {"mistralai-Mistral-Nemo-Instruct-2407", {"mistral", ""}},
      {"moonshotai-Kimi-K2", {"kimi_k2", ""}},
      {"openai-gpt-oss-120b", {"harmony", "harmony"}},
      {"openbmb-MiniCPM5-1B", {"", "qwen3"}},
      {"poolside-Laguna-S-2.1", {"glm45", "qwen3"}},
      {"poolside-Laguna-XS-2.1", {"glm45", "qwen3"}},
      {"poolside-Laguna-XS.2", {"glm45", "qwen3"}},
      {"tencent-Hy3", {"", ""}},
      {"unsloth-Apriel-1.5", {"apriel", ""}},
      {"unsloth-mistral-Devstral-Small-2507", {"mistral_v11", ""}},
      {"upstage-Solar-Open-100B", {"", ""}},
  };
  return kKnown;
}

TEST(Detection, EveryKnownTemplate) {
  const std::string directory = templates_directory();
  if (!std::filesystem::is_directory(directory)) GTEST_SKIP() << "no templates at " << directory;
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != ".jinja") continue;
    const auto known = known_templates().find(entry.path().stem().string());
    if (known == known_templates().end()) continue;
    const auto source = read_file(entry.path().string());
    ASSERT_TRUE(source.ok());
    EXPECT_EQ(detect_tool_dialect(*source), known->second.first) << entry.path();
    EXPECT_EQ(detect_reasoning_dialect(*source), known->second.second) << entry.path();
    ++found;
  }
  EXPECT_GE(found, 60);
}

// Lines of templates that are not among the files above.
TEST(Detection, FamiliesByTheirOwnWords) {
  const std::pair<std::string, std::string> kTemplates[] = {
      {"[gMASK]<sop>{%- if tools -%}<|system|>\n# 可用工具{% endif %}{% if m.role == 'tool' %}<|observation|>{% endif "
       "%}",
       "glm4"},
      {"[gMASK]<sop>{% for item in messages %}{% if item['tools'] is defined %}<|system|>{% endif %}{% endfor %}",
       "glm4"},
      {"<|header_start|>system<|header_end|> [func_name1(params_name1=params_value1, params_name2=params_value2...), "
       "func_name2(params)]",
       "pythonic"},
      {"<|system|>{{ m.content }}<|tool|>{{ m['tools'] }}<|/tool|><|end|>", "phi4_mini"},
      {"<start_of_turn>user\n{{ m.content }}<end_of_turn>", ""},
      {"", ""},
  };
  for (const auto& [source, dialect] : kTemplates) EXPECT_EQ(detect_tool_dialect(source), dialect) << source;
}

TEST(Dialects, CanBeForcedToBegin) {
  for (const std::string_view dialect : tool_dialect_names()) {
    const auto opening = forced_opening(dialect, "get_weather");
    ASSERT_TRUE(opening.has_value()) << dialect;
    EXPECT_NE(opening->find("get_weather"), std::string::npos);
  }
  EXPECT_EQ(forced_opening("hermes", "f"), "<tool_call>\n{\"name\": \"f\", \"arguments\":");
  EXPECT_EQ(forced_opening("hermes", ""), "<tool_call>\n{\"name\": \"");
  EXPECT_FALSE(forced_opening("glm4", "").has_value());
  EXPECT_FALSE(forced_opening("", "f").has_value());
}

TEST(ReasoningStates, AreReadOffThePrompt) {
  EXPECT_EQ(reasoning_state("qwen3", "<|im_start|>assistant\n"), ReasoningState::kNotBegun);
  EXPECT_EQ(reasoning_state("qwen3", "<|im_start|>assistant\n<think>\n"), ReasoningState::kBegun);
  EXPECT_EQ(reasoning_state("qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n"), ReasoningState::kEnded);
  EXPECT_EQ(reasoning_state("deepseek_r1", "<｜Assistant｜>"), ReasoningState::kBegun);
  EXPECT_EQ(reasoning_state("deepseek_r1", "<｜Assistant｜></think>"), ReasoningState::kEnded);
  EXPECT_EQ(reasoning_state("", "<think>"), ReasoningState::kNotBegun);
}

}  // namespace
}  // namespace sluice::text::answers
