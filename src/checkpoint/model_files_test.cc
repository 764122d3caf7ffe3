#include "checkpoint/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/testing.h"

namespace sluice::checkpoint {
namespace {

using test_files::GgufWriter;
using test_files::TemporaryDirectory;
using test_files::write_text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void write_weights(const std::string& path) {
  test_files::write_safetensors(path, {{"w", "F32", {1}, std::string(4, '\0')}});
}

GgufWriter small_gguf() {
  GgufWriter gguf;
  gguf.string("general.architecture", "llama");
  gguf.tensor({"w", 0, {1}, std::string(4, '\0')});
  return gguf;
}

std::string error_of(const std::string& path) {
  const auto model = open_model(path);
  return model.ok() ? "no error" : model.error().message;
}

TEST(ModelFiles, OpensAHuggingFaceDirectory) {
  TemporaryDirectory dir;
  const std::string folder = dir.file("My-Model");
  std::filesystem::create_directory(folder);
  write_weights(folder + "/model.safetensors");
  EXPECT_THAT(error_of(folder), HasSubstr("config.json is missing"));
  write_text(folder + "/config.json",
             R"({"model_type": "llama", "limit": [0.0, Infinity, -Infinity, NaN], "text": "NaN \" Infinity"})");
  for (const std::string& path : {folder, folder + "/", folder + "/../My-Model/."}) {
    const auto model = open_model(path);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(model->kind, ModelKind::kHuggingFace);
    EXPECT_EQ(model->name, "My-Model");
    EXPECT_EQ(model->path, path);
    EXPECT_EQ(model->config["model_type"], "llama");
    EXPECT_EQ(model->config["limit"][1], std::numeric_limits<double>::max());
    EXPECT_EQ(model->config["limit"][2], -std::numeric_limits<double>::max());
    EXPECT_TRUE(model->config["limit"][3].is_null());
    EXPECT_EQ(model->config["text"], "NaN \" Infinity");
    EXPECT_TRUE(model->generation_config.is_null());
    EXPECT_TRUE(model->tokenizer_config.is_null());
    EXPECT_TRUE(model->templates.empty());
    EXPECT_TRUE(model->weights.contains("w"));
  }
  write_text(folder + "/generation_config.json", "{\"eos_token_id\": 2");
  EXPECT_THAT(error_of(folder), HasSubstr("generation_config.json: not valid JSON"));
  write_text(folder + "/generation_config.json", "[]");
  EXPECT_THAT(error_of(folder), HasSubstr("generation_config.json: expected a JSON object"));
}

TEST(ModelFiles, NamesOfSpecialTokensComeFromEveryPlace) {
  const test_files::TemporaryDirectory folder;
  write_weights(folder.file("model.safetensors"));
  test_files::write_text(folder.file("config.json"), "{}");
  write_text(folder.file("special_tokens_map.json"), R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}})");
  EXPECT_EQ(open_model(folder.path())->tokenizer_config["bos_token"], "<s>");
  test_files::write_text(folder.file("tokenizer_config.json"),
                         R"({"bos_token": "<b>", "extra_special_tokens": {"image_token": "<i>"}})");
  auto config = open_model(folder.path())->tokenizer_config;
  EXPECT_EQ(config["bos_token"], "<s>");
  EXPECT_EQ(config["eos_token"]["content"], "</s>");
  EXPECT_EQ(config["image_token"], "<i>");
  test_files::write_text(folder.file("tokenizer_config.json"), R"({"bos_token": "<b>", "added_tokens_decoder": {}})");
  config = open_model(folder.path())->tokenizer_config;
  EXPECT_EQ(config["bos_token"], "<b>");
  EXPECT_FALSE(config.contains("eos_token"));
}

TEST(ModelFiles, NamesAModelOfTheHubCache) {
  TemporaryDirectory dir;
  const std::string folder = dir.file("models--zai-org--AutoGLM-Phone-9B/snapshots/0123abcd");
  std::filesystem::create_directories(folder);
  std::filesystem::create_directory(dir.file("blobs"));
  write_weights(dir.file("blobs/aaaa"));
  std::filesystem::create_symlink(dir.file("blobs/aaaa"), folder + "/model.safetensors");
  write_text(folder + "/config.json", "{}");
  const auto model = open_model(folder);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->name, "zai-org/AutoGLM-Phone-9B");
}

