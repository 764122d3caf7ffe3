#pragma once
// Answers that are known at once, as tasks: so that a route's lambda captures what it needs and is itself no coroutine.

#include <string>

#include "base/result.h"
#include "server/http/response.h"

namespace sluice::openai {

http::Task<void> reply(http::ResponseWriter& writer, int status, http::Headers headers, std::string body);
// 200 with JSON text, or the error.
http::Task<void> reply_json(http::ResponseWriter& writer, Result<std::string> body);

}  // namespace sluice::openai
