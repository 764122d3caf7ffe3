#include "checkpoint/model_reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/strings.h"
#include "checkpoint/model_files.h"

namespace sluice::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::map<std::string, std::string> g_environment;
const char* environment(const char* name) {
  const auto found = g_environment.find(name);
  return found == g_environment.end() ? nullptr : found->second.c_str();
}

TEST(ModelReferenceTest, SplitsNameRevisionAndVariant) {
  const auto check = [](std::string_view text, std::string repository, std::string revision, std::string variant) {
    const auto reference = parse_model_reference(text);
    ASSERT_TRUE(reference) << text;
    EXPECT_EQ(reference->repository, repository);
    EXPECT_EQ(reference->revision, revision);
    EXPECT_EQ(reference->variant, variant);
  };
  check("org/name", "org/name", "", "");
  check("gpt2", "gpt2", "", "");
  check("org/name@refs/pr/1", "org/name", "refs/pr/1", "");
  check("Org-1/n.a_me:Q4_K_M", "Org-1/n.a_me", "", "Q4_K_M");
  check("org/name@v1.0:sub/x.gguf", "org/name", "v1.0", "sub/x.gguf");
  check("hf.co/org/name:Q8_0", "org/name", "", "Q8_0");
  check("https://huggingface.co/org/name", "org/name", "", "");
  EXPECT_EQ(to_string(*parse_model_reference("hf.co/org/name@a:b")), "org/name@a:b");
}

TEST(ModelReferenceTest, RefusesWhatCouldLeaveTheCache) {
  for (const char* text :
       {"",         "/abs/path", "../up",  "a/b/c", "a//b", "a/..",  "./a",     "a/b@", "a/b:",     "a/b@../x",
        "a/b:../x", "a--b/c",    "a/b@-x", "-a/b",  "a/b.", "a b/c", "a/b@x y", "a\\b", "a/b:x\\y", "a/b:/x"}) {
    EXPECT_FALSE(parse_model_reference(text)) << text;
  }
  EXPECT_FALSE(parse_model_reference(std::string(97, 'a')));
  EXPECT_TRUE(parse_model_reference(std::string(96, 'a')));
}

