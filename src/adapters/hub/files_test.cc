// The files of a pull: which are chosen, their checksums, the pieces they come in, the cache they go to.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "adapters/hub/cache_store.h"
#include "adapters/hub/checksum.h"
#include "adapters/hub/part_file.h"
#include "adapters/hub/select_files.h"
#include "base/file.h"
#include "base/strings.h"

namespace sluice::adapters {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / cat("sluice_hub_", ::getpid())).string();
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  std::string root_;
};

// What Python's fnmatch.fnmatchcase says.
TEST(PatternTest, MatchesAsFnmatch) {
  EXPECT_TRUE(matches_pattern("*.gguf", "a/b.gguf"));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("a*b*c", "aXbXbc"));
  EXPECT_FALSE(matches_pattern("a*b*c", "aXbXcb"));
  EXPECT_TRUE(matches_pattern("?[a-c][!x].json", "zbq.json"));
  EXPECT_FALSE(matches_pattern("?[a-c][!x].json", "zbx.json"));
  EXPECT_TRUE(matches_pattern("[]]", "]"));
  EXPECT_TRUE(matches_pattern("[a", "[a"));
  EXPECT_FALSE(matches_pattern("", "a"));
  EXPECT_FALSE(matches_pattern("a", ""));
  EXPECT_FALSE(matches_pattern("*a*a*a*a*a*a*a*a*a*b", std::string(200, 'a')));
}

std::vector<std::string> select(const std::vector<std::string>& paths, const FileWishes& wishes,
                                const std::string& index = "") {
  HubListing listing;
  for (const std::string& path : paths) listing.files.push_back({.path = path, .size = 1});
  const auto chosen = select_files(listing, wishes, [&](const HubFile&) -> Result<std::string> { return index; });
  if (!chosen.ok()) return {"error: " + chosen.error().message};
  std::vector<std::string> names;
  for (const HubFile& file : *chosen) names.push_back(file.path);
  return names;
}

TEST(SelectTest, OneSetOfSafetensors) {
  EXPECT_THAT(
      select({"model.safetensors", "model.fp16.safetensors", "consolidated.safetensors", "adapter_model.safetensors",
              "config.json", "vocab.json", "merges.txt", "qwen.tiktoken", "README.md", "onnx/config.json"},
             {}),
      UnorderedElementsAreArray({"model.safetensors", "config.json", "vocab.json", "merges.txt", "qwen.tiktoken"}));
  EXPECT_THAT(select({"consolidated.safetensors", "params.json", "tekken.json"}, {}),
              UnorderedElementsAreArray({"consolidated.safetensors", "tekken.json"}));
  EXPECT_THAT(select({"a.safetensors", "b.safetensors"}, {.exclude = {"b*"}}),
              UnorderedElementsAreArray({"a.safetensors"}));
}

TEST(SelectTest, TheIndexDecides) {
  const std::string index = R"({"weight_map":{"t":"b.safetensors"}})";
  EXPECT_THAT(select({"a.safetensors", "b.safetensors", "model.safetensors.index.json"}, {}, index),
              UnorderedElementsAreArray({"b.safetensors", "model.safetensors.index.json"}));
  EXPECT_THAT(select({"a.safetensors", "model.safetensors.index.json"}, {}, index)[0],
              HasSubstr("names b.safetensors"));
  EXPECT_THAT(select({"a.safetensors", "model.safetensors.index.json"}, {}, R"({"weight_map":{"t":"../b"}})")[0],
              HasSubstr("error"));
}

TEST(SelectTest, GgufNextToSafetensors) {
  const std::vector<std::string> paths = {"model.safetensors", "config.json", "m-Q8_0.gguf", "m-Q4_K_M.gguf"};
  EXPECT_THAT(select(paths, {}), UnorderedElementsAreArray({"model.safetensors", "config.json"}));
  EXPECT_THAT(select(paths, {.variant = "Q8_0"}), UnorderedElementsAreArray({"config.json", "m-Q8_0.gguf"}));
  EXPECT_THAT(select(paths, {.variant = "Q8_0", .include = {"*K_M*"}}),
              UnorderedElementsAreArray({"config.json", "m-Q8_0.gguf", "m-Q4_K_M.gguf"}));
  EXPECT_THAT(select({"model.safetensors"}, {.variant = "Q8_0"})[0], HasSubstr("none"));
}

TEST(SelectTest, SaysWhatThereIsInstead) {
  EXPECT_THAT(select({"pytorch_model.bin"}, {})[0], HasSubstr("PyTorch"));
  EXPECT_THAT(select({"adapter_config.json", "adapter_model.safetensors"}, {})[0], HasSubstr("adapter"));
  EXPECT_THAT(select({"v1/a.safetensors"}, {})[0], HasSubstr("'v1/*'"));
  EXPECT_THAT(select({"README.md"}, {})[0], HasSubstr("no weights"));
  EXPECT_THAT(select({"README.md"}, {.include = {"*.x"}})[0], HasSubstr("--include"));
}

