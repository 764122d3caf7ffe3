#include "checkpoint/pack_file.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/file.h"
#include "checkpoint/testing.h"

namespace sluice::checkpoint {
namespace {

using test_files::TemporaryDirectory;
using test_files::write_text;

class PackFileTest : public testing::Test {
 protected:
  std::vector<PackBlob> blobs() const {
    return {{"b", test_files::as_bytes(first_)}, {"a", test_files::as_bytes(second_)}, {"empty", {}}};
  }
  TemporaryDirectory directory_;
  std::string path_ = directory_.file("deep/er/x.pack");
  std::string first_ = std::string(1000, 'x'), second_ = std::string(64, 'y');
  ThreadPool pool_{{.threads = 2}};
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(PackFileTest, GivesBackWhatWasWritten) {
  size_t last = 0, total = 0;
  ASSERT_TRUE(write_pack_file(path_, "key", blobs(), pool_, [&](size_t done, size_t all) {
                last = done;
                total = all;
              }).ok());
  EXPECT_EQ(last, total);
  const auto pack = PackFile::open(path_, "key", pool_);
  ASSERT_TRUE(pack.ok()) << pack.error().message;
  EXPECT_EQ(text_of((*pack)->find("b")), first_);
  EXPECT_EQ(text_of((*pack)->find("a")), second_);
  EXPECT_TRUE((*pack)->find("empty").empty());
  EXPECT_TRUE((*pack)->find("c").empty());
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*pack)->find("a").data()) % 64, 0u);
  EXPECT_EQ((*pack)->bytes(), total);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory_.file("deep/er"))) ++files;
  EXPECT_EQ(files, 1u) << "nothing else stays behind";
}

TEST_F(PackFileTest, AnotherKeyIsStale) {
  ASSERT_TRUE(write_pack_file(path_, "key", blobs(), pool_).ok());
  const auto pack = PackFile::open(path_, "other", pool_);
  ASSERT_FALSE(pack.ok());
  EXPECT_EQ(pack.error().code, ErrorCode::kCorruptData);
  EXPECT_NE(pack.error().message.find("other files"), std::string::npos);
  EXPECT_EQ(PackFile::open(path_ + "x", "key", pool_).error().code, ErrorCode::kNotFound);
}

// Whatever byte is changed, and wherever the file is cut, it is refused; or what is changed is padding.
TEST_F(PackFileTest, DamageIsFound) {
  ASSERT_TRUE(write_pack_file(path_, "key", blobs(), pool_).ok());
  const std::string whole = read_file(path_).value();
  size_t accepted = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x20);
    write_text(path_, changed);
    const auto pack = PackFile::open(path_, "key", pool_);
    if (!pack.ok()) continue;
    ++accepted;
    EXPECT_EQ(text_of((*pack)->find("b")) + text_of((*pack)->find("a")), first_ + second_) << i;
  }
  EXPECT_LT(accepted, 200u);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{200}, whole.size() - 1}) {
    write_text(path_, whole.substr(0, size));
    EXPECT_FALSE(PackFile::open(path_, "key", pool_).ok()) << size;
  }
}

TEST_F(PackFileTest, TwoWritersAtOnceLeaveAWholeFile) {
  for (int round = 0; round < 10; ++round) {
    std::vector<std::thread> writers;
    for (int i = 0; i < 2; ++i) {
      writers.emplace_back([&] {
        ThreadPool own({.threads = 1});
        EXPECT_TRUE(write_pack_file(path_, "key", blobs(), own).ok());
      });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_TRUE(PackFile::open(path_, "key", pool_).ok());
  }
}

TEST_F(PackFileTest, AnUnwritableDirectoryIsAnError) {
  write_text(directory_.file("file"), "");
  const auto written = write_pack_file(directory_.file("file/x.pack"), "key", blobs(), pool_);
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find("x.pack"), std::string::npos);
}

TEST(Checksum64, DiffersForEveryLengthAndBit) {
  std::vector<std::byte> bytes(200);
  std::vector<uint64_t> seen;
  for (size_t length = 0; length <= bytes.size(); ++length) seen.push_back(checksum64({bytes.data(), length}));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    seen.push_back(checksum64(bytes));
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  std::ranges::sort(seen);
  EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
}

}  // namespace
}  // namespace sluice::checkpoint
