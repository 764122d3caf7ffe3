#include "cli/bench.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

TEST(Bench, PercentilesAreNearestRank) {
  const std::vector<double> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(percentile(values, 0.5), 3);
  EXPECT_EQ(percentile(values, 0.2), 1);
  EXPECT_EQ(percentile(values, 0.21), 2);
  EXPECT_EQ(percentile(values, 0.99), 5);
  EXPECT_EQ(percentile(values, 1), 5);
  EXPECT_EQ(percentile({}, 0.5), 0);
  EXPECT_EQ(median({7}), 7);
}

TEST(Bench, ListsOfWholeNumbers) {
  EXPECT_EQ(whole_numbers({}, {128}, "batch").value(), std::vector<int>{128});
  EXPECT_EQ(whole_numbers({"1", "32"}, {}, "batch").value(), (std::vector<int>{1, 32}));
  EXPECT_EQ(whole_numbers({"0"}, {}, "depth", 0).value(), std::vector<int>{0});
  for (const char* wrong : {"0", "-1", "x", "1.5", "", "99999999999"}) {
    const auto result = whole_numbers({wrong}, {}, "batch");
    ASSERT_FALSE(result.ok()) << wrong;
    EXPECT_EQ(result.error().param, "batch");
  }
}

}  // namespace
}  // namespace sluice::cli