TEST_F(FilesTest, ChecksumsOfKnownContents) {
  const auto never = [] { return false; };
  const std::string path = root_ + "/f";
  std::ofstream(path) << "hello\nmore";
  // printf 'hello\n' | git hash-object --stdin; printf 'hello\n' | sha256sum
  EXPECT_EQ(*file_git_sha1(path, 6, never), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(*file_sha256(path, 6, never), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(file_sha256(path, 11, never).error().code, ErrorCode::kCorruptData);
  EXPECT_EQ(file_sha256(path, 6, [] { return true; }).error().code, ErrorCode::kCancelled);
}

TEST(SegmentsTest, CoverTheFile) {
  for (const int64_t size : {0, 1, 9, 10, 11, 20, 25}) {
    int64_t at = 0;
    for (const Segment& segment : plan_segments(size, 10)) {
      EXPECT_EQ(segment.first, at);
      EXPECT_GT(segment.end, segment.first);
      EXPECT_LE(segment.end - segment.first, 10);
      at = segment.end;
    }
    EXPECT_EQ(at, size);
  }
  EXPECT_EQ(plan_segments(25, 0).size(), 1U);
}

TEST_F(FilesTest, PartFileRemembersWhatCame) {
  const std::string path = root_ + "/x.sluice.incomplete";
  {
    PartFile part = *PartFile::open(path, 25, 10);
    part.set_etag("\"e\"");
    EXPECT_TRUE(part.write(1, "BBBB").ok());
    EXPECT_TRUE(part.write(2, "CCCCC").ok());
    EXPECT_FALSE(part.write(2, "C").ok());
    EXPECT_TRUE(part.save().ok());
    EXPECT_TRUE(part.write(1, "lost").ok());  // came after the record
  }
  EXPECT_EQ(PartFile::recorded_bytes(path, 25), 9);
  EXPECT_EQ(PartFile::recorded_bytes(path, 24), 0);
  PartFile part = *PartFile::open(path, 25, 7);  // the record's segments count, not the new size of one
  EXPECT_EQ(part.etag(), "\"e\"");
  EXPECT_EQ(part.done_bytes(), 9);
  EXPECT_TRUE(part.write(0, "AAAAAAAAAA").ok());
  EXPECT_TRUE(part.write(1, "bbbbbb").ok());
  ASSERT_TRUE(part.whole());
  EXPECT_TRUE(part.save().ok());
  EXPECT_TRUE(part.publish(root_ + "/x").ok());
  EXPECT_EQ(*read_file(root_ + "/x"), "AAAAAAAAAABBBBbbbbbbCCCCC");
  EXPECT_FALSE(file_exists(path));
}

TEST_F(FilesTest, ARecordThatDoesNotFitStartsAnew) {
  const std::string path = root_ + "/x.sluice.incomplete";
  for (const char* record : {"", "{", R"({"version":1,"size":25,"etag":"","segments":[[25,26]]})",
                             R"({"version":1,"size":25,"etag":"","segments":[[24,0]]})",
                             R"({"version":1,"size":25,"etag":"","segments":[[-1,0],[26,0]]})",
                             R"({"version":2,"size":25,"etag":"","segments":[[25,5]]})",
                             R"({"version":1,"size":25,"etag":7,"segments":[[25,5]]})",
                             R"({"version":1,"size":9,"etag":"","segments":[[25,5]]})"}) {
    std::ofstream(path) << std::string(25, 'x') << record;
    PartFile part = *PartFile::open(path, 25, 10);
    EXPECT_EQ(part.done_bytes(), 0) << record;
    EXPECT_EQ(part.segments().size(), 3U);
  }
}

TEST_F(FilesTest, CacheLayoutAndLocks) {
  const CacheStore store(root_, "org/name");
  ASSERT_TRUE(store.make_folders().ok());
  std::ofstream(store.blob_path("b1")) << "content";
  EXPECT_TRUE(store.has_blob("b1", 7));
  EXPECT_FALSE(store.has_blob("b1", 8));
  ASSERT_TRUE(store.link("c0", "a/b/f", "b1").ok());
  ASSERT_TRUE(store.link("c0", "a/b/f", "b1").ok());
  EXPECT_EQ(fs::read_symlink(root_ + "/models--org--name/snapshots/c0/a/b/f"), "../../../../blobs/b1");
  EXPECT_TRUE(store.has_link("c0", "a/b/f", "b1"));
  ASSERT_TRUE(store.set_ref("refs/pr/1", "c0").ok());
  EXPECT_EQ(*read_file(root_ + "/models--org--name/refs/refs/pr/1"), "c0");
  {
    const auto lock = *store.try_lock("b1");
    EXPECT_TRUE(lock.has_value());
    EXPECT_FALSE(store.try_lock("b1")->has_value());
    EXPECT_TRUE(store.try_lock("b2")->has_value());
  }
  EXPECT_TRUE(store.try_lock("b1")->has_value());
  // The same lock as Python's filelock takes.
  const int other = ::open((root_ + "/.locks/models--org--name/b1.lock").c_str(), O_RDWR);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  EXPECT_FALSE(store.try_lock("b1")->has_value());
  ::close(other);
  EXPECT_GT(*store.free_bytes(), 0U);
  EXPECT_GT(*CacheStore(root_ + "/not/there", "org/name").free_bytes(), 0U);
}

}  // namespace
}  // namespace sluice::adapters
