#include "base/numa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "base/thread_pool.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ParseCpuList, ReadsRangesAndRefusesTheRest) {
  EXPECT_THAT(parse_cpu_list("0-3,8").value(), ElementsAre(0, 1, 2, 3, 8));
  EXPECT_THAT(parse_cpu_list("7").value(), ElementsAre(7));
  EXPECT_THAT(parse_cpu_list("").value(), IsEmpty());
  for (const char* bad : {"a", "1-", "-1", "3-1", "1,,2", "0-99999", "1-2-3", " 1", "1 "})
    EXPECT_FALSE(parse_cpu_list(bad).ok()) << bad;
}

class NumaNodes : public testing::Test {
 protected:
  ~NumaNodes() override { std::filesystem::remove_all(directory_); }
  void add(const std::string& name, const std::string& cpus) const {
    std::filesystem::create_directories(directory_ + "/" + name);
    std::ofstream(directory_ + "/" + name + "/cpulist") << cpus << "\n";
  }
  const std::string directory_ = testing::TempDir() + "numa_test";
};

TEST_F(NumaNodes, AreThoseWithCpusOfThisProcess) {
  EXPECT_THAT(numa_nodes(directory_), IsEmpty());
  add("node10", "0");
  add("node2", "0-1023");
  add("node3", "");      // memory alone
  add("node4", "1000");  // another's CPU
  add("node5", "what");  // not a list
  add("nodes", "0");     // not a node
  const std::vector<NumaNode> nodes = numa_nodes(directory_);
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0].number, 2);
  EXPECT_GE(nodes[0].cpus.size(), static_cast<size_t>(available_cpus()));
  EXPECT_EQ(nodes[1], (NumaNode{10, {0}}));
}

TEST(PlaceOnNode, MovesWholePagesOfNodesThatExist) {
  constexpr size_t kBytes = size_t{1} << 20;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::span<std::byte> bytes(static_cast<std::byte*>(memory), kBytes);
  std::ranges::fill(bytes, std::byte{7});
  const std::vector<NumaNode> nodes = numa_nodes();
  if (!nodes.empty() && !place_on_node(bytes, nodes.front().number)) {
    munmap(memory, kBytes);
    GTEST_SKIP() << "the kernel lets nobody place pages here";
  }
  EXPECT_TRUE(place_on_node(bytes.subspan(1, 100), 0)) << "no whole page: nothing to do";
  EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{7}; }));
  EXPECT_FALSE(place_on_node(bytes, 1023));
  EXPECT_FALSE(place_on_node(bytes, -1));
  munmap(memory, kBytes);
}

}  // namespace
}  // namespace sluice
