#include "cli/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/strings.h"
#include "cli/commands.h"

namespace sluice::cli {
namespace {

std::map<std::string, std::string> g_environment;
const char* fake_environment(const char* name) {
  const auto found = g_environment.find(name);
  return found == g_environment.end() ? nullptr : found->second.c_str();
}

Result<CommandLine> parse(const std::vector<std::string>& words) { return parse_command_line(words, fake_environment); }

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() { g_environment.clear(); }
  static std::string write_config(const std::string& text) {
    const std::string path = testing::TempDir() + "settings_test.yaml";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(SettingsTest, AFlagBeatsTheEnvironmentWhichBeatsTheFile) {
  const std::string config = write_config("port: 1\nhost: file\nmax-concurrency: 3\napi_key: [a, b]\n");
  g_environment = {{"SLUICE_PORT", "2"}, {"SLUICE_HOST", "env"}};
  const auto line = parse({"serve", "model", "--config", config, "--port", "3"});
  if (!line.ok() && line.error().code == ErrorCode::kUnimplemented) GTEST_SKIP() << line.error().message;
  ASSERT_TRUE(line.ok()) << line.error().message;
  EXPECT_EQ(line->settings.port, 3);
  EXPECT_EQ(line->settings.host, "env");
  EXPECT_EQ(line->settings.max_concurrency, 3);
  EXPECT_EQ(line->settings.api_key, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(line->command, "serve");
  EXPECT_EQ(line->arguments, std::vector<std::string>{"model"});
}

TEST_F(SettingsTest, AliasesDoNotMultiplyWithoutBound) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = cat("*a", i - 1);
    bomb += cat("a", i, ": &a", i, " [", before, ", ", before, ", ", before, ", ", before, "]\n");
  }
  const auto yaml = parse_yaml(bomb);
  ASSERT_FALSE(yaml.ok());
  if (yaml.error().code == ErrorCode::kUnimplemented) GTEST_SKIP() << yaml.error().message;
  EXPECT_NE(yaml.error().message.find("values"), std::string::npos) << yaml.error().message;
}

TEST_F(SettingsTest, NamesWhatIsWrong) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"serve", "m", "--prot", "1"}, "did you mean 'port'"},
      {{"serve", "m", "--port", "70000"}, "from 0 to 65535"},
      {{"serve", "m", "--port", "x"}, "whole number"},
      {{"serve", "m", "--port"}, "needs a value"},
      {{"serve", "m", "--dtype", "int3"}, "one of auto, f32, f16, bf16"},
      {{"serve", "m", "--memory", "lots"}, "8GiB"},
      {{"serve", "m", "--temperature", "1"}, "means nothing to 'sluice serve'"},
      {{"serve", "m", "-p", "1"}, "begin with --"},
      {{"serve", "m", "--no-port"}, "unknown flag"},
      {{"serve", "m", "--context", "999999999"}, "from 0 to 268435456,"},
      {{"serve", "m", "--api-key", ""}, "--api-key is empty"},
      {{"serve", "m", "--api-key= , "}, "--api-key is empty"},
      {{"serve", "m", "--api-key-file", ""}, "--api-key-file is empty"},
      {{"serve", "m", "--tls-cert", ""}, "--tls-cert is empty"},
  };
  for (const auto& [words, expected] : cases) {
    const auto line = parse(words);
    ASSERT_FALSE(line.ok());
    EXPECT_EQ(line.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(line.error().message.find(expected), std::string::npos) << line.error().message;
  }
  g_environment = {{"SLUICE_THREADS", "many"}};
  EXPECT_NE(parse({"serve", "m"}).error().message.find("SLUICE_THREADS"), std::string::npos);
}

TEST_F(SettingsTest, AnUnknownKeyOfTheFileIsAnError) {
  const auto line = parse({"serve", "m", "--config", write_config("max_concurency: 3\n")});
  ASSERT_FALSE(line.ok());
  if (line.error().code == ErrorCode::kUnimplemented) GTEST_SKIP() << line.error().message;
  EXPECT_NE(line.error().message.find("max-concurrency"), std::string::npos) << line.error().message;
}

TEST_F(SettingsTest, AListInTheFileIsForListsOnly) {
  const auto line = parse({"serve", "m", "--config", write_config("port: [1, 2]\n")});
  ASSERT_FALSE(line.ok());
  if (line.error().code == ErrorCode::kUnimplemented) GTEST_SKIP() << line.error().message;
  EXPECT_NE(line.error().message.find("port must be one value"), std::string::npos) << line.error().message;
}

