#pragma once
// Request bodies of the OpenAI-compatible routes become the nouns of api/generate.h. Pure functions of the body's JSON;
// any thread. Unknown fields are ignored; a wrong one is kInvalidArgument with param and reason (fields.h).
// Model names are not looked up here: an unset model is "".

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/backend.h"
#include "api/generate.h"
#include "base/json_fwd.h"
#include "base/result.h"

namespace sluice::openai {

struct RequestLimits {
  int64_t messages_max = 8192;
  int64_t tools_max = 1024;
  int64_t prompts_max = 128;      // prompts of one /v1/completions or /infer
  int64_t choices_max = 1024;     // prompts × n
  int64_t stop_strings_max = 16;  // OpenAI's own limit is 4
  int64_t stop_bytes_max = 1024;  // of one stop string
  int64_t stop_token_ids_max = 256;
  int64_t logit_bias_max = 4096;
  int64_t embedding_inputs_max = 2048;
  int64_t json_depth_max = 64;
};

struct ParseOptions {
  RequestLimits limits;
  int64_t now_us = 0;  // on the steady clock; a request's timeout counts from here
};

// How the answer is written; nothing a backend needs to know.
struct AnswerOptions {
  bool stream = false;
  bool include_usage = false;     // one more chunk with the usage, before [DONE]
  bool continuous_usage = false;  // the usage so far in every chunk
  bool logprobs = false;
  int top_logprobs = 0;       // alternatives per token that the client asked for
  bool echo = false;          // completions: the text begins with the prompt
  bool prompt_only = false;   // completions with max_tokens 0: nothing generated is shown
  bool token_ids = false;     // add token_ids to each choice
  bool include_stop = false;  // the end token is part of the text
  bool reasoning = true;      // chat: reasoning that is split off is shown
  int choices = 1;            // n, per prompt
};

// What a chat request says about tools.
struct ToolUse {
  enum class Choice { kNone, kAuto, kRequired, kNamed };
  Choice choice = Choice::kNone;        // kNone also without tools
  std::string function;                 // of kNamed
  bool parallel = true;                 // more than one call in an answer
  std::shared_ptr<const Json> offered;  // the tools array, or null
};

// Requests that make one answer; their prompts differ, all else is equal.
struct GenerateCall {
  std::vector<api::GenerateRequest> requests;
  AnswerOptions answer;
  ToolUse tools;
};

enum class EmbeddingEncoding { kFloat, kBase64 };

struct EmbedCall {
  api::EmbedRequest request;
  EmbeddingEncoding encoding = EmbeddingEncoding::kFloat;
  int64_t dimensions = 0;  // 0: all
};

struct TokenizeCall {
  std::string model;
  api::Prompt prompt;
  bool with_pieces = false;    // tokens as {id, piece}, as llama-server
  bool token_strings = false;  // add token_strs, as vLLM
};

struct DetokenizeCall {
  std::string model;
  std::vector<api::TokenId> ids;
};

struct TemplateCall {
  std::string model;
  api::ChatPrompt prompt;
};

// POST /infer.
struct InferCall {
  GenerateCall call;
  bool batch = false;  // the output is an array, one text per input
};

// Text to a JSON object, within the limits.
Result<Json> parse_body(std::string_view body, const RequestLimits& limits);

Result<GenerateCall> parse_chat_request(const Json& body, const ParseOptions& options);
Result<GenerateCall> parse_completion_request(const Json& body, const ParseOptions& options);
Result<EmbedCall> parse_embedding_request(const Json& body, const ParseOptions& options);
Result<TokenizeCall> parse_tokenize_request(const Json& body, const ParseOptions& options);
Result<DetokenizeCall> parse_detokenize_request(const Json& body, const ParseOptions& options);
Result<TemplateCall> parse_template_request(const Json& body, const ParseOptions& options);
// `chat`: the served model has a chat template, so a bare string is what a user says; else it is a text to go on with.
Result<InferCall> parse_infer_request(const Json& body, bool chat, const ParseOptions& options);

}  // namespace sluice::openai
