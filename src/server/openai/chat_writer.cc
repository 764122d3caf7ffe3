#include <algorithm>
#include <set>

#include "base/json.h"
#include "server/openai/answer_writer.h"
#include "server/openai/json_text.h"

namespace sluice::openai {
namespace {

// {"token":…,"logprob":…,"bytes":[…]  — without the closing brace.
void append_token(std::string& out, std::string_view bytes, float logprob) {
  out += R"({"token":)";
  append_json_string(out, token_text(bytes));
  out += R"(,"logprob":)";
  append_float(out, logprob);
  out += R"(,"bytes":)";
  append_bytes(out, bytes);
}

// Tool calls found in the text of an answer belong here: a parser per model family would turn parts of the text into
// delta.tool_calls and message.tool_calls, with the finish reason "tool_calls".
class ChatWriter final : public AnswerWriter {
 public:
  using AnswerWriter::AnswerWriter;

  void append_events(std::string& out, const ChoicePart& part, const api::Usage& so_far) override {
    const bool first = begun_.insert(part.choice).second;
    // The role comes with the first text, never before it: clients take the first chunk with content as the first
    // token.
    if (first || !part.text.empty() || !part.logprobs.empty() || (options_.token_ids && !part.ids.empty())) {
      begin_choice(out, part.choice);
      out += first ? R"("delta":{"role":"assistant","content":)" : R"("delta":{"content":)";
      append_json_string(out, part.text);
      out += "}";
      append_logprobs(out, part);
      append_finish(out, std::nullopt);
      append_token_ids(out, part);
      out += '}';
      end_event(out, so_far);
    }
    if (!part.finish) return;
    begin_choice(out, part.choice);
    out += R"("delta":{},"logprobs":null)";
    append_finish(out, part.finish);
    out += '}';
    end_event(out, so_far);
  }

  std::string whole(std::span<const ChoicePart> choices, const api::Usage& usage) override {
    std::string out;
    append_head(out, "chat.completion");
    for (size_t i = 0; i < choices.size(); ++i) {
      const ChoicePart& choice = choices[i];
      out += i > 0 ? R"(,{"index":)" : R"({"index":)";
      append_integer(out, choice.choice);
      out += R"(,"message":{"role":"assistant","content":)";
      append_json_string(out, choice.text);
      out += R"(,"refusal":null})";
      append_logprobs(out, choice);
      append_finish(out, choice.finish);
      append_token_ids(out, choice);
      out += '}';
    }
    append_whole_end(out, usage);
    return out;
  }

 private:
  std::string_view event_object() const override { return "chat.completion.chunk"; }

  void begin_choice(std::string& out, int choice) const {
    begin_event(out);
    out += R"({"index":)";
    append_integer(out, choice);
    out += ',';
  }

  void append_logprobs(std::string& out, const ChoicePart& part) const {
    if (!options_.logprobs) {
      out += R"(,"logprobs":null)";
      return;
    }
    out += R"(,"logprobs":{"content":[)";
    for (size_t i = 0; i < part.logprobs.size(); ++i) {
      const api::TokenLogprob& token = part.logprobs[i];
      if (i > 0) out += ',';
      append_token(out, token.bytes, token.logprob);
      out += R"(,"top_logprobs":[)";
      const size_t shown = std::min(token.top.size(), static_cast<size_t>(options_.top_logprobs));
      for (size_t j = 0; j < shown; ++j) {
        if (j > 0) out += ',';
        append_token(out, token.top[j].bytes, token.top[j].logprob);
        out += '}';
      }
      out += "]}";
    }
    out += R"(],"refusal":null})";
  }

  std::set<int> begun_;  // choices whose role has been sent
};

}  // namespace

std::unique_ptr<AnswerWriter> make_chat_writer(AnswerHead head, const AnswerOptions& options) {
  return std::make_unique<ChatWriter>(std::move(head), options);
}

}  // namespace sluice::openai