TEST_F(SettingsTest, AnEmptyKeyInTheFileIsRefused) {
  for (const char* text : {"api-key:\n", "api-key: []\n", "api-key: ['']\n", "api_key: ''\n", "tls-key: ~\n"}) {
    const auto line = parse({"serve", "m", "--config", write_config(text)});
    ASSERT_FALSE(line.ok()) << text;
    if (line.error().code == ErrorCode::kUnimplemented) GTEST_SKIP() << line.error().message;
    EXPECT_NE(line.error().message.find("is empty"), std::string::npos) << line.error().message;
  }
}

TEST_F(SettingsTest, AnEmptyKeyInTheEnvironmentIsRefused) {
  g_environment = {{"SLUICE_API_KEY", ""}};
  EXPECT_NE(parse({"serve", "m"}).error().message.find("SLUICE_API_KEY is empty"), std::string::npos);
  EXPECT_TRUE(parse({"version"}).ok());
}

TEST_F(SettingsTest, AutoTuningIsWrittenAsTheGuideWritesIt) {
  const std::pair<std::string, std::string> cases[] = {{"auto_tuning: on\n", "on"},
                                                       {"auto_tuning: off\n", "off"},
                                                       {"auto-tuning: true\n", "on"},
                                                       {"auto_tuning: no\n", "off"},
                                                       {"auto_tuning: again\n", "again"}};
  for (const auto& [text, expected] : cases) {
    const auto line = parse({"serve", "m", "--config", write_config(text)});
    if (!line.ok() && line.error().code == ErrorCode::kUnimplemented) GTEST_SKIP() << line.error().message;
    ASSERT_TRUE(line.ok()) << line.error().message;
    EXPECT_EQ(line->settings.auto_tuning, expected) << text;
  }
  EXPECT_EQ(parse({"serve", "m", "--auto-tuning", "off"})->settings.auto_tuning, "off");
  EXPECT_NE(parse({"serve", "m", "--auto-tuning", "perhaps"}).error().message.find("on, off, again"),
            std::string::npos);
}

TEST_F(SettingsTest, SecretsAreNotPrinted) {
  const auto line = parse({"serve", "m", "--api-key", "sk-1,sk-2", "--api-key=sk-3", "--no-prefix-cache"});
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->settings.api_key.size(), 3u);
  EXPECT_FALSE(line->settings.prefix_cache);
  for (const Knob& knob : knobs()) EXPECT_EQ(value_text(knob, line->settings).find("sk-"), std::string::npos);
}

TEST_F(SettingsTest, SpeculationFollowsFromItsKnobs) {
  using Kind = local::SpeculationOptions::Kind;
  const auto kind = [](const std::vector<std::string>& flags) {
    std::vector<std::string> words = {"serve", "m"};
    words.insert(words.end(), flags.begin(), flags.end());
    return local_options("m", parse(words).value().settings).value().speculation.kind;
  };
  EXPECT_EQ(kind({}), Kind::kOff);
  EXPECT_EQ(kind({"--speculate", "off"}), Kind::kOff);
  EXPECT_EQ(kind({"--speculate", "ngram"}), Kind::kNgram);
  EXPECT_EQ(kind({"--draft-model", "small"}), Kind::kModel);
  EXPECT_EQ(kind({"--draft-model", "small", "--speculate=off"}), Kind::kOff);
  EXPECT_EQ(kind({"--draft-model", "small", "--speculate=ngram"}), Kind::kNgram);
  const auto lacking = local_options("m", parse({"serve", "m", "--speculate", "draft"}).value().settings);
  ASSERT_FALSE(lacking.ok());
  EXPECT_EQ(lacking.error().param, "draft-model");
}

TEST_F(SettingsTest, EveryKnobHasHelpAndMeansSomethingToAKnownCommand) {
  std::set<std::string_view> names;
  for (const Knob& knob : knobs()) {
    EXPECT_TRUE(names.insert(knob.name).second) << knob.name;
    EXPECT_FALSE(knob.help.empty()) << knob.name;
    bool used = false;
    for (const Command& command : commands()) used = used || applies_to(knob, command.name);
    EXPECT_TRUE(used) << knob.name;
  }
  for (const Command& command : commands()) EXPECT_NE(program_help().find(command.name), std::string::npos);
}

}  // namespace
}  // namespace sluice::cli
