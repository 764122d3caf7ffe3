// Files that other programs wrote: Hugging Face's and llama.cpp's. What is expected of the vocabularies was counted
// with the `gguf` Python package.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "checkpoint/model_files.h"
#include "checkpoint/testing.h"
#include "tensor/quantize.h"

namespace sluice::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

#define SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "shared data is not here: " << path

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> out(static_cast<size_t>(tensor.shape.elements()));
  dequantize_row(tensor.dtype, tensor.data, out.data(), tensor.shape.elements());
  return out;
}

TEST(RealFiles, Stories260KFromHuggingFace) {
  const std::string path = test_files::shared_data("weights/stories260K/hf");
  SKIP_WITHOUT(path);
  const auto model = open_model(path);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->kind, ModelKind::kHuggingFace);
  EXPECT_EQ(model->name, "hf");
  EXPECT_EQ(model->config["model_type"], "llama");
  EXPECT_EQ(model->config["hidden_size"], 64);
  EXPECT_EQ(model->generation_config["eos_token_id"], Json::parse("[1,2]"));
  EXPECT_EQ(model->tokenizer_config["bos_token"], "<s>");
  EXPECT_TRUE(model->templates.empty());
  EXPECT_EQ(model->weights.entries().size(), 47u);
  const auto embedding = model->weights.tensor("model.embed_tokens.weight");
  ASSERT_TRUE(embedding.ok());
  EXPECT_TRUE((embedding->shape == Shape{512, 64}));
  EXPECT_TRUE((model->weights.tensor("model.layers.0.mlp.down_proj.weight")->shape == Shape{64, 172}));
  EXPECT_TRUE(model->weights.verify_unchanged().ok());
}

TEST(RealFiles, Stories260KIsTheSameInBothFormats) {
  const std::string folder = test_files::shared_data("weights/stories260K");
  SKIP_WITHOUT(folder);
  const auto hf = open_model(folder + "/hf");
  const auto f32 = open_model(folder + "/gguf/stories260K-F32.gguf");
  const auto q8 = open_model(folder + "/gguf/stories260K-Q8_0.gguf");
  ASSERT_TRUE(hf.ok() && f32.ok() && q8.ok());
  EXPECT_EQ(f32->name, "stories260K-F32");
  EXPECT_EQ(f32->weights.entries().size(), 47u);
  const std::pair<const char*, const char*> names[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"blk.4.ffn_gate.weight", "model.layers.4.mlp.gate_proj.weight"},
      {"blk.4.ffn_down.weight", "model.layers.4.mlp.down_proj.weight"},
      {"blk.2.attn_v.weight", "model.layers.2.self_attn.v_proj.weight"}};
  for (const auto& [gguf_name, hf_name] : names) {
    const auto a = f32->weights.tensor(gguf_name);
    const auto b = hf->weights.tensor(hf_name);
    ASSERT_TRUE(a.ok() && b.ok()) << gguf_name;
    EXPECT_TRUE(a->shape == b->shape) << a->shape.str() << " and " << b->shape.str();
    EXPECT_EQ(std::memcmp(a->data, b->data, a->bytes()), 0) << gguf_name;
  }
  // llama.cpp's quantiser made the second file from the first: ours must agree to the byte.
  int quantized = 0;
  for (const WeightEntry& entry : q8->weights.entries()) {
    const auto stored = q8->weights.tensor(entry.name);
    const auto source = f32->weights.tensor(entry.name);
    ASSERT_TRUE(stored.ok() && source.ok()) << entry.name;
    ASSERT_TRUE(stored->shape == source->shape);
    std::vector<std::byte> ours(stored->bytes());
    quantize_row(stored->dtype, floats_of(*source).data(), ours.data(), source->shape.elements());
    EXPECT_EQ(std::memcmp(ours.data(), stored->data, ours.size()), 0) << entry.name;
    if (stored->dtype == DType::kQ8_0) ++quantized;
  }
  EXPECT_EQ(quantized, 31);
}

TEST(RealFiles, Stories260KMetadata) {
  const std::string path = test_files::shared_data("weights/stories260K/gguf/stories260K-Q8_0.gguf");
  SKIP_WITHOUT(path);
  const auto model = open_model(path);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(*model->metadata.string("general.architecture"), "llama");
  EXPECT_EQ(*model->metadata.integer("llama.attention.head_count_kv"), 4);
  EXPECT_EQ(static_cast<float>(*model->metadata.number("llama.attention.layer_norm_rms_epsilon")), 1e-5f);
  EXPECT_EQ(model->metadata.keys().size(), 25u);
  const auto vocabulary = read_gguf_vocabulary(model->metadata);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->tokens[3], "<0x00>");
  EXPECT_EQ(vocabulary->types[3], 6);
  EXPECT_EQ(vocabulary->scores.size(), 512u);
  EXPECT_EQ(vocabulary->add_bos, true);
  EXPECT_EQ(vocabulary->add_eos, false);
}

