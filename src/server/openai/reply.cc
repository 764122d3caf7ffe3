#include "server/openai/reply.h"

namespace sluice::openai {

http::Task<void> reply(http::ResponseWriter& writer, int status, http::Headers headers, std::string body) {
  (void)co_await writer.send(status, std::move(headers), std::move(body));
}

http::Task<void> reply_json(http::ResponseWriter& writer, Result<std::string> body) {
  if (body.ok()) {
    (void)co_await writer.send_json(200, std::move(body).value());
  } else {
    (void)co_await writer.send_error(body.error());
  }
}

}  // namespace sluice::openai
