#include <algorithm>
#include <iterator>
#include <map>

#include "base/json.h"
#include "server/openai/answer_writer.h"
#include "server/openai/json_text.h"

namespace sluice::openai {
namespace {

using text::answers::AnswerEvent;
using text::answers::AnswerParser;
using Kind = AnswerEvent::Kind;

// {"token":…,"logprob":…,"bytes":[…]  — without the closing brace.
void append_token(std::string& out, std::string_view bytes, float logprob) {
  out += R"({"token":)";
  append_json_string(out, token_text(bytes));
  out += R"(,"logprob":)";
  append_float(out, logprob);
  out += R"(,"bytes":)";
  append_bytes(out, bytes);
}

// {"id":…,"type":"function","function":{"name":…,"arguments":…}} without the opening brace, as an index may stand
// before.
void append_call(std::string& out, std::string_view id, std::string_view name, std::string_view arguments) {
  out += R"("id":)";
  append_json_string(out, id);
  out += R"(,"type":"function","function":{"name":)";
  append_json_string(out, name);
  out += R"(,"arguments":)";
  append_json_string(out, arguments);
  out += "}}";
}

class ChatWriter final : public AnswerWriter {
 public:
  ChatWriter(AnswerHead head, const AnswerOptions& options, AnswerForm form)
      : AnswerWriter(std::move(head), options), form_(std::move(form)) {}

  void append_events(std::string& out, const ChoicePart& part, const api::Usage& so_far) override {
    Choice& choice = choices_[part.choice];
    choice.index = part.choice;
    choice.ids.insert(choice.ids.end(), part.ids.begin(), part.ids.end());
    choice.logprobs.insert(choice.logprobs.end(), part.logprobs.begin(), part.logprobs.end());
    for (const AnswerEvent& event : events_of(choice, part)) append_event(out, choice, event, so_far);
    // The role comes with the first text, never before it: clients take the first chunk with content as the first
    // token. Tokens that have no text of their own are reported all the same.
    const bool left = !choice.logprobs.empty() || (options_.token_ids && !choice.ids.empty());
    const bool due = part.finish.has_value() || !form_.parses();
    if (due && (!choice.begun || left)) {
      append_event(out, choice, {.kind = Kind::kContent, .text = {}, .call = 0, .id = {}}, so_far);
    }
    if (!part.finish) return;
    begin_choice(out, part.choice);
    out += R"("delta":{},"logprobs":null)";
    append_finish(out, finish_of(choice, *part.finish));
    out += '}';
    end_event(out, so_far);
  }

  std::string whole(std::span<const ChoicePart> choices, const api::Usage& usage) override {
    std::string out;
    append_head(out, "chat.completion");
    for (size_t i = 0; i < choices.size(); ++i) {
      const ChoicePart& part = choices[i];
      Choice choice;
      out += i > 0 ? R"(,{"index":)" : R"({"index":)";
      append_integer(out, part.choice);
      append_message(out, events_of(choice, part));
      append_logprobs(out, part.logprobs);
      append_finish(out, part.finish ? std::optional(finish_of(choice, *part.finish)) : std::nullopt);
      append_token_ids(out, part.ids);
      out += '}';
    }
    append_whole_end(out, usage);
    out.pop_back();
    append_prompt_ids(out, 0);
    out += '}';
    return out;
  }

 private:
  struct Choice {
    int index = 0;
    bool begun = false;  // the role has been sent
    std::optional<AnswerParser> parser;
    bool called = false;                      // a call is part of the answer
    std::vector<api::TokenId> ids;            // not sent yet
    std::vector<api::TokenLogprob> logprobs;  // not sent yet
  };

  std::string_view event_object() const override { return "chat.completion.chunk"; }

  // What the part adds to the answer, as far as the client wants it.
  std::vector<AnswerEvent> events_of(Choice& choice, const ChoicePart& part) const {
    std::vector<AnswerEvent> events;
    if (!form_.parses()) {
      if (!part.text.empty()) events.push_back({.kind = Kind::kContent, .text = part.text, .call = 0, .id = {}});
      return events;
    }
    if (!choice.parser) {
      choice.parser.emplace(form_.parser);
      choice.parser->push(form_.opening, events);
    }
    choice.parser->push(part.text, events);
    if (part.finish) choice.parser->finish(*part.finish == api::FinishReason::kLength, events);
    std::erase_if(events, [&](const AnswerEvent& event) {
      const bool of_call = event.kind != Kind::kContent && event.kind != Kind::kReasoning;
      return event.kind == Kind::kCallEnd || (event.kind == Kind::kReasoning && !form_.reasoning) ||
             (of_call && form_.one_call && event.call > 0);
    });
    for (AnswerEvent& event : events) {
      if (event.kind != Kind::kCallBegin) continue;
      choice.called = true;
      if (event.id.empty()) event.id = make_call_id(form_.short_ids);
    }
    return events;
  }

