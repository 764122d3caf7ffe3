#pragma once
// AnswerWriter: writes one answer in OpenAI's form, whole or as server-sent events. Pure text, one thread, no sockets.
// Both forms are made from the same parts, so that a stream's texts, joined, are the whole answer's text.

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/generate.h"
#include "server/openai/answer_form.h"
#include "server/openai/request.h"

namespace sluice::openai {

// What is the same in every chunk of an answer.
struct AnswerHead {
  std::string id;           // "chatcmpl-…", "cmpl-…"
  std::string model;        // the name it is served under
  std::string fingerprint;  // system_fingerprint
  int64_t created = 0;      // Unix seconds
};

// New text of one choice, or all of it. `choice` counts over all prompts of the answer: prompt × n + i.
struct ChoicePart {
  int choice = 0;
  std::string text;
  std::vector<api::TokenId> ids;
  std::vector<api::TokenLogprob> logprobs;
  std::optional<api::FinishReason> finish;
};

// The prompt that an echoing completion begins with.
struct EchoedPrompt {
  std::string text;
  std::vector<api::TokenLogprob> logprobs;  // empty unless asked for; the first one's logprob is NaN
};

class AnswerWriter {
 public:
  AnswerWriter(AnswerHead head, const AnswerOptions& options) : head_(std::move(head)), options_(options) {}
  virtual ~AnswerWriter() = default;

  // Before the first part: each prompt's tokens, when the client asked for token ids.
  void set_prompt_ids(std::vector<std::vector<api::TokenId>> ids) { prompt_ids_ = std::move(ids); }
  // Before the first part of the prompt's choices. Only completions echo.
  virtual void set_echo(int prompt, EchoedPrompt echo);
  // Appends one or two events: the new text, and the finish reason in one of its own. `so_far` is for clients that
  // asked for continuous usage.
  virtual void append_events(std::string& out, const ChoicePart& part, const api::Usage& so_far) = 0;
  // The whole answer as one JSON text; `choices` in order.
  virtual std::string whole(std::span<const ChoicePart> choices, const api::Usage& usage) = 0;

  // The end of a stream: the usage when asked for, and [DONE].
  void append_end(std::string& out, const api::Usage& usage) const;

  const AnswerOptions& options() const { return options_; }

 protected:
  // `data: {"id":…,"choices":[` and `],"usage":…}` + blank line.
  void begin_event(std::string& out) const;
  void end_event(std::string& out, const api::Usage& so_far) const;
  // {"id":…,"object":…,"created":…,"model":…,"system_fingerprint":…,"choices":[
  void append_head(std::string& out, std::string_view object) const;
  void append_whole_end(std::string& out, const api::Usage& usage) const;
  void append_token_ids(std::string& out, const std::vector<api::TokenId>& ids) const;
  // ,"prompt_token_ids":[…] of a prompt, when they are known.
  void append_prompt_ids(std::string& out, size_t prompt) const;
  static void append_finish(std::string& out, const std::optional<api::FinishReason>& finish);
  virtual std::string_view event_object() const = 0;

  const AnswerHead head_;
  const AnswerOptions options_;
  std::vector<std::vector<api::TokenId>> prompt_ids_;

 private:
  mutable std::string event_head_;  // begin_event's text, made once
};

std::unique_ptr<AnswerWriter> make_chat_writer(AnswerHead head, const AnswerOptions& options, AnswerForm form = {});
std::unique_ptr<AnswerWriter> make_completion_writer(AnswerHead head, const AnswerOptions& options);

// `data: {"error":…}`: an error after the stream has begun. `error_json` is http::error_body's text.
void append_error_event(std::string& out, std::string_view error_json);

// "chatcmpl-" and 32 random hexadecimal digits.
std::string make_answer_id(std::string_view prefix);

}  // namespace sluice::openai
