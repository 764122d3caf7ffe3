// What damage to a tokenizer's files does: an error that names the file, or a tokenizer that works; never a crash, and
// never a smaller vocabulary in silence.

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/testing.h"
#include "text/tokenizer.h"

namespace sluice::text {
namespace {

namespace fs = std::filesystem;

class DamagedTokenizer : public testing::TestWithParam<std::string> {
 protected:
  DamagedTokenizer() {
    std::string pattern = (fs::temp_directory_path() / "sluice-test-XXXXXX").string();
    SLUICE_CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~DamagedTokenizer() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // "" when the tokenizer was made and could be used.
  std::string problem() const {
    const auto made = Tokenizer::from_directory(folder_);
    if (!made.ok()) return made.error().message;
    const auto ids = (*made)->encode("Hello wörld 12 <s>\n 漢字");
    (void)(*made)->decode(ids);
    return "";
  }
  void expect_named(const std::string& name, const std::string& what) const {
    const std::string message = problem();
    if (!message.empty()) EXPECT_NE(message.find(folder_ + "/" + name), std::string::npos) << what << ": " << message;
  }
  std::string folder_;
};

TEST_P(DamagedTokenizer, JsonCutAnywhereIsAnError) {
  const std::string text = read_file(golden_tokenizer(GetParam())).value();
  for (size_t size = 0; size + 2 < text.size(); size += 1 + text.size() / 150) {
    write("tokenizer.json", std::string_view(text).substr(0, size));
    const std::string message = problem();
    EXPECT_NE(message.find(folder_ + "/tokenizer.json"), std::string::npos) << size << ": " << message;
  }
}

TEST_P(DamagedTokenizer, JsonWithFlippedBits) {
  const std::string text = read_file(golden_tokenizer(GetParam())).value();
  for (size_t at = 0; at < text.size(); at += 1 + text.size() / 300) {
    std::string bytes = text;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write("tokenizer.json", bytes);
    expect_named("tokenizer.json", cat("byte ", at));
  }
}

// Puts every kind of nonsense at every place of the structure, the first and last entries of long lists included.
template <class Try>
void replace_each(Json& root, Json& node, const Try& attempt) {
  const Json nonsense[] = {
      nullptr, true, -1, 1e99, "", "x", Json::array(), Json::object(), Json::array({Json::object()})};
  const Json before = node;
  for (const Json& wrong : nonsense) {
    node = wrong;
    attempt(root);
  }
  node = before;
  if (!node.is_structured()) return;
  size_t at = 0;
  const size_t count = node.size();
  for (auto each = node.begin(); each != node.end(); ++each, ++at) {
    if (at < 12 || at + 1 == count) replace_each(root, *each, attempt);
  }
}

TEST_P(DamagedTokenizer, JsonWithNonsenseAtEveryPlace) {
  Json root = parse_json(read_file(golden_tokenizer(GetParam())).value()).value();
  int errors = 0;
  replace_each(root, root, [&](const Json& changed) {
    write("tokenizer.json", dump_json(changed));
    const std::string message = problem();
    if (message.empty()) return;
    ++errors;
    EXPECT_NE(message.find(folder_ + "/tokenizer.json"), std::string::npos) << message;
  });
  EXPECT_GT(errors, 100);
}

INSTANTIATE_TEST_SUITE_P(Json, DamagedTokenizer,
                         testing::Values("llama3.json", "llama2.json", "unigram.json", "bert.json"),
                         [](const auto& info) { return info.param.substr(0, info.param.find('.')); });

// The files beside a vocabulary: an error names the one that is wrong.
using DamagedFilesBeside = DamagedTokenizer;

TEST_P(DamagedFilesBeside, NonsenseAtEveryPlace) {
  write("tokenizer.model", read_file(golden_tokenizer(GetParam())).value());
  const Json token = {{"content", "<s>"}, {"lstrip", false}, {"rstrip", false}, {"special", true}};
  const std::pair<std::string, Json> files[] = {
      {"tokenizer_config.json",
       {{"bos_token", "<s>"},
        {"eos_token", {{"content", "</s>"}}},
        {"add_bos_token", true},
        {"tokenizer_class", "LlamaTokenizer"},
        {"added_tokens_decoder", {{"1", token}, {"900", {{"content", "<x>"}}}}}}},
      {"special_tokens_map.json", {{"bos_token", token}, {"unk_token", "<unk>"}}},
      {"added_tokens.json", {{"<pad>", 900}, {"<y>", 901}}}};
  for (const auto& [name, good] : files) {
    Json root = good;
    write(name, dump_json(root));
    ASSERT_EQ(problem(), "") << name;
    int errors = 0;
    replace_each(root, root, [&](const Json& changed) {
      write(name, dump_json(changed));
      const std::string message = problem();
      if (message.empty()) return;
      ++errors;
      EXPECT_NE(message.find(folder_ + "/" + name), std::string::npos) << message;
    });
    for (const std::string cut : {"", "{", "{\"bos_token\": ", "\xff\xfe{}", "[]", "7"}) {
      write(name, cut);
      EXPECT_NE(problem().find(folder_ + "/" + name), std::string::npos) << name << ": " << cut;
    }
    EXPECT_GT(errors, 8) << name;
    std::filesystem::remove(folder_ + "/" + name);
  }
}

INSTANTIATE_TEST_SUITE_P(Text, DamagedFilesBeside, testing::Values("sp_bpe.model"),
                         [](const auto& info) { return info.param.substr(0, info.param.find('.')); });

using DamagedSentencePiece = DamagedTokenizer;

TEST_P(DamagedSentencePiece, CutAnywhereIsAnErrorOrWhole) {
  const std::string model = read_file(golden_tokenizer(GetParam())).value();
  write("tokenizer.model", model);
  const int whole = Tokenizer::from_directory(folder_).value()->vocab_size();
  for (size_t size = 0; size < model.size(); size += size + 400 < model.size() ? 13 : 1) {
    write("tokenizer.model", std::string_view(model).substr(0, size));
    const auto made = Tokenizer::from_directory(folder_);
    if (made.ok()) {
      EXPECT_EQ((*made)->vocab_size(), whole) << size;
    } else {
      EXPECT_NE(made.error().message.find(folder_ + "/tokenizer.model"), std::string::npos) << made.error().message;
    }
  }
}

TEST_P(DamagedSentencePiece, FlippedBits) {
  const std::string model = read_file(golden_tokenizer(GetParam())).value();
  for (size_t at = 0; at < model.size(); at += 1 + model.size() / 600) {
    std::string bytes = model;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write("tokenizer.model", bytes);
    expect_named("tokenizer.model", cat("byte ", at));
  }
}

TEST_P(DamagedSentencePiece, ScoresMustBeNumbers) {
  std::string model = read_file(golden_tokenizer(GetParam())).value();
  const size_t size = static_cast<uint8_t>(model[1]);  // of the first piece: 0A <size> 0A <size> text 15 score
  const size_t score = model.find('\x15', 2) + 1;
  ASSERT_LT(score, 2 + size);
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::memcpy(model.data() + score, &wrong, sizeof wrong);
    write("tokenizer.model", model);
    EXPECT_NE(problem().find("no finite number"), std::string::npos) << problem();
  }
}

INSTANTIATE_TEST_SUITE_P(Model, DamagedSentencePiece, testing::Values("sp_bpe.model", "sp_unigram.model"),
                         [](const auto& info) { return info.param.substr(0, info.param.find('.')); });

using DamagedTiktoken = DamagedTokenizer;

TEST_F(DamagedTiktoken, CutAnywhereIsAnError) {
  const std::string ranks = read_file(golden_tokenizer("chatglm/tokenizer.model")).value();
  write("tokenizer_config.json", read_file(golden_tokenizer("chatglm/tokenizer_config.json")).value());
  for (size_t size = 0; size + 1 < ranks.size(); size += 7) {
    write("tokenizer.model", std::string_view(ranks).substr(0, size));
    const std::string message = problem();
    EXPECT_NE(message.find(folder_ + "/tokenizer.model"), std::string::npos) << size << ": " << message;
  }
}

TEST_F(DamagedTiktoken, ConfigsOfEveryForm) {
  write("tokenizer.model", read_file(golden_tokenizer("chatglm/tokenizer.model")).value());
  Json root = parse_json(read_file(golden_tokenizer("chatglm/tokenizer_config.json")).value()).value();
  replace_each(root, root, [&](const Json& changed) {
    write("tokenizer_config.json", dump_json(changed));
    expect_named("tokenizer", dump_json(changed));
  });
  for (const std::string_view text : {"{", "7", "\xff", "{\"a\": 1"}) {
    write("tokenizer_config.json", text);
    EXPECT_NE(problem().find(folder_ + "/tokenizer_config.json"), std::string::npos) << problem();
  }
}

}  // namespace
}  // namespace sluice::text
