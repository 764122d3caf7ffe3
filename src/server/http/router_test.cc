#include "server/http/router.h"

#include <gmock/gmock.h>

#include "server/http/headers.h"
#include "server/http/serialize.h"
#include "server/http/status.h"
#include "server/http/uri.h"

namespace sluice::http {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Task<void> nothing(const Request&, ResponseWriter&) { co_return; }

Router sample() {
  Router router;
  router.add({"GET", "/", nothing});
  router.add({"GET", "/v1/models", nothing});
  router.add({"POST", "/v1/models", nothing});
  router.add({"GET", "/v1/models/{model...}", nothing});
  router.add({"GET", "/v1/models/special", nothing});
  router.add({"GET", "/v1/files/{id}", nothing});
  router.add({"DELETE", "/v1/files/{id}", nothing});
  router.add({"GET", "/v1/files/{id}/content", nothing});
  return router;
}

std::string path_of(const Router& router, std::string_view method, std::string_view path) {
  const Router::Match match = router.match(method, path);
  return match.route ? match.route->path : "";
}

TEST(Router, FindsTheMostLiteralRoute) {
  const Router router = sample();
  EXPECT_EQ(path_of(router, "GET", "/"), "/");
  EXPECT_EQ(path_of(router, "POST", "/v1/models"), "/v1/models");
  EXPECT_EQ(path_of(router, "HEAD", "/v1/models"), "/v1/models");
  EXPECT_EQ(path_of(router, "GET", "/v1/models/special"), "/v1/models/special");
  EXPECT_EQ(path_of(router, "GET", "/v1/models/special/x"), "/v1/models/{model...}");
  EXPECT_EQ(path_of(router, "GET", "/v1/models/"), "");
  EXPECT_EQ(path_of(router, "GET", "/v1/models//"), "");
  EXPECT_EQ(path_of(router, "GET", "/v1/%6dodels"), "/v1/models");
  EXPECT_EQ(path_of(router, "GET", "/v1%2Fmodels"), "");
  EXPECT_EQ(path_of(router, "GET", "/v1/files/a%2Fb"), "/v1/files/{id}");
  EXPECT_EQ(path_of(router, "GET", "/v1/files/7/content"), "/v1/files/{id}/content");
  EXPECT_EQ(path_of(router, "GET", ""), "");
  EXPECT_EQ(path_of(router, "GET", "*"), "");
}

TEST(Router, GivesParametersDecoded) {
  const Router router = sample();
  EXPECT_THAT(router.match("GET", "/v1/models/zai-org/GLM%204").params, ElementsAre(Pair("model", "zai-org/GLM 4")));
  EXPECT_THAT(router.match("DELETE", "/v1/files/a%2Fb").params, ElementsAre(Pair("id", "a/b")));
}

TEST(Router, SaysWhatAPathAllows) {
  const Router router = sample();
  const Router::Match match = router.match("PUT", "/v1/files/7");
  EXPECT_EQ(match.route, nullptr);
  ASSERT_NE(match.other, nullptr);
  EXPECT_THAT(match.allowed, ElementsAre("GET", "DELETE", "HEAD", "OPTIONS"));
  EXPECT_EQ(router.nearest_path("/v1/model"), "/v1/models");
  EXPECT_EQ(router.nearest_path("/completely/elsewhere/and/long"), "");
}

TEST(RouterDeathTest, BugsStop) {
  Router router = sample();
  EXPECT_DEATH(router.add({"GET", "/v1/models", nothing}), "twice");
  EXPECT_DEATH(router.add({"GET", "/v1/files/{id}", nothing}), "twice");
  EXPECT_DEATH(router.add({"GET", "/{a...}/b", nothing}), "last");
}

TEST(Headers, CompareNamesWithoutCaseAndKeepOrder) {
  Headers headers{{"A", "1"}, {"b", "2"}};
  headers.add("a", "3");
  EXPECT_EQ(headers.get("A"), "1");
  EXPECT_THAT(headers.all("a"), ElementsAre("1", "3"));
  headers.set("a", headers.get("b"));
  EXPECT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers.get("a"), "2");
  headers.add("copy", headers.get("b"));
  EXPECT_EQ(headers.get("copy"), "2");
  headers.remove("B");
  EXPECT_FALSE(headers.has("b"));
  EXPECT_TRUE(list_has_token("keep-alive , Close", "close"));
  EXPECT_FALSE(list_has_token("closed", "close"));
  Headers moved = std::move(headers);
  EXPECT_EQ(moved.get("copy"), "2");
}

TEST(Status, EveryErrorCodeHasAStatusAndItsBodyAFixedForm) {
  EXPECT_EQ(error_status(ErrorCode::kInvalidArgument).status, 400);
  EXPECT_EQ(error_status(ErrorCode::kUnauthenticated).status, 401);
  EXPECT_EQ(error_status(ErrorCode::kPermissionDenied).status, 403);
  EXPECT_EQ(error_status(ErrorCode::kNotFound).status, 404);
  EXPECT_EQ(error_status(ErrorCode::kTooLarge).status, 413);
  EXPECT_EQ(error_status(ErrorCode::kResourceExhausted).status, 429);
  EXPECT_TRUE(error_status(ErrorCode::kResourceExhausted).retry_later);
  EXPECT_EQ(error_status(ErrorCode::kUnavailable).status, 503);
  EXPECT_TRUE(error_status(ErrorCode::kUnavailable).retry_later);
  EXPECT_EQ(error_status(ErrorCode::kDeadlineExceeded).status, 504);
  EXPECT_EQ(error_status(ErrorCode::kCancelled).status, 499);
  EXPECT_EQ(error_status(ErrorCode::kUnimplemented).status, 501);
  EXPECT_EQ(error_status(ErrorCode::kCorruptData).status, 400);
  EXPECT_EQ(error_status(ErrorCode::kIo).status, 500);
  EXPECT_EQ(error_status(ErrorCode::kInternal).status, 500);
  EXPECT_EQ(
      error_body({ErrorCode::kInvalidArgument, "too \"long\"", "messages", "context_length_exceeded"}),
      R"({"error":{"message":"too \"long\"","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})");
  EXPECT_EQ(error_body(405, "no"),
            R"({"error":{"message":"no","type":"invalid_request_error","param":null,"code":"method_not_allowed"}})");
  EXPECT_EQ(error_body({ErrorCode::kResourceExhausted, "full", {}, {}}),
            R"({"error":{"message":"full","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})");
}

TEST(Serialize, DatesAndHeads) {
  EXPECT_EQ(http_date().size(), 29U);
  EXPECT_TRUE(http_date().ends_with(" GMT"));
  std::string out;
  append_head(out, {204, BodyFraming::kNone, 0, false, true}, {});
  EXPECT_EQ(out.find("content-length"), std::string::npos);
  EXPECT_TRUE(out.starts_with("HTTP/1.1 204 No Content\r\n"));
  EXPECT_FALSE(sendable_name("Transfer-Encoding"));
  EXPECT_FALSE(sendable_name("a b"));
  EXPECT_TRUE(sendable_name("x-a"));
}

}  // namespace
}  // namespace sluice::http
