#include "checkpoint/module_targets.h"

#include <gtest/gtest.h>

namespace sluice::checkpoint {
namespace {

TEST(NamePattern, MatchesAsPythonsReMatchDoes) {
  struct Case {
    std::string_view pattern;
    std::vector<std::string_view> matched, others;
  };
  // Checked with Python 3.11.
  const Case cases[] = {
      {"lm_head", {"lm_head", "lm_head.x"}, {"model.lm_head", ""}},
      {".*lm_head", {"lm_head", "model.lm_head"}, {"lm_hea"}},
      {R"(model\.layers\.\d+\.mlp\..*_proj$)",
       {"model.layers.0.mlp.up_proj", "model.layers.10.mlp.down_proj\n"},
       {"model.layers.x.mlp.up_proj", "model.layers.0.mlp.up_proj.x", "modelXlayers.0.mlp.up_proj"}},
      {".*self_attn.(q|k|v)_proj", {"a.self_attn.k_proj", "self_attnXv_proj"}, {"a.self_attn.o_proj"}},
      {".*[qkv]_proj", {"k_proj"}, {"o_proj"}},
      {"[^a-c.]+x", {"ddx"}, {"dax", ".x", "x"}},
      {"[]a]b", {"]b", "ab"}, {"b"}},
      {"[a-]+$", {"a-a"}, {"b"}},
      {"(?!.*(lm_head|embed)).*", {"model.layers.0"}, {"model.lm_head", "embed_tokens"}},
      {"a(?=b)b?c", {"abc"}, {"ac"}},
      {"^layer(s)?$", {"layer", "layers"}, {"layerss", "xlayer"}},
      {"x{2,3}$", {"xx", "xxx"}, {"x", "xxxx"}},
      {"x{2}y", {"xxy"}, {"xy"}},
      {"x{,2}$", {"", "xx"}, {"xxx"}},
      {"x{a}", {"x{a}"}, {"x"}},
      {R"(.*\bproj\b)", {"a.proj.b", "proj"}, {"q_proj", "projx"}},
      {"(?P<part>up|down)+?_proj", {"updown_proj"}, {"_proj"}},
      {"a||b", {"", "c"}, {}},
      {"(a|b)*$", {"", "abba"}, {"abc"}},
      {R"([\d.]+\w\W)", {"1.2a."}, {"1.2ab"}},
  };
  for (const Case& each : cases) {
    const auto pattern = NamePattern::compile(each.pattern);
    ASSERT_TRUE(pattern.ok()) << pattern.error().message;
    for (const std::string_view name : each.matched) EXPECT_TRUE(pattern->matches(name)) << each.pattern << " " << name;
    for (const std::string_view name : each.others) EXPECT_FALSE(pattern->matches(name)) << each.pattern << " " << name;
  }
}

TEST(NamePattern, NamesWhatItCannotRead) {
  for (const std::string_view pattern : {"(a", "a)", "[a", "*a", "a**", "a\\", "a{3,2}", "[b-a]", "a{9999}"})
    EXPECT_EQ(NamePattern::compile(pattern).error().code, ErrorCode::kCorruptData) << pattern;
  for (const std::string_view pattern : {"(?i)a", "(?<=a)b", "(a)\\1", "\\Za", "(?>a)"})
    EXPECT_EQ(NamePattern::compile(pattern).error().code, ErrorCode::kUnimplemented) << pattern;
  EXPECT_FALSE(NamePattern::compile(std::string(100, '(') + std::string(100, ')')).ok());
  EXPECT_FALSE(NamePattern::compile("((a{100}){100}){100}").ok());
}

TEST(NamePattern, HostilePatternsEndSoon) {
  const std::string name(3000, 'a');
  for (const std::string_view pattern : {"(a+)+b", "(a|a)*b", "(a|aa)+$b", "(?=(?=(?=.*).*).*)*b", "((a*)*)*b"}) {
    const auto compiled = NamePattern::compile(pattern);
    ASSERT_TRUE(compiled.ok());
    EXPECT_FALSE(compiled->matches(name.substr(0, pattern.find("?=") == std::string_view::npos ? 3000 : 100)));
  }
}

TEST(ModuleTargets, NamesWinOverPatternsAndBothOverClasses) {
  ModuleTargets targets;
  ASSERT_TRUE(targets.add("Linear", 0).ok());
  ASSERT_TRUE(targets.add("re:.*mlp.*", 1).ok());
  ASSERT_TRUE(targets.add("re:.*down_proj", 2).ok());
  ASSERT_TRUE(targets.add("model.layers.0.mlp.up_proj", 3).ok());
  ASSERT_TRUE(targets.ignore("lm_head").ok());
  ASSERT_TRUE(targets.ignore("re:.*layers\\.7\\.").ok());
  EXPECT_EQ(targets.group_of("model.layers.0.mlp.up_proj"), 3);
  EXPECT_EQ(targets.group_of("model.layers.1.mlp.up_proj"), 1);
  EXPECT_EQ(targets.group_of("model.layers.1.mlp.down_proj"), 2);  // ".*d…" before ".*m…"
  EXPECT_EQ(targets.group_of("model.layers.1.self_attn.q_proj"), 0);
  EXPECT_EQ(targets.group_of("model.layers.7.self_attn.q_proj"), std::nullopt);
  EXPECT_EQ(targets.group_of("lm_head"), std::nullopt);
  EXPECT_EQ(targets.group_of("model.embed_tokens"), std::nullopt);
  ASSERT_TRUE(targets.add("Linear", 4).ok());  // a later group has it
  EXPECT_EQ(targets.group_of("model.layers.1.self_attn.q_proj"), 4);
}

TEST(ModuleTargets, NamesWithinMultimodalModelsAreTheSameInEverySpelling) {
  ModuleTargets targets;
  ASSERT_TRUE(targets.add("re:model\\.language_model\\.layers\\..*", 0).ok());
  ASSERT_TRUE(targets.ignore("model.vision_tower.encoder.layers.0.fc1").ok());
  EXPECT_EQ(targets.group_of("language_model.model.layers.0.mlp.up_proj"), 0);
  EXPECT_EQ(targets.group_of("model.layers.0.mlp.up_proj"), std::nullopt);
  EXPECT_TRUE(targets.is_ignored("vision_tower.encoder.layers.0.fc1"));
}

}  // namespace
}  // namespace sluice::checkpoint
