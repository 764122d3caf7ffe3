#pragma once
// Brings an answer to its client: as server-sent events while it is made, or whole. Both stop the backend's work at
// once when the client leaves.

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "server/http/response.h"
#include "server/http/task.h"
#include "server/openai/answer_writer.h"
#include "server/openai/open_answer.h"

namespace sluice::openai {

// What a delivery needs besides the client; made off the I/O thread.
struct Delivery {
  std::unique_ptr<OpenAnswer> answer;
  std::unique_ptr<AnswerWriter> text;
  std::vector<std::string> echo_texts;   // by prompt; empty unless the completion echoes
  std::chrono::milliseconds keep_alive;  // see ServiceOptions
};

// By AnswerOptions::stream. The first event goes out when the first token exists; a failure before that is a status,
// later it is an event `data: {"error":…}`, after which the stream ends without [DONE].
http::Task<void> deliver(Delivery delivery, http::ResponseWriter& writer);

// Whole, in a form of the caller's own.
using RenderWhole = std::function<std::string(std::span<const ChoicePart> choices, const api::Usage& usage)>;
http::Task<void> deliver_whole(std::unique_ptr<OpenAnswer> answer, http::ResponseWriter& writer, RenderWhole render);

}  // namespace sluice::openai
