#pragma once
// The nouns a server, a gateway and an engine share for generation: plain data. A request holds text-level input, so
// that it can be answered here, on another node, or by another provider alike.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::api {

using TokenId = int32_t;
using RequestId = uint64_t;

// OpenAI's meanings; nothing set means the model's generation_config.json, then these defaults.
struct SamplingParams {
  std::optional<double> temperature;         // ≥ 0; 0: greedy. default 1
  std::optional<double> top_p;               // (0, 1]. default 1
  std::optional<int> top_k;                  // ≤ 0: off. default off
  std::optional<double> min_p;               // [0, 1] relative to the best token. default 0
  std::optional<double> repetition_penalty;  // > 0; divides/multiplies logits of tokens in prompt and answer. default 1
  double frequency_penalty = 0;              // [−2, 2] × count among generated tokens; also at temperature 0
  double presence_penalty = 0;               // [−2, 2] once for every generated token
  std::map<TokenId, double> logit_bias;      // added to the logits, [−100, 100]
  std::optional<uint64_t> seed;              // same seed, same text, whatever else runs; unset: a random one
  int max_tokens = 0;                        // 0: until the context is full
  int min_tokens = 0;                        // end tokens and stop strings are held back until then
  std::vector<std::string> stop;             // strings that end the answer and are not part of it
  std::vector<TokenId> stop_token_ids;       // in addition to the model's own end tokens
  bool ignore_eos = false;                   // the model's end tokens do not end the answer
  bool include_stop = false;                 // leave the matched stop string in the text
  bool skip_special_tokens = true;           // do not print special tokens
  std::vector<std::string> shown_tokens;     // special tokens printed all the same; unknown ones are ignored
  std::optional<int> logprobs;               // report each token's log-probability and this many alternatives (0…20)
  std::optional<int> prompt_logprobs;        // the same for the prompt's own tokens
};

struct ChatPrompt {
  std::shared_ptr<const Json> messages;  // OpenAI messages array
  std::shared_ptr<const Json> tools;     // array or null
  std::shared_ptr<const Json>
      template_variables;  // further names the template may read (enable_thinking, documents…), or null
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the last message is the beginning of the answer
  std::string answer_opening;  // what the answer is made to begin with: the end of the prompt, not of the answer
};
struct TextPrompt {
  std::string text;
  bool add_special = true;  // bos and so on as the tokenizer's own rules say
};
struct TokenPrompt {
  std::vector<TokenId> ids;
};
using Prompt = std::variant<ChatPrompt, TextPrompt, TokenPrompt>;

struct GenerateRequest {
  RequestId id = 0;   // unique in the process; see next_request_id()
  std::string model;  // as the client named it
  Prompt prompt;
  SamplingParams sampling;
  int choices = 1;          // n: independent answers to one prompt
  int priority = 0;         // lower runs first (as in vLLM); equal: first come, first served
  std::string cache_salt;   // prompts share cached prefixes only within one salt
  int64_t deadline_us = 0;  // on the steady clock; 0: none. Past it the request ends with kDeadlineExceeded
};

enum class FinishReason { kStop, kLength, kToolCalls, kCancelled };

struct TopLogprob {
  TokenId id;
  std::string bytes;  // the token's text as bytes, maybe not valid UTF-8 alone
  float logprob;
};
struct TokenLogprob {
  TokenId id;
  std::string bytes;
  float logprob;                // natural logarithm, of the distribution before temperature and filters
  std::vector<TopLogprob> top;  // descending
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;      // of the prompt, taken from the prefix index
  int64_t completion_tokens = 0;  // over all choices, end tokens included
};

// Known when the prompt has been computed, before the first delta.
struct PromptReport {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  std::vector<TokenId> ids;            // filled when prompt_logprobs is set
  std::vector<TokenLogprob> logprobs;  // [ids]; the first has no predecessor: its logprob is NaN
};

// New text of one choice. The texts of a choice, joined, are its answer.
struct TokenDelta {
  int choice = 0;
  std::string text;          // complete characters; may be empty while a character or a stop string is undecided
  std::vector<TokenId> ids;  // tokens this delta covers, end tokens included
  std::vector<TokenLogprob> logprobs;  // one per id, when asked for
  std::optional<FinishReason> finish;  // set on the last delta of the choice
  std::string stop_match;              // the stop string that ended it, if one did
};

// Receives the events of one request, in order, from the backend's thread: it must return quickly and not call back
// into the backend except cancel(). Every accepted request gets exactly one on_end(), as its last event, whatever
// happens.
class GenerationSink {
 public:
  virtual ~GenerationSink() = default;
  virtual void on_prompt(PromptReport report) = 0;
  virtual void on_delta(TokenDelta delta) = 0;
  virtual void on_end(Result<Usage> end) = 0;
};

RequestId next_request_id();
std::string_view finish_reason_name(
    FinishReason reason);  // OpenAI's words: "stop", "length", "tool_calls"; "cancelled"

}  // namespace sluice::api