TEST(ModelFiles, PrefersTheTemplateOfTheNewestPlace) {
  TemporaryDirectory dir;
  write_weights(dir.file("model.safetensors"));
  write_text(dir.file("config.json"), "{}");
  const auto templates = [&] {
    std::vector<std::string> out;
    const auto model = open_model(dir.path());
    EXPECT_TRUE(model.ok());
    if (model.ok()) {
      for (const NamedTemplate& each : model->templates) out.push_back(each.name + "=" + each.source);
    }
    return out;
  };
  write_text(dir.file("tokenizer_config.json"), R"({"chat_template": "old", "eos_token": "</s>"})");
  EXPECT_THAT(templates(), ElementsAre("default=old"));
  write_text(dir.file("tokenizer_config.json"),
             R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_THAT(templates(), ElementsAre("default=d", "tool_use=t"));
  write_text(dir.file("tokenizer_config.json"), R"({"chat_template": [{"name": "default", "template": "d"},
             {"name": "rag", "template": "r"}, {"name": "default", "template": "last"}]})");
  EXPECT_THAT(templates(), ElementsAre("default=last", "rag=r"));
  write_text(dir.file("chat_template.json"), R"({"chat_template": "json"})");
  EXPECT_THAT(templates(), ElementsAre("default=json"));
  write_text(dir.file("chat_template.jinja"), "{{ jinja }}\n");
  EXPECT_THAT(templates(), ElementsAre("default={{ jinja }}\n"));
  std::filesystem::create_directory(dir.file("additional_chat_templates"));
  write_text(dir.file("additional_chat_templates/rag.jinja"), "r");
  EXPECT_THAT(templates(), ElementsAre("default={{ jinja }}\n", "rag=r"));
  write_text(dir.file("additional_chat_templates/default.jinja"), "more");
  EXPECT_THAT(templates(), ElementsAre("default=more", "rag=r"));
}

TEST(ChatTemplates, RefusesWrongForms) {
  for (const char* text :
       {R"({"chat_template": 1})", R"({"chat_template": [1]})", R"({"chat_template": [{"name": "x"}]})",
        R"({"chat_template": [{"name": "x", "template": 1}]})", R"({"chat_template": {"x": 1}})"}) {
    const auto templates = parse_chat_templates(*parse_json(text), "c.json");
    ASSERT_FALSE(templates.ok()) << text;
    EXPECT_THAT(templates.error().message, HasSubstr("c.json"));
  }
  EXPECT_TRUE(parse_chat_templates(Json(), "c.json")->empty());
  EXPECT_TRUE(parse_chat_templates(*parse_json(R"({"chat_template": null})"), "c.json")->empty());
  EXPECT_EQ(
      parse_chat_templates(*parse_json(R"({"chat_template": {"a": "1", "default": "2"}})"), "c.json")->front().source,
      "2");
}

TEST(ModelFiles, OpensGgufByFileAndByDirectory) {
  TemporaryDirectory dir;
  GgufWriter gguf = small_gguf();
  gguf.string("tokenizer.chat_template", "main");
  gguf.strings("tokenizer.chat_templates", {"tool_use"});
  gguf.string("tokenizer.chat_template.tool_use", "tools");
  gguf.write(dir.file("Tiny-Q8_0.gguf"));
  small_gguf().write(dir.file("mmproj-Tiny.gguf"));
  write_text(dir.file("README.md"), "x");
  for (const std::string& path : {dir.path(), dir.file("Tiny-Q8_0.gguf")}) {
    const auto model = open_model(path);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(model->kind, ModelKind::kGguf);
    EXPECT_EQ(model->name, "Tiny-Q8_0");
    EXPECT_EQ(model->directory, dir.path());
    EXPECT_TRUE(model->config.is_null());
    EXPECT_EQ(*model->metadata.string("general.architecture"), "llama");
    ASSERT_EQ(model->templates.size(), 2U);
    EXPECT_EQ(model->templates[0].name + "=" + model->templates[0].source, "default=main");
    EXPECT_EQ(model->templates[1].name + "=" + model->templates[1].source, "tool_use=tools");
    EXPECT_TRUE(model->weights.contains("w"));
  }
  std::filesystem::copy_file(dir.file("Tiny-Q8_0.gguf"), dir.file("sha256-abc"));
  EXPECT_EQ(open_model(dir.file("sha256-abc"))->name, "sha256-abc");
  small_gguf().write(dir.file("Second.gguf"));
  EXPECT_THAT(error_of(dir.path()), HasSubstr("holds 2 GGUF models (Second.gguf, Tiny-Q8_0.gguf)"));
}

