// The pre-tokenizers that GGUF files name, against Hugging Face tokenizers with the splits they stand for
// (tests/golden/tokenizers/gguf_pre.json, written by tools/goldens/text_tokenizers.py).

#include "text/tokenizer_gguf_patterns.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "text/pre_tokenizer.h"

namespace sluice::text {
namespace {

TEST(GgufPreTokenizers, CutAsTheReference) {
  const auto file = read_file(std::string(SLUICE_SOURCE_DIR) + "/tests/golden/tokenizers/gguf_pre.json");
  ASSERT_TRUE(file.ok());
  const auto golden = parse_json(*file);
  ASSERT_TRUE(golden.ok());
  const auto texts = (*golden)["texts"].get<std::vector<std::string>>();
  for (const Json& row : (*golden)["rows"]) {
    const auto name = row[0].get<std::string>();
    const PreRule* rule = find_pre_rule(name);
    ASSERT_NE(rule, nullptr) << name;
    const auto cutter = PreTokenizer::patterns_only(rule->patterns);
    ASSERT_TRUE(cutter.ok()) << name << ": " << cutter.error().message;
    for (size_t i = 0; i < texts.size(); ++i) {
      Pieces pieces;
      pieces.text = texts[i];
      if (!texts[i].empty()) pieces.ranges = {{0, texts[i].size()}};
      cutter->apply(pieces);
      std::vector<size_t> lengths;
      for (const auto& range : pieces.ranges) lengths.push_back(range.end - range.begin);
      EXPECT_EQ(lengths, row[1][i].get<std::vector<size_t>>()) << name << ": " << texts[i];
    }
  }
}

// Every name that llama.cpp knows for byte-pair vocabularies.
TEST(GgufPreTokenizers, EveryNameCompiles) {
  for (const char* name : {"default",
                           "minicpm5",
                           "llama3",
                           "llama-v3",
                           "llama-bpe",
                           "falcon3",
                           "falcon-h1",
                           "pixtral",
                           "midm-2.0",
                           "lfm2",
                           "jina-v5-nano",
                           "deepseek-llm",
                           "deepseek-coder",
                           "deepseek-v3",
                           "spark2_5",
                           "youtu",
                           "falcon",
                           "mpt",
                           "starcoder",
                           "gpt-2",
                           "phi-2",
                           "jina-es",
                           "jina-de",
                           "gigachat",
                           "jina-v2-es",
                           "jina-v2-de",
                           "a.x-4.0",
                           "mellum",
                           "modern-bert",
                           "jais-2",
                           "gemma4",
                           "granite-embed-multi-311m",
                           "sarvam-moe",
                           "jina-v1-en",
                           "jina-v2-code",
                           "roberta-bpe",
                           "refact",
                           "command-r",
                           "qwen2",
                           "deepseek-r1-qwen",
                           "kormo",
                           "f2llmv2",
                           "qwen35",
                           "stablelm2",
                           "olmo",
                           "dbrx",
                           "smaug-bpe",
                           "poro-chat",
                           "glm4",
                           "chatglm-bpe",
                           "viking",
                           "jais",
                           "tekken",
                           "smollm",
                           "codeshell",
                           "bloom",
                           "gpt3-finnish",
                           "exaone",
                           "exaone4",
                           "exaone-moe",
                           "chameleon",
                           "minerva-7b",
                           "megrez",
                           "gpt-4o",
                           "llama4",
                           "kanana2",
                           "talkie",
                           "granite-embed-multi-97m",
                           "tiny_aya",
                           "cohere2moe",
                           "superbpe",
                           "trillion",
                           "granite-docling",
                           "bailingmoe",
                           "bailingmoe2",
                           "llada-moe",
                           "seed-coder",
                           "hunyuan",
                           "hunyuan-dense",
                           "hy_v4",
                           "joyai-llm",
                           "kimi-k2",
                           "ufakzeka",
                           "grok-2",
                           "afmoe",
                           "laguna",
                           "minimax-m2",
                           "solar-open",
                           "mellum2"}) {
    const PreRule* rule = find_pre_rule(name);
    ASSERT_NE(rule, nullptr) << name;
    EXPECT_TRUE(PreTokenizer::patterns_only(rule->patterns).ok()) << name;
  }
  EXPECT_EQ(find_pre_rule("sourdough"), nullptr);
}

}  // namespace
}  // namespace sluice::text
