// Real vocabularies: the .inp/.out pairs of llama.cpp (made with Hugging Face tokenizers), where the shared data is.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/tokenizer.h"

namespace sluice::text {
namespace {

std::string shared(const std::string& path) {
  const char* set = std::getenv("SLUICE_SHARED_DATA");
  return (set != nullptr ? std::string(set) : std::string(SLUICE_SOURCE_DIR) + "/../shared/data") + "/tokenizers/" +
         path;
}

// The metadata of a GGUF file, as far as a vocabulary needs it.
class GgufMetadata {
 public:
  explicit GgufMetadata(std::string file) : file_(std::move(file)) {
    at_ = 16;
    const auto count = read<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) entry();
  }
  GgufVocabulary vocabulary;

 private:
  template <class T>
  T read() {
    T value{};
    std::memcpy(&value, file_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text() {
    const auto size = read<uint64_t>();
    at_ += size;
    return file_.substr(at_ - size, size);
  }
  static size_t width(uint32_t type) { return type <= 1 || type == 7 ? 1 : type <= 3 ? 2 : type <= 6 ? 4 : 8; }

  void entry() {
    const std::string key = text();
    const auto type = read<uint32_t>();
    if (type == 8) {
      const std::string value = text();
      if (key == "tokenizer.ggml.model") vocabulary.model = value;
      if (key == "tokenizer.ggml.pre") vocabulary.pre = value;
    } else if (type == 9) {
      array(key);
    } else {
      int32_t value = 0;
      std::memcpy(&value, file_.data() + at_, width(type) < 4 ? 1 : 4);
      at_ += width(type);
      if (key == "tokenizer.ggml.bos_token_id") vocabulary.bos = value;
      if (key == "tokenizer.ggml.eos_token_id") vocabulary.eos = value;
      if (key == "tokenizer.ggml.unknown_token_id") vocabulary.unk = value;
      if (key == "tokenizer.ggml.add_space_prefix") vocabulary.add_space_prefix = value != 0;
    }
  }
  void array(const std::string& key) {
    const auto type = read<uint32_t>();
    const auto count = read<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) {
      if (type == 8) {
        std::string value = text();
        if (key == "tokenizer.ggml.tokens")
          vocabulary.tokens.push_back(std::move(value));
        else if (key == "tokenizer.ggml.merges")
          vocabulary.merges.push_back(std::move(value));
      } else if (key == "tokenizer.ggml.scores") {
        vocabulary.scores.push_back(read<float>());
      } else if (key == "tokenizer.ggml.token_type") {
        vocabulary.types.push_back(read<int32_t>());
      } else {
        at_ += width(type);
      }
    }
  }

  std::string file_;
  size_t at_ = 0;
};

// Compares with every pair of <name>.gguf.inp and .out.
void expect_pairs(const Tokenizer& tokenizer, const std::string& name) {
  auto inputs = read_file(shared("llama.cpp-vocab/ggml-vocab-" + name + ".gguf.inp"));
  auto outputs = read_file(shared("llama.cpp-vocab/ggml-vocab-" + name + ".gguf.out"));
  ASSERT_TRUE(inputs.ok() && outputs.ok()) << name;
  constexpr std::string_view kBorder = "\n__ggml_vocab_test__\n";
  std::istringstream lines(*outputs);
  std::string line;
  size_t begin = 0, pairs = 0;
  for (size_t end = 0; (end = inputs->find(kBorder, begin)) != std::string::npos; begin = end + kBorder.size()) {
    const std::string text = inputs->substr(begin, end - begin);
    ASSERT_TRUE(std::getline(lines, line)) << name;
    std::vector<TokenId> ids;
    std::istringstream numbers(line);
    for (TokenId id = 0; numbers >> id;) ids.push_back(id);
    EXPECT_EQ(tokenizer.encode(text, {.add_special = false, .parse_special = false}), ids) << name << ": " << text;
    ++pairs;
  }
  EXPECT_GE(pairs, 40u) << name;
}

class GgufVocabularyFile : public testing::TestWithParam<std::string> {};

TEST_P(GgufVocabularyFile, EncodesAsTheReference) {
  const std::string path = shared("llama.cpp-vocab/ggml-vocab-" + GetParam() + ".gguf");
  if (!file_exists(path)) GTEST_SKIP() << "no shared data: " << path;
  const auto tokenizer = Tokenizer::from_gguf(GgufMetadata(*read_file(path)).vocabulary);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  expect_pairs(**tokenizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, GgufVocabularyFile,
                         testing::Values("bert-bge", "deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "llama-spm",
                                         "mpt", "phi-3", "refact", "starcoder"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(DirectoryVocabulary, Qwen2FromVocabAndMerges) {
  if (!file_exists(shared("qwen2/vocab.json"))) GTEST_SKIP() << "no shared data: qwen2";
  const auto tokenizer = Tokenizer::from_directory(shared("qwen2"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  expect_pairs(**tokenizer, "qwen2");
  EXPECT_EQ((*tokenizer)->token_id("<|im_start|>"), (*tokenizer)->encode("<|im_start|>")[0]);
}

TEST(DirectoryVocabulary, Llama3FromVocabMergesAndPreTokenizerName) {
  if (!file_exists(shared("llama3.2-bpe/llama3.2/encoder.json"))) GTEST_SKIP() << "no shared data: llama3.2-bpe";
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "llama-bpe";
  // Not base/json.h: its objects keep their order and take quadratic time for this many keys.
  const auto encoder = nlohmann::json::parse(*read_file(shared("llama3.2-bpe/llama3.2/encoder.json")));
  for (const auto& [token, id] : encoder.items()) {
    const auto i = id.get<size_t>();
    if (vocabulary.tokens.size() <= i) vocabulary.tokens.resize(i + 1);
    vocabulary.tokens[i] = token;
  }
  for (const std::string& line : split(*read_file(shared("llama3.2-bpe/llama3.2/vocab.bpe")), '\n')) {
    if (!line.empty() && !line.starts_with("#version")) vocabulary.merges.push_back(line);
  }
  const auto tokenizer = Tokenizer::from_gguf(std::move(vocabulary));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  expect_pairs(**tokenizer, "llama-bpe");
}

TEST(DirectoryVocabulary, Llama3FromTiktoken) {
  const std::string path = shared("llama3-tiktoken/test_tiktoken_tokenizer.model");
  if (!file_exists(path)) GTEST_SKIP() << "no shared data: " << path;
  const auto tokenizer = Tokenizer::from_file(path);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  expect_pairs(**tokenizer, "llama-bpe");
  EXPECT_EQ((*tokenizer)->token_id("<|eot_id|>"), 128009);
  for (const char* broken : {"invalid_base64", "invalid_rank", "no_space"}) {
    const auto made = Tokenizer::from_file(shared(cat("llama3-tiktoken/test_tiktoken_", broken, ".model")));
    EXPECT_FALSE(made.ok()) << broken;
  }
}

TEST(DirectoryVocabulary, Llama2FromSentencePiece) {
  if (!file_exists(shared("llama2-sp/tokenizer.model"))) GTEST_SKIP() << "no shared data: llama2-sp";
  const auto tokenizer = Tokenizer::from_file(shared("llama2-sp/tokenizer.model"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  expect_pairs(**tokenizer, "llama-spm");
}

}  // namespace
}  // namespace sluice::text
