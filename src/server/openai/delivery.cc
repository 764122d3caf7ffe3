#include "server/openai/delivery.h"

#include "server/http/status.h"

namespace sluice::openai {
namespace {

constexpr std::string_view kKeepAliveComment = ": keep-alive\n\n";

// The echoed text is known at once, its log-probabilities when the prompt has been computed.
void set_echoes(Delivery& delivery, AnswerInbox::Taken& taken) {
  if (delivery.echo_texts.empty()) return;
  for (auto& [prompt, report] : taken.prompts) {
    delivery.text->set_echo(prompt, {delivery.echo_texts[static_cast<size_t>(prompt)], std::move(report.logprobs)});
  }
}

http::Headers event_stream_headers() {
  // The last line keeps nginx from collecting the stream.
  return {
      {"content-type", "text/event-stream; charset=utf-8"}, {"cache-control", "no-cache"}, {"x-accel-buffering", "no"}};
}

// Sends `text` as a piece of the stream, begun if it has not. False when the client is gone.
http::Task<bool> send_piece(http::ResponseWriter& writer, const std::string& text) {
  if (!writer.started()) {
    const Result<void> started = co_await writer.start(200, event_stream_headers());
    if (!started.ok()) co_return false;
  }
  const Result<void> written = co_await writer.write(text);
  co_return written.ok();
}

http::Task<void> deliver_stream(Delivery delivery, http::ResponseWriter& writer) {
  AnswerInbox& inbox = delivery.answer->inbox();
  const auto patience =
      delivery.keep_alive.count() > 0 ? delivery.keep_alive : std::chrono::milliseconds(std::chrono::hours(1));
  std::string out;
  while (true) {
    const auto rung = co_await inbox.bell().next_for(patience);
    if (writer.disconnected()) co_return;
    AnswerInbox::Taken taken = inbox.take();
    out.clear();
    set_echoes(delivery, taken);
    if (!taken.error || writer.started()) {
      for (const ChoicePart& part : taken.parts) delivery.text->append_events(out, part, taken.usage);
    }
    if (taken.error) {
      if (!writer.started()) {
        (void)co_await writer.send_error(*taken.error);
        co_return;
      }
      append_error_event(out, http::error_body(*taken.error));
    } else if (taken.ended) {
      delivery.answer->mark_ended();
      delivery.text->append_end(out, taken.usage);
    } else if (out.empty() && !rung && delivery.keep_alive.count() > 0) {
      out = kKeepAliveComment;
    }
    if (!out.empty()) {
      const bool sent = co_await send_piece(writer, out);
      if (!sent) co_return;
    }
    if (taken.ended) {
      (void)co_await writer.finish();
      co_return;
    }
  }
}

// All of the answer; nothing when it failed, which the client has then been told, or when the client has left.
http::Task<std::optional<AnswerInbox::Taken>> take_whole(OpenAnswer& answer, http::ResponseWriter& writer) {
  while (true) {
    (void)co_await answer.inbox().bell().next();
    if (writer.disconnected()) co_return std::nullopt;
    AnswerInbox::Taken taken = answer.inbox().take();
    if (!taken.ended) continue;
    if (taken.error) {
      (void)co_await writer.send_error(*taken.error);
      co_return std::nullopt;
    }
    answer.mark_ended();
    co_return taken;
  }
}

}  // namespace

http::Task<void> deliver_whole(std::unique_ptr<OpenAnswer> answer, http::ResponseWriter& writer, RenderWhole render) {
  answer->follow(writer);
  const std::optional<AnswerInbox::Taken> taken = co_await take_whole(*answer, writer);
  if (!taken) co_return;
  std::string body = render(taken->parts, taken->usage);
  (void)co_await writer.send_json(200, std::move(body));
}

http::Task<void> deliver(Delivery delivery, http::ResponseWriter& writer) {
  delivery.answer->follow(writer);
  for (size_t i = 0; i < delivery.echo_texts.size(); ++i) {
    delivery.text->set_echo(static_cast<int>(i), {delivery.echo_texts[i], {}});
  }
  if (delivery.text->options().stream) {
    co_await deliver_stream(std::move(delivery), writer);
    co_return;
  }
  std::optional<AnswerInbox::Taken> taken = co_await take_whole(*delivery.answer, writer);
  if (!taken) co_return;
  set_echoes(delivery, *taken);
  std::string body = delivery.text->whole(taken->parts, taken->usage);
  (void)co_await writer.send_json(200, std::move(body));
}

}  // namespace sluice::openai
