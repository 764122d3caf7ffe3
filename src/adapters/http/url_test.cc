#include "adapters/http/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::adapters {
namespace {

TEST(Url, KnowsThisMachine) {
  for (const char* here : {"http://127.0.0.1:8000/v1", "http://127.8.9.1", "https://LOCALHOST/", "http://[::1]:80/x"})
    EXPECT_TRUE(is_loopback(here)) << here;
  for (const char* elsewhere :
       {"http://128.0.0.1", "http://127.0.0.1.example.org", "http://localhost.example.org", "http://[::2]/",
        "http://example.org/127.0.0.1", "http://127.0.0.1@example.org", "", "x"})
    EXPECT_FALSE(is_loopback(elsewhere)) << elsewhere;
}

using ::testing::HasSubstr;

TEST(UrlTest, SameOriginIsSchemeHostAndPort) {
  EXPECT_TRUE(same_origin("https://hub.co/a?b", "https://HUB.co:443/c"));
  EXPECT_TRUE(same_origin("http://127.0.0.1:8000/", "http://127.0.0.1:8000/x"));
  EXPECT_FALSE(same_origin("https://hub.co/", "http://hub.co/"));
  EXPECT_FALSE(same_origin("https://hub.co/", "https://cdn.hub.co/"));
  EXPECT_FALSE(same_origin("https://hub.co/", "https://hub.co:8443/"));
  EXPECT_FALSE(same_origin("https://hub.co/", "https://hub.co.evil.com/"));
  EXPECT_FALSE(same_origin("https://hub.co/", "https://hub.co@evil.com/"));
  EXPECT_FALSE(same_origin("not an address", "not an address"));
}

TEST(UrlTest, RedirectsAreResolvedAndNeverLoseTls) {
  EXPECT_EQ(*redirect_target("https://hub.co/a/b?x", "/c?d"), "https://hub.co/c?d");
  EXPECT_EQ(*redirect_target("https://hub.co/a/b", "c"), "https://hub.co/a/c");
  EXPECT_EQ(*redirect_target("https://hub.co/a", "//cdn.co/b"), "https://cdn.co/b");
  EXPECT_EQ(*redirect_target("http://hub.co/a", "https://cdn.co/b?sig=1"), "https://cdn.co/b?sig=1");
  EXPECT_EQ(redirect_target("https://hub.co/a", "http://hub.co/a").error().code, ErrorCode::kPermissionDenied);
  for (const char* location : {"file:///etc/passwd", "ftp://x/y", "gopher://x", "javascript:1", "http://"}) {
    EXPECT_FALSE(redirect_target("http://hub.co/a", location).ok()) << location;
  }
  EXPECT_THAT(redirect_target("https://u:p@hub.co/a?secret", "ftp://x").error().message,
              ::testing::Not(::testing::AnyOf(HasSubstr("secret"), HasSubstr("u:p"))));
}

TEST(UrlTest, DisplayLeavesSecretsOut) {
  EXPECT_EQ(display_url("https://user:word@hub.co:444/a/b?Signature=x#y"), "https://hub.co:444/a/b");
  EXPECT_EQ(display_url("https://hub.co"), "https://hub.co");
}

TEST(UrlTest, Escapes) {
  EXPECT_EQ(escape_url("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(escape_url("a b/c+?#%é", "/"), "a%20b/c%2B%3F%23%25%C3%A9");
  EXPECT_EQ(escape_url("A-z_0.9~"), "A-z_0.9~");
}

}  // namespace
}  // namespace sluice::adapters