  static api::FinishReason finish_of(const Choice& choice, api::FinishReason finish) {
    return finish == api::FinishReason::kStop && choice.called ? api::FinishReason::kToolCalls : finish;
  }

  void begin_choice(std::string& out, int choice) const {
    begin_event(out);
    out += R"({"index":)";
    append_integer(out, choice);
    out += ',';
  }

  // One chunk. What is known of the tokens so far goes with it.
  void append_event(std::string& out, Choice& choice, const AnswerEvent& event, const api::Usage& so_far) {
    begin_choice(out, choice.index);
    const bool first = !choice.begun;
    choice.begun = true;
    out += first ? R"("delta":{"role":"assistant",)" : R"("delta":{)";
    switch (event.kind) {
      case Kind::kContent:
        out += R"("content":)";
        append_json_string(out, event.text);
        break;
      case Kind::kReasoning:
        out += R"("reasoning_content":)";
        append_json_string(out, event.text);
        break;
      case Kind::kCallBegin:
        out += first ? R"("content":null,"tool_calls":[{"index":)" : R"("tool_calls":[{"index":)";
        append_integer(out, event.call);
        out += ',';
        append_call(out, event.id, event.text, "");
        out += ']';
        break;
      case Kind::kArguments:
        out += R"("tool_calls":[{"index":)";
        append_integer(out, event.call);
        out += R"(,"function":{"arguments":)";
        append_json_string(out, event.text);
        out += "}}]";
        break;
      case Kind::kCallEnd:
        break;
    }
    out += '}';
    append_logprobs(out, choice.logprobs);
    append_finish(out, std::nullopt);
    append_token_ids(out, choice.ids);
    out += '}';
    choice.ids.clear();
    choice.logprobs.clear();
    end_chunk(out, so_far);
  }

  // As end_event; the stream's first chunk also has the prompt's tokens.
  void end_chunk(std::string& out, const api::Usage& so_far) {
    std::string prompt;
    if (!prompt_ids_sent_) append_prompt_ids(prompt, 0);
    prompt_ids_sent_ = true;
    end_event(out, so_far);
    if (!prompt.empty()) out.insert(out.size() - 3, prompt);
  }

  void append_message(std::string& out, const std::vector<AnswerEvent>& events) const {
    std::string content, reasoning, calls;
    for (size_t i = 0; i < events.size(); ++i) {
      const AnswerEvent& event = events[i];
      if (event.kind == Kind::kContent) content += event.text;
      if (event.kind == Kind::kReasoning) reasoning += event.text;
      if (event.kind != Kind::kCallBegin) continue;
      std::string arguments;
      for (size_t j = i + 1; j < events.size() && events[j].kind == Kind::kArguments; ++j) arguments += events[j].text;
      calls += calls.empty() ? "{" : ",{";
      append_call(calls, event.id, event.text, arguments);
    }
    out += R"(,"message":{"role":"assistant","content":)";
    if (content.empty() && (!calls.empty() || !reasoning.empty())) {
      out += "null";
    } else {
      append_json_string(out, content);
    }
    if (!reasoning.empty()) {
      out += R"(,"reasoning_content":)";
      append_json_string(out, reasoning);
    }
    out += R"(,"refusal":null)";
    if (!calls.empty()) out += R"(,"tool_calls":[)" + calls + ']';
    out += '}';
  }

  void append_logprobs(std::string& out, const std::vector<api::TokenLogprob>& logprobs) const {
    if (!options_.logprobs) {
      out += R"(,"logprobs":null)";
      return;
    }
    out += R"(,"logprobs":{"content":[)";
    for (size_t i = 0; i < logprobs.size(); ++i) {
      const api::TokenLogprob& token = logprobs[i];
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

  const AnswerForm form_;
  std::map<int, Choice> choices_;
  bool prompt_ids_sent_ = false;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_chat_writer(AnswerHead head, const AnswerOptions& options, AnswerForm form) {
  return std::make_unique<ChatWriter>(std::move(head), options, std::move(form));
}

}  // namespace sluice::openai
