#include <gtest/gtest.h>

#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"

namespace sluice {
namespace {

TEST(Json, KeepsOrderAndReportsWhereTextIsWrong) {
  const auto good = parse_json(R"({"b":1,"a":[true,null,"x"]})");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(dump_json(*good), R"({"b":1,"a":[true,null,"x"]})");
  const auto bad = parse_json("{\"a\":\n nope}");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, ErrorCode::kCorruptData);
  EXPECT_NE(bad.error().message.find("line 2"), std::string::npos) << bad.error().message;
}

TEST(Json, StopsAtTheDepthLimit) {
  const std::string at_limit = std::string(64, '[') + std::string(64, ']');
  EXPECT_TRUE(parse_json(at_limit).ok());
  const auto deep = parse_json(std::string(65, '['));
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.error().code, ErrorCode::kTooLarge);
  EXPECT_FALSE(parse_json(std::string(1 << 20, '[')).ok());
}

TEST(Json, IntegersThatMustBeExactFitIn64Bits) {
  const JsonLimits limits{.exact_integers_depth = 2};
  for (const char* digits : {"9223372036854775808", "-9223372036854775809", "18446744073709551616",
                             "100000000000000000000000000000000000000000000000000"}) {
    const auto refused = parse_json(cat(R"({"seed": 1, "tools": [{"maximum": )", digits, "}], \"x\": 1}"), limits);
    ASSERT_FALSE(refused.ok()) << digits;
    EXPECT_EQ(refused.error().param, "tools");
    EXPECT_NE(refused.error().message.find(std::string_view(digits).substr(0, 40)), std::string::npos);
    EXPECT_TRUE(parse_json(cat(R"({"tools": )", digits, "}"), limits).ok()) << "not so deep";
    EXPECT_TRUE(parse_json(cat("[[", digits, "]]")).ok()) << "not asked for";
  }
  for (const char* number : {"9223372036854775807", "-9223372036854775808", "1e30", "99999999999999999999.0"})
    EXPECT_TRUE(parse_json(cat("[[", number, "]]"), limits).ok()) << number;
}

TEST(Json, ManyKeysTakeLinearTimeAndTheLastOfEqualsWins) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += cat("\"k", i % 150000, "\":", i, ",");  // a quadratic reader takes minutes
  text.back() = '}';
  const auto json = parse_json(text);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->size(), 150000u);
  EXPECT_EQ(json->front(), 150000);  // k0, in its first place with its last value
  EXPECT_EQ(json->back(), 149999);
}

TEST(Json, LooksUpTypedMembers) {
  const Json object = *parse_json(R"({"n":3,"f":2.5,"whole":4.0,"s":"x","null":null})");
  EXPECT_EQ(*json_int(object, "n", 0), 3);
  EXPECT_EQ(*json_int(object, "whole", 0), 4);
  EXPECT_EQ(*json_int(object, "absent", 7), 7);
  EXPECT_EQ(*json_int(object, "null", 8), 8);
  EXPECT_FALSE(json_int(object, "f", 0).ok());
  EXPECT_EQ(json_int(object, "s", 0).error().param, "s");
}

TEST(Json, WritesStrings) {
  std::string out;
  append_json_string(out, "a\"\\\n\x01\xff");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBD\"");
}

TEST(Strings, Utf8) {
  EXPECT_EQ(utf8_complete_prefix("ab\xE4\xBD"), 2u);
  EXPECT_EQ(utf8_complete_prefix("ab\xE4\xBD\xA0"), 5u);
  EXPECT_EQ(utf8_complete_prefix("\xF0\x9F\x98"), 0u);
  EXPECT_EQ(utf8_complete_prefix("a\x80"), 2u);      // a lone continuation byte never becomes valid
  EXPECT_EQ(utf8_complete_prefix("a\xE0\x80"), 3u);  // E0 80 is no beginning of anything
  EXPECT_EQ(utf8_sanitize("a\xF0\x9F\x98"), "a\xEF\xBF\xBD");
  EXPECT_EQ(utf8_sanitize("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_TRUE(utf8_valid("日本"));
  EXPECT_FALSE(utf8_valid("\xED\xA0\x80"));  // a surrogate
}

TEST(Strings, Bytes) {
  uint64_t bytes = 0;
  EXPECT_TRUE(parse_bytes("1.5GiB", &bytes));
  EXPECT_EQ(bytes, 1610612736u);
  EXPECT_TRUE(parse_bytes("512m", &bytes));
  EXPECT_EQ(bytes, 536870912u);
  EXPECT_TRUE(parse_bytes("77", &bytes));
  EXPECT_EQ(bytes, 77u);
  EXPECT_FALSE(parse_bytes("12 parsecs", &bytes));
  EXPECT_FALSE(parse_bytes("-1", &bytes));
  EXPECT_EQ(format_bytes(1610612736), "1.50 GiB");
}

TEST(Strings, NearestName) {
  EXPECT_EQ(nearest_name("temprature", {"top_p", "temperature", "n"}), "temperature");
  EXPECT_EQ(nearest_name("zzzzzzzz", {"top_p", "temperature"}), "");
}

TEST(Random, IsAPureFunctionOfSeedAndCounter) {
  // Known answer of Random123's kat_vectors: philox4x32-10, counter 0, key 0.
  const auto r = philox4x32(0, 0, 0);
  EXPECT_EQ(r[0], 0x6627e8d5u);
  EXPECT_EQ(r[1], 0xe169c58du);
  EXPECT_EQ(r[2], 0xbc57ac4cu);
  EXPECT_EQ(r[3], 0x9b00dbd8u);
  double sum = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    const double u = philox_uniform(42, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

}  // namespace
}  // namespace sluice