uint32_t crc32(uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

struct Vocabulary {
  const char* name;
  const char* model;
  const char* pre;
  size_t tokens, merges;
  std::optional<int32_t> bos, eos, unk;
  uint32_t tokens_crc;  // of all tokens, one after another
};

constexpr Vocabulary kVocabularies[] = {
    {"baichuan", "llama", "", 64000, 0, 1, 2, {}, 0xbb4f83bf},
    {"bert-bge", "bert", "bert-bge", 30522, 0, {}, {}, 100, 0x4fc167d6},
    {"deepseek-coder", "gpt2", "deepseek-coder", 32256, 31757, 32013, 32014, {}, 0x1b88f9f3},
    {"deepseek-llm", "gpt2", "deepseek-llm", 102400, 99757, 100000, 100001, {}, 0x60fc8427},
    {"falcon", "gpt2", "falcon", 65024, 64784, 11, 11, {}, 0x7be96d09},
    {"gpt-2", "gpt2", "gpt-2", 50257, 50000, 50256, 50256, {}, 0xc3540d8b},
    {"gpt-neox", "gpt2", "", 50432, 50009, 0, 0, 0, 0xbb6e99b3},
    {"llama-spm", "llama", "default", 32000, 0, 1, 2, 0, 0x1c02b3e0},
    {"mpt", "gpt2", "mpt", 50432, 50009, 0, 0, 0, 0xbb6e99b3},
    {"phi-3", "llama", "default", 32064, 0, 1, 32000, 0, 0x97445cb3},
    {"refact", "gpt2", "refact", 49216, 48891, 0, 0, 0, 0x1caf6693},
    {"starcoder", "gpt2", "starcoder", 49152, 48872, 0, 0, 0, 0xcd3485a3},
};

TEST(RealFiles, VocabulariesOfLlamaCpp) {
  const std::string folder = test_files::shared_data("tokenizers/llama.cpp-vocab");
  SKIP_WITHOUT(folder);
  for (const Vocabulary& expected : kVocabularies) {
    const auto model = open_model(cat(folder, "/ggml-vocab-", expected.name, ".gguf"));
    ASSERT_TRUE(model.ok()) << model.error().message;
    const auto actual = read_gguf_vocabulary(model->metadata);
    ASSERT_TRUE(actual.ok()) << actual.error().message;
    EXPECT_EQ(actual->model, expected.model) << expected.name;
    EXPECT_EQ(actual->pre, expected.pre) << expected.name;
    EXPECT_EQ(actual->tokens.size(), expected.tokens) << expected.name;
    EXPECT_EQ(actual->merges.size(), expected.merges) << expected.name;
    EXPECT_EQ(actual->bos, expected.bos) << expected.name;
    EXPECT_EQ(actual->eos, expected.eos) << expected.name;
    EXPECT_EQ(actual->unk, expected.unk) << expected.name;
    uint32_t crc = 0;
    for (const std::string& token : actual->tokens) crc = crc32(crc, token);
    EXPECT_EQ(crc, expected.tokens_crc) << expected.name;
    EXPECT_TRUE(model->weights.entries().empty());
  }
}

TEST(RealFiles, TemplatesOfTokenizerConfigs) {
  const std::string folder = test_files::shared_data("tokenizers");
  SKIP_WITHOUT(folder);
  const auto templates_of = [&](const std::string& name) {
    const std::string path = folder + "/" + name + "/tokenizer_config.json";
    return parse_chat_templates(*parse_config(*read_file(path), path), path);
  };
  const auto qwen = templates_of("qwen2");
  ASSERT_TRUE(qwen.ok());
  ASSERT_EQ(qwen->size(), 1u);
  EXPECT_THAT(qwen->front().source, HasSubstr("{% set system_message = 'You are a helpful assistant.' %}"));
  EXPECT_THAT(templates_of("gpt2-phi3-whisper/phi3-v")->front().source, HasSubstr("<|"));
}

}  // namespace
}  // namespace sluice::checkpoint