TEST(ModelFiles, SaysWhatItLookedFor) {
  TemporaryDirectory dir;
  EXPECT_THAT(error_of(dir.file("absent")), HasSubstr("there is no model at"));
  EXPECT_THAT(error_of(dir.path()), HasSubstr("looked for config.json with *.safetensors, and for *.gguf"));
  write_text(dir.file("config.json"), "{}");
  write_text(dir.file("notes.txt"), "hello");
  EXPECT_THAT(error_of(dir.file("notes.txt")), HasSubstr("neither a directory nor a GGUF file"));
  EXPECT_THAT(error_of(dir.file("config.json")), HasSubstr("give the directory"));
  write_text(dir.file("pytorch_model-00001-of-00002.bin"), "x");
  const auto model = open_model(dir.path());
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kUnimplemented);
  EXPECT_THAT(model.error().message, HasSubstr("pytorch_model-00001-of-00002.bin"));
  EXPECT_THAT(model.error().message, HasSubstr("convert them to safetensors"));
}

TEST(ModelFiles, KnowsAnAdapterAndOtherFrameworks) {
  TemporaryDirectory dir;
  write_text(dir.file("adapter_config.json"), "{}");
  write_weights(dir.file("adapter_model.safetensors"));
  EXPECT_THAT(error_of(dir.path()), HasSubstr("adapter"));
  write_text(dir.file("tf_model.h5"), "x");
  EXPECT_THAT(error_of(dir.path()), HasSubstr("tf_model.h5"));
}

TEST(GgufVocabulary, GivesPlainArrays) {
  GgufWriter gguf;
  gguf.string("tokenizer.ggml.model", "llama");
  gguf.strings("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a"});
  gguf.f32s("tokenizer.ggml.scores", {0, 0, 0, -1.5f});
  gguf.i32s("tokenizer.ggml.token_type", {2, 3, 3, 1});
  gguf.u32("tokenizer.ggml.bos_token_id", 1);
  gguf.u32("tokenizer.ggml.eos_token_id", 2);
  gguf.u32("tokenizer.ggml.padding_token_id", 0xFFFFFFFF);
  gguf.i32("tokenizer.ggml.unknown_token_id", -1);
  gguf.u32("tokenizer.ggml.eot_token_id", 4);
  gguf.boolean("tokenizer.ggml.add_bos_token", false);
  const std::string bytes = gguf.bytes();
  const auto file = read_gguf(WeightFile::from_memory("v.gguf", test_files::as_bytes(bytes)));
  ASSERT_TRUE(file.ok());
  const auto vocabulary = read_gguf_vocabulary(file->metadata);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->model, "llama");
  EXPECT_EQ(vocabulary->pre, "");
  EXPECT_THAT(vocabulary->tokens, ElementsAre("<unk>", "<s>", "</s>", "a"));
  EXPECT_THAT(vocabulary->scores, ElementsAre(0, 0, 0, -1.5f));
  EXPECT_THAT(vocabulary->types, ElementsAre(2, 3, 3, 1));
  EXPECT_EQ(vocabulary->bos, 1);
  EXPECT_EQ(vocabulary->eos, 2);
  EXPECT_FALSE(vocabulary->pad || vocabulary->unk || vocabulary->eot) << "ids outside the vocabulary mean none";
  EXPECT_EQ(vocabulary->add_bos, false);
  EXPECT_FALSE(vocabulary->add_eos.has_value());
}

TEST(GgufVocabulary, RefusesArraysThatDoNotFit) {
  const auto error_with = [](auto add) {
    GgufWriter gguf;
    gguf.string("tokenizer.ggml.model", "llama");
    add(gguf);
    const std::string bytes = gguf.bytes();
    const auto file = read_gguf(WeightFile::from_memory("v.gguf", test_files::as_bytes(bytes)));
    return read_gguf_vocabulary(file->metadata).error().message;
  };
  EXPECT_THAT(error_with([](GgufWriter&) {}), HasSubstr("tokens' is missing"));
  EXPECT_THAT(error_with([](GgufWriter& g) { g.i32s("tokenizer.ggml.tokens", {1}); }), HasSubstr("array of strings"));
  EXPECT_THAT(error_with([](GgufWriter& g) {
                g.strings("tokenizer.ggml.tokens", {"a", "b"});
                g.f32s("tokenizer.ggml.scores", {1});
              }),
              HasSubstr("1 entries for 2 tokens"));
  EXPECT_THAT(error_with([](GgufWriter& g) {
                g.strings("tokenizer.ggml.tokens", {"a", "b"});
                g.raw("tokenizer.ggml.token_type", 9,
                      GgufWriter::array_head(11, 2) + test_files::bytes_of<int64_t>({1, 1LL << 40}));
              }),
              HasSubstr("impossible token type"));
}

}  // namespace
}  // namespace sluice::checkpoint
