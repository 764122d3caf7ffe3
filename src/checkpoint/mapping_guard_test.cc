#include "checkpoint/mapping_guard.h"

#include <gtest/gtest.h>

#include <csignal>

#include "checkpoint/testing.h"

namespace sluice::checkpoint {
namespace {

using test_files::TemporaryDirectory;

// Reads the last page of `path` after the file was cut to nothing.
void read_what_is_gone(const std::string& path) {
  install_mapping_guard();
  install_mapping_guard();
  const auto file = map_guarded(path);
  std::filesystem::resize_file(path, 0);
  const auto* volatile bytes = (*file)->bytes().data();
  std::exit(static_cast<int>(bytes[(*file)->bytes().size() - 1]));
}

TEST(MappingGuardDeathTest, NamesTheFileThatWasCutShort) {
  TemporaryDirectory dir;
  const std::string path = dir.file("weights.bin");
  test_files::write_text(path, std::string(3 * 4096, 'w'));
  EXPECT_EXIT(read_what_is_gone(path), testing::ExitedWithCode(kMappingLostExitCode),
              "cannot read .*weights\\.bin: the file was cut short");
}

TEST(MappingGuardDeathTest, LeavesOtherFaultsToThePreviousHandler) {
  EXPECT_EXIT(
      {
        std::signal(SIGBUS, [](int) { std::_Exit(33); });
        install_mapping_guard();
        std::raise(SIGBUS);
        std::raise(SIGBUS);
      },
      testing::ExitedWithCode(33), "");
}

TEST(MappingGuard, MapsMoreFilesThanItCanList) {
  TemporaryDirectory dir;
  const std::string path = dir.file("weights.bin");
  test_files::write_text(path, "w");
  std::vector<std::shared_ptr<const MappedFile>> files;
  for (int i = 0; i < 4200; ++i) {
    auto file = map_guarded(path);
    ASSERT_TRUE(file.ok());
    files.push_back(*file);
  }
  EXPECT_EQ((*map_guarded(path))->text(), "w");
  EXPECT_FALSE(map_guarded(dir.file("absent")).ok());
}

}  // namespace
}  // namespace sluice::checkpoint