TEST(ModelReferenceTest, SafePaths) {
  for (const char* path : {"a", "a/b.c", "..a", "a..", ".gitattributes", "打开/x"})
    EXPECT_TRUE(is_safe_relative_path(path));
  for (const char* path : {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a\nb", "a\x7f"}) {
    EXPECT_FALSE(is_safe_relative_path(path)) << path;
  }
  EXPECT_FALSE(is_safe_relative_path(std::string("a\0b", 3)));
  EXPECT_TRUE(is_safe_relative_path(std::string(255, 'a')));
  EXPECT_FALSE(is_safe_relative_path(std::string(256, 'a')));
}

// The order huggingface_hub's constants.py reads them in.
TEST(ModelReferenceTest, CacheDirectoryFollowsTheEnvironment) {
  g_environment = {{"HOME", "/home/a"}};
  EXPECT_EQ(hub_cache_directory(environment), "/home/a/.cache/huggingface/hub");
  g_environment["XDG_CACHE_HOME"] = "/xdg";
  EXPECT_EQ(hub_cache_directory(environment), "/xdg/huggingface/hub");
  g_environment["HF_HOME"] = "~/hf";
  EXPECT_EQ(hub_cache_directory(environment), "/home/a/hf/hub");
  EXPECT_EQ(hub_home_directory(environment), "/home/a/hf");
  g_environment["HUGGINGFACE_HUB_CACHE"] = "$HOME/old/${HOME}x$NOT_SET";
  EXPECT_EQ(hub_cache_directory(environment), "/home/a/old//home/ax$NOT_SET");
  g_environment["HF_HUB_CACHE"] = "/new";
  EXPECT_EQ(hub_cache_directory(environment), "/new");
  EXPECT_EQ(repository_folder("org/name"), "models--org--name");
  EXPECT_EQ(repository_folder("gpt2"), "models--gpt2");
}

TEST(GgufChoiceTest, QuantizationIsTheEndOfTheName) {
  EXPECT_EQ(gguf_quantization("a-7b.Q4_K_M.gguf"), "Q4_K_M");
  EXPECT_EQ(gguf_quantization("a/b-q8_0.gguf"), "Q8_0");
  EXPECT_EQ(gguf_quantization("a-IQ4_XS-00001-of-00002.gguf"), "IQ4_XS");
  EXPECT_EQ(gguf_quantization("a-BF16.gguf"), "BF16");
  EXPECT_EQ(gguf_quantization("Qwen3-4B.gguf"), "");
  EXPECT_EQ(gguf_quantization("Qwen3-4B.bin"), "");
}

TEST(GgufChoiceTest, OneByQuantizationNameOrDefault) {
  const std::vector<std::string> names = {"README.md",
                                          "m-Q4_K_M.gguf",
                                          "m-UD-Q4_K_M.gguf",
                                          "m-Q4_K.gguf",
                                          "big/m-BF16-00001-of-00002.gguf",
                                          "big/m-BF16-00002-of-00002.gguf",
                                          "mmproj-m-F16.gguf"};
  EXPECT_THAT(*choose_gguf(names, ""), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(*choose_gguf(names, "q4_k_m"), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(*choose_gguf(names, "UD-Q4_K_M"), ElementsAre("m-UD-Q4_K_M.gguf"));
  EXPECT_THAT(*choose_gguf(names, "Q4_K"), ElementsAre("m-Q4_K.gguf"));
  EXPECT_THAT(*choose_gguf(names, "BF16"),
              ElementsAre("big/m-BF16-00001-of-00002.gguf", "big/m-BF16-00002-of-00002.gguf"));
  EXPECT_THAT(*choose_gguf(names, "m-BF16-00002-of-00002.gguf"),
              ElementsAre("big/m-BF16-00001-of-00002.gguf", "big/m-BF16-00002-of-00002.gguf"));
  EXPECT_THAT(*choose_gguf(names, "mmproj-m-F16.gguf"), ElementsAre("mmproj-m-F16.gguf"));
  EXPECT_THAT(choose_gguf(names, "Q5_0").error().message, HasSubstr("BF16, Q4_K, Q4_K_M"));
  EXPECT_THAT(choose_gguf(names, "m-Q4_K_S.gguf").error().message, HasSubstr("did you mean m-Q4_K"));
  EXPECT_THAT(*choose_gguf({"only-Q8_0.gguf", "mmproj.gguf"}, ""), ElementsAre("only-Q8_0.gguf"));
  EXPECT_THAT(choose_gguf({"a-Q8_0.gguf", "a-Q5_0.gguf"}, "").error().message, HasSubstr("Q5_0, Q8_0"));
  EXPECT_THAT(choose_gguf({"a-Q8_0.gguf", "b-Q8_0.gguf"}, "Q8_0").error().message,
              HasSubstr("a-Q8_0.gguf, b-Q8_0.gguf"));
  EXPECT_THAT(choose_gguf({"a-00001-of-00002.gguf"}, "").error().message, HasSubstr("1 of its 2 parts"));
  EXPECT_FALSE(choose_gguf({"a.bin"}, "").ok());
}

class CacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / cat("sluice_cache_", ::getpid());
    fs::remove_all(root_);
    g_environment = {{"HF_HUB_CACHE", root_.string()}, {"HOME", "/nowhere"}};
  }
  void TearDown() override { fs::remove_all(root_); }

  // A snapshot with a file linked to a blob, as the hub's programs lay it out.
  void add(const std::string& commit, const std::string& file, const std::string& ref = "") {
    const fs::path folder = root_ / "models--org--name";
    const std::string blob = cat("b", commit, fs::path(file).filename().string());
    const fs::path link = folder / "snapshots" / commit / file;
    fs::create_directories(folder / "blobs");
    fs::create_directories(link.parent_path());
    std::ofstream(folder / "blobs" / blob) << "x";
    fs::create_symlink(folder / "blobs" / blob, link);
    if (!ref.empty()) set_ref(ref, commit);
  }
  void set_ref(const std::string& ref, const std::string& commit) {
    const fs::path path = root_ / "models--org--name" / "refs" / ref;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << commit;
  }
  std::string snapshot(const std::string& commit) const {
    return (root_ / "models--org--name/snapshots" / commit).string();
  }

  fs::path root_;
};

TEST_F(CacheTest, FindsRevisions) {
  add("aaa", "model.safetensors", "main");
  add("bbb", "model.safetensors", "refs/pr/1");
  EXPECT_EQ(*find_model("org/name", environment), snapshot("aaa"));
  EXPECT_EQ(*find_model("org/name@bbb", environment), snapshot("bbb"));
  EXPECT_EQ(*find_model("org/name@refs/pr/1", environment), snapshot("bbb"));
  EXPECT_THAT(find_model("org/name@v2", environment).error().message, HasSubstr("sluice pull org/name@v2"));
  EXPECT_THAT(find_model("org/other", environment).error().message, HasSubstr("sluice pull org/other"));
  EXPECT_THAT(find_model("/no/such/path", environment).error().message, HasSubstr("/no/such/path"));
}

TEST_F(CacheTest, OtherDefaultsThanMain) {
  add("aaa", "model.safetensors");
  EXPECT_EQ(*find_model("org/name", environment), snapshot("aaa"));
  std::ofstream(root_ / "models--org--name/blobs/x.sluice.incomplete") << "x";
  EXPECT_THAT(find_model("org/name", environment).error().message, HasSubstr("not whole"));
  add("bbb", "model.safetensors", "v1");
  EXPECT_THAT(find_model("org/name", environment).error().message, HasSubstr("aaa, bbb"));
  set_ref("master", "bbb");
  EXPECT_EQ(*find_model("org/name", environment), snapshot("bbb"));
}

TEST_F(CacheTest, RefsCannotLeaveTheCache) {
  add("aaa", "model.safetensors");
  add("bbb", "model.safetensors");
  set_ref("main", "../../../..");
  EXPECT_FALSE(find_model("org/name", environment).ok());
}

TEST_F(CacheTest, ChoosesGgufFiles) {
  add("aaa", "m-Q8_0.gguf", "main");
  EXPECT_EQ(*find_model("org/name", environment), snapshot("aaa") + "/m-Q8_0.gguf");
  add("aaa", "sub/m-Q4_K_M-00001-of-00002.gguf");
  add("aaa", "sub/m-Q4_K_M-00002-of-00002.gguf");
  EXPECT_EQ(*find_model("org/name", environment), snapshot("aaa") + "/sub/m-Q4_K_M-00001-of-00002.gguf");
  EXPECT_EQ(*find_model("org/name:Q8_0", environment), snapshot("aaa") + "/m-Q8_0.gguf");
  EXPECT_THAT(find_model("org/name:Q2_K", environment).error().message, HasSubstr("sluice pull org/name:Q2_K"));
  // Weights that the blob is gone of are not there.
  fs::remove(root_ / "models--org--name/blobs/baaam-Q8_0.gguf");
  EXPECT_FALSE(find_model("org/name:Q8_0", environment).ok());
}

TEST_F(CacheTest, OpenModelLooksInTheCache) {
  fs::create_directories(root_ / "models--org--name/refs");
  ::setenv("HF_HUB_CACHE", root_.c_str(), 1);
  const auto opened = open_model("org/name");
  ::unsetenv("HF_HUB_CACHE");
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("sluice pull org/name"));
}

}  // namespace
}  // namespace sluice::checkpoint
