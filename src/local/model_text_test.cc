// End tokens and recommended sampling, from each of the places where models keep them.

#include "local/model_text.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "checkpoint/testing.h"

namespace sluice::local {
namespace {

namespace test_files = checkpoint::test_files;

// A model directory with a tokenizer of bytes: a few letters and three special tokens.
class ModelTextTest : public testing::Test {
 protected:
  void write(std::string_view name, const Json& json) {
    test_files::write_text(directory_.file(name), dump_json(json));
  }
  void SetUp() override {
    Json vocab = Json::object();
    for (const char* token : {"a", "b", "c", "d"}) vocab[token] = vocab.size();
    Json added = Json::array();
    for (const char* token : {"<end>", "<turn>", "<call>"}) {
      added.push_back({{"id", vocab.size() + added.size()},
                       {"content", token},
                       {"special", true},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"single_word", false},
                       {"normalized", false}});
    }
    write("tokenizer.json",
          {{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}, {"added_tokens", added}});
    write("config.json", {{"model_type", "llama"}});
    test_files::write_safetensors(directory_.file("model.safetensors"), {{"x", "F32", {1}, std::string(4, '\0')}});
  }
  ModelText load() {
    const auto files = checkpoint::open_model(directory_.path());
    SLUICE_CHECK(files.ok(), files.error().message);
    auto text = load_model_text(*files, {});
    SLUICE_CHECK(text.ok(), text.error().message);
    return std::move(text).value();
  }
  const test_files::TemporaryDirectory directory_;
};

TEST_F(ModelTextTest, EndTokensOfAllFilesCount) {
  write("config.json", {{"model_type", "gemma3"}, {"eos_token_id", 4}, {"text_config", {{"eos_token_id", 6}}}});
  write("generation_config.json", {{"eos_token_id", {5, 4}}});
  EXPECT_EQ(load().eos, (std::vector<text::TokenId>{5, 4, 6}));
}

// Files that hold templates under several names: what transformers renders with tools and without, and which it refuses
// (tools/goldens/templates_named.py).
TEST_F(ModelTextTest, TemplatesAreChosenAsTransformersDoes) {
  const auto text = read_file(SLUICE_SOURCE_DIR "/tests/golden/templates/named.json");
  ASSERT_TRUE(text.ok());
  const Json cases = parse_json(*text).value();
  EXPECT_GE(cases.size(), 10U);
  for (const Json& one : cases) {
    const test_files::TemporaryDirectory extra;
    std::filesystem::copy(directory_.path(), extra.path(), std::filesystem::copy_options::recursive);
    for (const auto& [name, content] : one["files"].items()) {
      std::filesystem::create_directories(std::filesystem::path(extra.file(name)).parent_path());
      test_files::write_text(extra.file(name), content.get<std::string>());
    }
    const auto files = checkpoint::open_model(extra.path());
    ASSERT_TRUE(files.ok()) << files.error().message;
    const auto made = load_model_text(*files, {});
    ASSERT_TRUE(made.ok()) << made.error().message;
    for (const bool tools : {false, true}) {
      const Json& expected = one[tools ? "with_tools" : "without"];
      const text::ChatTemplate* chosen = made->templates.choose(tools);
      EXPECT_EQ(chosen == nullptr, expected.is_null()) << one["files"] << tools;
      if (chosen == nullptr || expected.is_null()) continue;
      const Json variables = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}};
      EXPECT_EQ(chosen->render(variables).value(), expected.get<std::string>()) << one["files"] << tools;
    }
  }
}

TEST_F(ModelTextTest, CallsAreWrittenAsTheTemplateForToolsShows) {
  write("tokenizer_config.json", {{"chat_template",
                                   {{{"name", "default"}, {"template", "{{ messages }}"}},
                                    {{"name", "tool_use"}, {"template", "{# <tool_call></tool_call> #}"}}}}});
  EXPECT_EQ(load().tool_dialect, "hermes");
}

TEST_F(ModelTextTest, TheTokenizersEndTokenCountsBesideOthers) {
  write("config.json", {{"model_type", "llama"}, {"eos_token_id", 5}});
  write("tokenizer_config.json", {{"eos_token", "<end>"}});
  EXPECT_EQ(load().eos, (std::vector<text::TokenId>{5, 4}));
}

TEST_F(ModelTextTest, SamplingIsWhatTheAuthorsRecommend) {
  write("generation_config.json", {{"do_sample", true},
                                   {"temperature", 0.6},
                                   {"top_p", 0.95},
                                   {"top_k", 20},
                                   {"min_p", 0.01},
                                   {"repetition_penalty", 1.05},
                                   {"max_new_tokens", 512}});
  const api::SamplingParams sampling = load().sampling;
  EXPECT_EQ(sampling.temperature, 0.6);
  EXPECT_EQ(sampling.top_p, 0.95);
  EXPECT_EQ(sampling.top_k, 20);
  EXPECT_EQ(sampling.min_p, 0.01);
  EXPECT_EQ(sampling.repetition_penalty, 1.05);
  EXPECT_EQ(sampling.max_tokens, 512);
}

TEST_F(ModelTextTest, NonsenseIsAnErrorThatNamesTheFile) {
  const std::pair<const char*, Json> wrong[] = {{"temperature", -1},
                                                {"temperature", "hot"},
                                                {"temperature", 1e9},
                                                {"top_p", 7},
                                                {"top_p", -0.5},
                                                {"top_p", Json::array({1})},
                                                {"min_p", 2},
                                                {"top_k", 0.5},
                                                {"top_k", "all"},
                                                {"do_sample", "yes"},
                                                {"max_new_tokens", "many"},
                                                {"repetition_penalty", 0},
                                                {"eos_token_id", "</s>"},
                                                {"eos_token_id", 1.5},
                                                {"eos_token_id", Json::array({4, nullptr})}};
  for (const auto& [key, value] : wrong) {
    write("generation_config.json", {{key, value}});
    const auto text = load_model_text(checkpoint::open_model(directory_.path()).value(), {});
    ASSERT_FALSE(text.ok()) << key << " " << dump_json(value);
    EXPECT_NE(text.error().message.find(directory_.file("generation_config.json") + ": "), std::string::npos);
    EXPECT_NE(text.error().message.find(key), std::string::npos) << text.error().message;
  }
  // Outside the vocabulary, of other libraries, or null: without meaning here.
  write("generation_config.json", {{"eos_token_id", {4, -1, 70000}},
                                   {"temperature", nullptr},
                                   {"top_k", -1},
                                   {"max_new_tokens", -5},
                                   {"num_beams", "many"},
                                   {"transformers_version", 4}});
  const ModelText text = load();
  EXPECT_EQ(text.eos, (std::vector<text::TokenId>{4}));
  EXPECT_FALSE(text.sampling.temperature);
}

TEST_F(ModelTextTest, NothingIsRecommendedWithoutTheFile) {
  const api::SamplingParams sampling = load().sampling;
  EXPECT_FALSE(sampling.temperature || sampling.top_p || sampling.top_k || sampling.min_p);
  EXPECT_EQ(sampling.max_tokens, 0);
}

}  // namespace
}  // namespace sluice::local
