#include "adapters/hub/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "adapters/hub/listing.h"
#include "adapters/hub/retry.h"

namespace sluice::adapters {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::map<std::string, std::string> g_environment;
const char* environment(const char* name) {
  const auto found = g_environment.find(name);
  return found == g_environment.end() ? nullptr : found->second.c_str();
}

TEST(HubTest, EnvironmentOfHuggingFace) {
  g_environment = {{"HOME", "/nowhere"}};
  Hub hub = *hub_from_environment(HubKind::kHuggingFace, environment);
  EXPECT_EQ(hub.endpoint, "https://huggingface.co");
  EXPECT_EQ(hub.token, "");
  EXPECT_FALSE(hub.offline);
  g_environment = {{"HF_ENDPOINT", "https://mirror.example/"},
                   {"HUGGING_FACE_HUB_TOKEN", "old"},
                   {"HF_TOKEN", " new\n"},
                   {"HF_HUB_OFFLINE", "1"}};
  hub = *hub_from_environment(HubKind::kHuggingFace, environment);
  EXPECT_EQ(hub.endpoint, "https://mirror.example");
  EXPECT_EQ(hub.token, "new");
  EXPECT_EQ(hub.token_source, "HF_TOKEN");
  EXPECT_TRUE(hub.offline);
  for (const char* endpoint : {"mirror", "ftp://x", "https://", "https://x?y", "http://a b"}) {
    g_environment["HF_ENDPOINT"] = endpoint;
    EXPECT_FALSE(hub_from_environment(HubKind::kHuggingFace, environment).ok()) << endpoint;
  }
}

TEST(HubTest, ATokenThatCouldSplitHeadersIsRefusedAndNotShown) {
  g_environment = {{"HF_TOKEN", "secret\r\nX: y"}};
  const auto hub = hub_from_environment(HubKind::kHuggingFace, environment);
  ASSERT_FALSE(hub.ok());
  EXPECT_THAT(hub.error().message, Not(HasSubstr("secret")));
}

TEST(HubTest, Requests) {
  const Hub hub{.endpoint = "https://h.co", .token = "t"};
  HttpRequest request = listing_request(hub, "org/name", "refs/pr/1");
  EXPECT_EQ(request.url, "https://h.co/api/models/org/name/revision/refs%2Fpr%2F1?blobs=true");
  EXPECT_THAT(request.secret_headers, ElementsAre("Authorization: Bearer t"));
  EXPECT_THAT(request.headers, Not(::testing::Contains(HasSubstr("Bearer"))));
  EXPECT_EQ(file_request(hub, "org/name", "abc", {.path = "a b/c#.gguf"}).url,
            "https://h.co/org/name/resolve/abc/a%20b/c%23.gguf");
  const Hub modelscope{.kind = HubKind::kModelScope, .endpoint = "https://m.cn"};
  EXPECT_EQ(listing_request(modelscope, "org/name", "master").url,
            "https://m.cn/api/v1/models/org/name/repo/files?Revision=master&Recursive=true");
  EXPECT_EQ(file_request(modelscope, "org/name", "x", {.path = "a/b", .revision = "r"}).url,
            "https://m.cn/api/v1/models/org/name/repo?Revision=r&FilePath=a%2Fb");
  EXPECT_THAT(listing_request(modelscope, "org/name", "master").secret_headers, IsEmpty());
}

TEST(ListingTest, HuggingFace) {
  const auto listing = parse_huggingface_listing(
      R"({"sha":"0123456789012345678901234567890123456789","gated":"auto","siblings":[
        {"rfilename":"config.json","size":7,"blobId":"abcdefabcdefabcdefabcdefabcdefabcdefabcd"},
        {"rfilename":"x/model.safetensors","size":9,"blobId":"abcdefabcdefabcdefabcdefabcdefabcdefabcd",
         "lfs":{"sha256":"AB00000000000000000000000000000000000000000000000000000000000000","size":9,"pointerSize":134}},
        {"rfilename":"unknown"}]})");
  ASSERT_TRUE(listing.ok()) << listing.error().message;
  EXPECT_TRUE(listing->gated);
  ASSERT_EQ(listing->files.size(), 3U);
  EXPECT_EQ(listing->files[0].blob(), "abcdefabcdefabcdefabcdefabcdefabcdefabcd");
  EXPECT_EQ(listing->files[1].blob(), "ab00000000000000000000000000000000000000000000000000000000000000");
  EXPECT_EQ(listing->files[1].size, 9);
  EXPECT_EQ(listing->files[2].size, -1);
  EXPECT_EQ(listing->files[2].blob(), "");
}

