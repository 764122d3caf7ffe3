#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/strings.h"
#include "server/openai/answer_writer.h"
#include "server/openai/json_text.h"

namespace sluice::openai {
namespace {

// The legacy form is keyed by token text, so a piece of a character is spelled "bytes:\xe2\x82" as OpenAI does.
std::string legacy_token(std::string_view bytes) {
  return utf8_valid(bytes) ? std::string(bytes) : "bytes:" + token_text(bytes);
}

// The four parallel arrays of a legacy logprobs object, written as tokens come.
class LegacyLogprobs {
 public:
  void add(const api::TokenLogprob& token, int top, int64_t offset) {
    separate();
    append_json_string(tokens_, legacy_token(token.bytes));
    append_float(token_logprobs_, token.logprob);
    append_integer(offsets_, offset);
    if (std::isnan(token.logprob)) {  // the prompt's first token has no predecessor
      top_ += "null";
      return;
    }
    // As in OpenAI's API the sampled token is always among them, so there may be one more than asked for.
    top_ += '{';
    bool sampled_shown = false;
    const size_t shown = std::min(token.top.size(), static_cast<size_t>(top));
    for (size_t i = 0; i < shown; ++i) {
      if (i > 0) top_ += ',';
      sampled_shown |= token.top[i].id == token.id;
      append_entry(token.top[i].bytes, token.top[i].logprob);
    }
    if (!sampled_shown) {
      if (shown > 0) top_ += ',';
      append_entry(token.bytes, token.logprob);
    }
    top_ += '}';
  }

  void append_to(std::string& out) const {
    out += cat(R"({"tokens":[)", tokens_, R"(],"token_logprobs":[)", token_logprobs_, R"(],"top_logprobs":[)", top_,
               R"(],"text_offset":[)", offsets_, "]}");
  }

 private:
  void separate() {
    if (!tokens_.empty()) {
      for (std::string* list : {&tokens_, &token_logprobs_, &top_, &offsets_}) *list += ',';
    }
  }
  void append_entry(std::string_view bytes, float logprob) {
    append_json_string(top_, legacy_token(bytes));
    top_ += ':';
    append_float(top_, logprob);
  }

  std::string tokens_, token_logprobs_, top_, offsets_;
};

class CompletionWriter final : public AnswerWriter {
 public:
  using AnswerWriter::AnswerWriter;

  void set_echo(int prompt, EchoedPrompt echo) override { echoes_[prompt] = std::move(echo); }

  void append_events(std::string& out, const ChoicePart& part, const api::Usage& so_far) override {
    const auto [place, first] = offsets_.try_emplace(part.choice, 0);
    const EchoedPrompt* echo = first ? echo_of(part.choice) : nullptr;
    const bool echoes = echo != nullptr && (!echo->text.empty() || !echo->logprobs.empty());
    if (echoes || !part.text.empty() || !part.logprobs.empty() || (options_.token_ids && !part.ids.empty())) {
      begin_event(out);
      append_choice(out, part, echo, place->second);
      append_finish(out, std::nullopt);
      append_token_ids(out, part.ids);
      if (first) append_prompt_ids(out, prompt_of(part.choice));
      out += '}';
      end_event(out, so_far);
    }
    if (!part.finish) return;
    begin_event(out);
    out += R"({"index":)";
    append_integer(out, part.choice);
    out += R"(,"text":"","logprobs":null)";
    append_finish(out, part.finish);
    out += '}';
    end_event(out, so_far);
  }

  std::string whole(std::span<const ChoicePart> choices, const api::Usage& usage) override {
    std::string out;
    append_head(out, "text_completion");
    for (size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      int64_t offset = 0;
      append_choice(out, choices[i], echo_of(choices[i].choice), offset);
      append_finish(out, choices[i].finish);
      append_token_ids(out, choices[i].ids);
      append_prompt_ids(out, prompt_of(choices[i].choice));
      out += '}';
    }
    append_whole_end(out, usage);
    return out;
  }

 private:
  std::string_view event_object() const override { return "text_completion"; }

  size_t prompt_of(int choice) const { return static_cast<size_t>(choice / options_.choices); }

  const EchoedPrompt* echo_of(int choice) const {
    const auto found = echoes_.find(choice / options_.choices);
    return found == echoes_.end() ? nullptr : &found->second;
  }

  // {"index":…,"text":…,"logprobs":… — `offset`: characters of the choice written before; moved on.
  void append_choice(std::string& out, const ChoicePart& part, const EchoedPrompt* echo, int64_t& offset) const {
    out += R"({"index":)";
    append_integer(out, part.choice);
    out += R"(,"text":)";
    append_json_string(out, echo != nullptr ? echo->text + part.text : part.text);
    out += R"(,"logprobs":)";
    if (!options_.logprobs) {
      out += "null";
      return;
    }
    LegacyLogprobs logprobs;
    if (echo != nullptr) offset = add_echo(logprobs, *echo);
    for (const api::TokenLogprob& token : part.logprobs) {
      logprobs.add(token, options_.top_logprobs, offset);
      offset += count_characters(token.bytes);
    }
    logprobs.append_to(out);
  }

  // A prompt's tokens need not spell its text: a tokenizer adds a bos token or a leading space. A token that is not
  // found at its place has that place as its offset and takes no room.
  int64_t add_echo(LegacyLogprobs& logprobs, const EchoedPrompt& echo) const {
    std::string_view rest = echo.text;
    int64_t offset = 0;
    for (const api::TokenLogprob& token : echo.logprobs) {
      logprobs.add(token, options_.top_logprobs, offset);
      std::string_view spelled = token.bytes;
      if (!rest.starts_with(spelled) && spelled.starts_with(' ')) spelled.remove_prefix(1);
      if (!rest.starts_with(spelled)) continue;
      offset += count_characters(spelled);
      rest.remove_prefix(spelled.size());
    }
    return offset + count_characters(rest);
  }

  std::map<int, EchoedPrompt> echoes_;  // by prompt
  std::map<int, int64_t> offsets_;      // by choice, while streaming
};

}  // namespace

std::unique_ptr<AnswerWriter> make_completion_writer(AnswerHead head, const AnswerOptions& options) {
  return std::make_unique<CompletionWriter>(std::move(head), options);
}

}  // namespace sluice::openai