TEST(ListingTest, ModelScopeNamesACommitByContent) {
  const auto one = parse_modelscope_listing(
      R"({"Code":200,"Data":{"Files":[{"Path":"d","Type":"tree"},{"Path":"d/a","Type":"blob","Size":1,"Sha256":"x"},
          {"Path":"b","Type":"blob","Size":2}]}})");
  const auto two = parse_modelscope_listing(R"({"Data":{"Files":[{"Path":"b","Size":2},{"Path":"d/a","Size":1}]}})");
  const auto three = parse_modelscope_listing(R"({"Data":{"Files":[{"Path":"b","Size":3},{"Path":"d/a","Size":1}]}})");
  ASSERT_TRUE(one.ok() && two.ok() && three.ok());
  EXPECT_EQ(one->files.size(), 2U);
  EXPECT_TRUE(is_hexadecimal(one->commit, 40));
  EXPECT_EQ(one->commit, two->commit);
  EXPECT_NE(one->commit, three->commit);
  EXPECT_EQ(parse_modelscope_listing(R"({"Data":{"Files":null},"Message":"m"})").error().code, ErrorCode::kNotFound);
}

TEST(ListingTest, RefusesNamesThatLeaveTheFolderAndWrongTypes) {
  const auto error_of = [](const std::string& siblings) {
    const auto listing =
        parse_huggingface_listing(R"({"sha":"0123456789012345678901234567890123456789","siblings":)" + siblings + "}");
    return listing.ok() ? "" : listing.error().message;
  };
  EXPECT_EQ(error_of("[]"), "");
  for (const char* name : {"../x", "/x", "a/../b", "", "a\\\\b", "a\\u0000b"}) {
    EXPECT_THAT(error_of(std::string(R"([{"rfilename":")") + name + "\"}]"), HasSubstr("would not stay inside"))
        << name;
  }
  EXPECT_THAT(error_of(R"([{"rfilename":"a"},{"rfilename":"a"}])"), HasSubstr("twice"));
  EXPECT_THAT(error_of(R"([{"rfilename":"a","size":-1}])"), HasSubstr("bytes"));
  EXPECT_THAT(error_of(R"([{"rfilename":"a","size":17592186044417}])"), HasSubstr("bytes"));
  EXPECT_EQ(error_of(R"([{"rfilename":"a","size":17592186044416}])"), "");
  EXPECT_THAT(error_of(R"([7])"), HasSubstr("would not stay inside"));
  EXPECT_THAT(error_of("{}"), HasSubstr("siblings"));
}

TEST(RetryTest, DoublesWithJitterAndHonoursTheServer) {
  const RetryPolicy policy{.failures_max = 6, .first_delay_ms = 500, .delay_max_ms = 30'000, .wait_max_ms = 300'000};
  EXPECT_EQ(retry_delay_ms(policy, 1, 0, -1), 250);
  EXPECT_EQ(retry_delay_ms(policy, 1, 1, -1), 500);
  EXPECT_EQ(retry_delay_ms(policy, 4, 1, -1), 4000);
  EXPECT_EQ(retry_delay_ms(policy, 1000, 1, -1), 30'000);
  EXPECT_EQ(retry_delay_ms(policy, 1, 0, 7000), 7000);
  EXPECT_EQ(retry_delay_ms(policy, 1, 0, 999'000'000), 300'000);
  EXPECT_EQ(parse_retry_after_ms("12", 0), 12'000);
  EXPECT_EQ(parse_retry_after_ms("Thu, 01 Jan 1970 00:01:00 GMT", 20), 40'000);
  EXPECT_EQ(parse_retry_after_ms("Thu, 01 Jan 1970 00:01:00 GMT", 90), 0);
  EXPECT_EQ(parse_retry_after_ms("soon", 0), -1);
  EXPECT_EQ(parse_retry_after_ms("-5", 0), -1);
}

}  // namespace
}  // namespace sluice::adapters
