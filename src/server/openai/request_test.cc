#include "server/openai/request.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"

namespace sluice::openai {
namespace {

const ParseOptions kOptions{.limits = {}, .now_us = 1'000'000};

Json parsed(std::string_view text) {
  auto body = parse_json(text);
  EXPECT_TRUE(body.ok()) << text;
  return body.ok() ? std::move(body).value() : Json::object();
}

enum class Kind { kChat, kCompletion, kEmbedding, kTokenize, kDetokenize, kTemplate, kInfer };

// The error of parsing `body`, or one with the message "accepted".
Error refusal(Kind kind, const Json& body) {
  const auto error_of = [](const auto& result) {
    return result.ok() ? Error{ErrorCode::kInternal, "accepted", {}, {}} : result.error();
  };
  switch (kind) {
    case Kind::kChat:
      return error_of(parse_chat_request(body, kOptions));
    case Kind::kCompletion:
      return error_of(parse_completion_request(body, kOptions));
    case Kind::kEmbedding:
      return error_of(parse_embedding_request(body, kOptions));
    case Kind::kTokenize:
      return error_of(parse_tokenize_request(body, kOptions));
    case Kind::kDetokenize:
      return error_of(parse_detokenize_request(body, kOptions));
    case Kind::kTemplate:
      return error_of(parse_template_request(body, kOptions));
    case Kind::kInfer:
      return error_of(parse_infer_request(body, true, kOptions));
  }
  return {};
}

struct Wrong {
  Kind kind;
  std::string members;  // of the body; chat and completion bodies get a sound prompt unless they have one
  std::string param;
  std::string code;
};

Json wrong_body(const Wrong& wrong) {
  Json body = parsed("{" + wrong.members + "}");
  if (wrong.kind == Kind::kChat && !body.contains("messages"))
    body["messages"] = parsed(R"([{"role":"user","content":"hi"}])");
  if (wrong.kind == Kind::kCompletion && !body.contains("prompt")) body["prompt"] = "hi";
  return body;
}

void expect_refused(const std::vector<Wrong>& table) {
  for (const Wrong& wrong : table) {
    const Error error = refusal(wrong.kind, wrong_body(wrong));
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << wrong.members << ": " << error.message;
    EXPECT_EQ(error.param, wrong.param) << wrong.members << ": " << error.message;
    EXPECT_EQ(error.reason, wrong.code) << wrong.members << ": " << error.message;
    EXPECT_FALSE(error.message.empty());
  }
}

TEST(RequestErrors, SamplingFieldsOfAWrongTypeOrOutOfRangeAreNamed) {
  for (const Kind kind : {Kind::kChat, Kind::kCompletion}) {
    expect_refused({
        {kind, R"("temperature":"hot")", "temperature", "invalid_type"},
        {kind, R"("temperature":-0.1)", "temperature", "decimal_below_min_value"},
        {kind, R"("temperature":2.1)", "temperature", "decimal_above_max_value"},
        {kind, R"("temperature":[1])", "temperature", "invalid_type"},
        {kind, R"("temperature":true)", "temperature", "invalid_type"},
        {kind, R"("top_p":1.5)", "top_p", "decimal_above_max_value"},
        {kind, R"("top_p":-1)", "top_p", "decimal_below_min_value"},
        {kind, R"("top_k":-2)", "top_k", "integer_below_min_value"},
        {kind, R"("top_k":1.5)", "top_k", "invalid_type"},
        {kind, R"("min_p":2)", "min_p", "decimal_above_max_value"},
        {kind, R"("repetition_penalty":0)", "repetition_penalty", "invalid_value"},
        {kind, R"("repeat_penalty":0.0)", "repeat_penalty", "invalid_value"},
        {kind, R"("repetition_penalty":-1)", "repetition_penalty", "decimal_below_min_value"},
        {kind, R"("frequency_penalty":2.5)", "frequency_penalty", "decimal_above_max_value"},
        {kind, R"("presence_penalty":-3)", "presence_penalty", "decimal_below_min_value"},
        {kind, R"("logit_bias":[1])", "logit_bias", "invalid_type"},
        {kind, R"("logit_bias":{"x":1})", "logit_bias.x", "invalid_value"},
        {kind, R"("logit_bias":{"-1":1})", "logit_bias.-1", "invalid_value"},
        {kind, R"("logit_bias":{"5":101})", "logit_bias.5", "invalid_value"},
        {kind, R"("logit_bias":{"5":"1"})", "logit_bias.5", "invalid_type"},
        {kind, R"("seed":"1")", "seed", "invalid_type"},
        {kind, R"("seed":1.5)", "seed", "invalid_type"},
        {kind, R"("seed":1e300)", "seed", "integer_above_max_value"},
        {kind, R"("n":0)", "n", "integer_below_min_value"},
        {kind, R"("n":129)", "n", "integer_above_max_value"},
        {kind, R"("n":"2")", "n", "invalid_type"},
        {kind, R"("stop":5)", "stop", "invalid_type"},
        {kind, R"("stop":"")", "stop", "invalid_value"},
        {kind, R"("stop":["a",5])", "stop[1]", "invalid_type"},
        {kind, R"("stop":["a",""])", "stop[1]", "invalid_value"},
        {kind, R"("stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])", "stop",
         "array_above_max_length"},
        {kind, cat(R"("stop":")", std::string(1025, 'x'), '"'), "stop", "string_above_max_length"},
        {kind, R"("stop_token_ids":"7")", "stop_token_ids", "invalid_type"},
        {kind, R"("stop_token_ids":[7,"8"])", "stop_token_ids[1]", "invalid_type"},
        {kind, R"("stop_token_ids":[-7])", "stop_token_ids[0]", "invalid_value"},
        {kind, R"("max_tokens":-1)", "max_tokens", "integer_below_min_value"},
        {kind, R"("max_tokens":"many")", "max_tokens", "invalid_type"},
        {kind, R"("max_tokens":1.5)", "max_tokens", "invalid_type"},
        {kind, R"("max_tokens":1e30)", "max_tokens", "integer_above_max_value"},
        {kind, R"("max_tokens":5,"min_tokens":6)", "min_tokens", "invalid_value"},
        {kind, R"("min_tokens":-1)", "min_tokens", "integer_below_min_value"},
        {kind, R"("ignore_eos":1)", "ignore_eos", "invalid_type"},
        {kind, R"("skip_special_tokens":"no")", "skip_special_tokens", "invalid_type"},
        {kind, R"("stream":"yes")", "stream", "invalid_type"},
        {kind, R"("stream_options":{"include_usage":true})", "stream_options", "invalid_value"},
        {kind, R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage", "invalid_type"},
        {kind, R"("stream":true,"stream_options":7)", "stream_options", "invalid_type"},
        {kind, R"("user":7)", "user", "invalid_type"},
        {kind, R"("model":7)", "model", "invalid_type"},
        {kind, R"("priority":"high")", "priority", "invalid_type"},
        {kind, R"("cache_salt":1)", "cache_salt", "invalid_type"},
        {kind, R"("timeout":0)", "timeout", "decimal_below_min_value"},
        {kind, R"("response_format":{"type":"json_object"})", "response_format.type", "unsupported_value"},
        {kind, R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format.type",
         "unsupported_value"},
        {kind, R"("response_format":{"type":"yaml"})", "response_format.type", "invalid_value"},
        {kind, R"("response_format":{})", "response_format.type", "missing_required_parameter"},
        {kind, R"("response_format":"text")", "response_format", "invalid_type"},
        {kind, R"("guided_json":{"type":"object"})", "guided_json", "unsupported_parameter"},
        {kind, R"("grammar":"root ::= x")", "grammar", "unsupported_parameter"},
    });
  }
}

TEST(RequestErrors, ChatFields) {
  const Kind kind = Kind::kChat;
  expect_refused({
      {kind, R"("messages":null)", "messages", "missing_required_parameter"},
      {kind, R"("messages":"hi")", "messages", "invalid_type"},
      {kind, R"("messages":[])", "messages", "empty_array"},
      {kind, R"("messages":["hi"])", "messages[0]", "invalid_type"},
      {kind, R"("messages":[{"content":"hi"}])", "messages[0].role", "missing_required_parameter"},
      {kind, R"("messages":[{"role":5,"content":"hi"}])", "messages[0].role", "invalid_type"},
      {kind, R"("messages":[{"role":"robot","content":"hi"}])", "messages[0].role", "invalid_value"},
      {kind, R"("messages":[{"role":"user"}])", "messages[0].content", "missing_required_parameter"},
      {kind, R"("messages":[{"role":"user","content":"a"},{"role":"assistant"},{"role":"user","content":null}])",
       "messages[2].content", "invalid_type"},
      {kind, R"("messages":[{"role":"user","content":5}])", "messages[0].content", "invalid_type"},
      {kind, R"("messages":[{"role":"user","content":{"type":"text"}}])", "messages[0].content", "invalid_type"},
      {kind, R"("messages":[{"role":"user","content":["x"]}])", "messages[0].content[0]", "invalid_type"},
      {kind, R"("messages":[{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text",
       "missing_required_parameter"},
      {kind, R"("messages":[{"role":"user","content":[{"type":"text","text":1}]}])", "messages[0].content[0].text",
       "invalid_type"},
      {kind, R"("messages":[{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type",
       "missing_required_parameter"},
      {kind, R"("messages":[{"role":"user","content":[{"type":"smell"}]}])", "messages[0].content[0].type",
       "invalid_value"},
      {kind,
       R"("messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:"}}]}])",
       "messages[0].content[1].type", "unsupported_value"},
      {kind, R"("messages":[{"role":"user","content":[{"type":"input_audio"}]}])", "messages[0].content[0].type",
       "unsupported_value"},
      {kind, R"("messages":[{"role":"user","content":"a","name":5}])", "messages[0].name", "invalid_type"},
      {kind, R"("messages":[{"role":"assistant","tool_calls":{}}])", "messages[0].tool_calls", "invalid_type"},
      {kind, R"("messages":[{"role":"assistant","tool_calls":[{"id":"1"}]}])", "messages[0].tool_calls[0].function",
       "missing_required_parameter"},
      {kind, R"("messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}])",
       "messages[0].tool_calls[0].function.name", "missing_required_parameter"},
      {kind, R"("messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{oops"}}]}])",
       "messages[0].tool_calls[0].function.arguments", "invalid_value"},
      {kind, R"("messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":5}}]}])",
       "messages[0].tool_calls[0].function.arguments", "invalid_type"},
      {kind, R"("max_tokens":0)", "max_tokens", "integer_below_min_value"},
      {kind, R"("max_completion_tokens":0)", "max_completion_tokens", "integer_below_min_value"},
      {kind, R"("logprobs":5)", "logprobs", "invalid_type"},
      {kind, R"("top_logprobs":5)", "top_logprobs", "invalid_value"},
      {kind, R"("logprobs":true,"top_logprobs":21)", "top_logprobs", "integer_above_max_value"},
      {kind, R"("tools":{})", "tools", "invalid_type"},
      {kind, R"("tools":[5])", "tools[0]", "invalid_type"},
      {kind, R"("tools":[{"function":{"name":"f"}}])", "tools[0].type", "missing_required_parameter"},
      {kind, R"("tools":[{"type":"function"}])", "tools[0].function", "missing_required_parameter"},
      {kind, R"("tools":[{"type":"function","function":{}}])", "tools[0].function.name", "missing_required_parameter"},
      {kind, R"("tools":[{"type":"function","function":{"name":5}}])", "tools[0].function.name", "invalid_type"},
      {kind, R"("tools":[{"type":"function","function":{"name":""}}])", "tools[0].function.name", "invalid_value"},
      {kind, R"("tools":[{"type":"function","function":{"name":"f","parameters":"x"}}])",
       "tools[0].function.parameters", "invalid_type"},
      {kind, R"("tools":[{"type":"browser"}])", "tools[0].type", "invalid_value"},
      {kind, R"("tool_choice":"perhaps")", "tool_choice", "invalid_value"},
      {kind, R"("tool_choice":"required")", "tool_choice", "invalid_value"},
      {kind, R"("tool_choice":5)", "tool_choice", "invalid_type"},
      {kind, R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{})", "tool_choice.function",
       "missing_required_parameter"},
      {kind, R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"function":{"name":"g"}})",
       "tool_choice.function.name", "invalid_value"},
      {kind, R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools"})",
       "tool_choice", "unsupported_value"},
      {kind, R"("chat_template_kwargs":[])", "chat_template_kwargs", "invalid_type"},
      {kind, R"("continue_final_message":true)", "continue_final_message", "invalid_value"},
      {kind,
       R"("continue_final_message":true,"add_generation_prompt":true,"messages":[{"role":"assistant","content":"a"}])",
       "continue_final_message", "invalid_value"},
      {kind, R"("modalities":["text","audio"])", "modalities[1]", "unsupported_value"},
      {kind, R"("functions":[{"name":"f"}])", "functions", "unsupported_parameter"},
  });
}

TEST(RequestErrors, CompletionFields) {
  const Kind kind = Kind::kCompletion;
  std::string many = R"("prompt":[)";
  for (int i = 0; i < 129; ++i) many += i > 0 ? R"(,"x")" : R"("x")";
  expect_refused({
      {kind, R"("prompt":null)", "prompt", "missing_required_parameter"},
      {kind, R"("prompt":5)", "prompt", "invalid_type"},
      {kind, R"("prompt":[])", "prompt", "empty_array"},
      {kind, R"("prompt":["a",5])", "prompt[1]", "invalid_type"},
      {kind, R"("prompt":[5,"a"])", "prompt[1]", "invalid_type"},
      {kind, R"("prompt":[5,-1])", "prompt[1]", "invalid_value"},
      {kind, R"("prompt":[5,3000000000])", "prompt[1]", "invalid_value"},
      {kind, R"("prompt":[[5],[]])", "prompt[1]", "empty_array"},
      {kind, R"("prompt":[[5],[6,"x"]])", "prompt[1][1]", "invalid_type"},
      {kind, many + "]", "prompt", "array_above_max_length"},
      {kind, R"("prompt":["1","2","3","4","5","6","7","8","9"],"n":128)", "n", "invalid_value"},
      {kind, R"("suffix":"the end")", "suffix", "unsupported_parameter"},
      {kind, R"("best_of":3)", "best_of", "unsupported_value"},
      {kind, R"("logprobs":true)", "logprobs", "invalid_type"},
      {kind, R"("logprobs":21)", "logprobs", "integer_above_max_value"},
      {kind, R"("echo":"yes")", "echo", "invalid_type"},
  });
}

TEST(RequestErrors, OtherRoutes) {
  expect_refused({
      {Kind::kEmbedding, "", "input", "missing_required_parameter"},
      {Kind::kEmbedding, R"("input":"")", "input", "invalid_value"},
      {Kind::kEmbedding, R"("input":{})", "input", "invalid_type"},
      {Kind::kEmbedding, R"("input":"a","encoding_format":"hex")", "encoding_format", "invalid_value"},
      {Kind::kEmbedding, R"("input":"a","dimensions":0)", "dimensions", "integer_below_min_value"},
      {Kind::kEmbedding, R"("input":"a","pooling":"max")", "pooling", "invalid_value"},
      {Kind::kTokenize, "", "content", "missing_required_parameter"},
      {Kind::kTokenize, R"("content":5)", "content", "invalid_type"},
      {Kind::kTokenize, R"("messages":[{"role":"user"}])", "messages[0].content", "missing_required_parameter"},
      {Kind::kDetokenize, "", "tokens", "missing_required_parameter"},
      {Kind::kDetokenize, R"("tokens":["a"])", "tokens[0]", "invalid_type"},
      {Kind::kTemplate, "", "messages", "missing_required_parameter"},
      {Kind::kInfer, "", "input", "missing_required_parameter"},
      {Kind::kInfer, R"("input":5)", "input", "unsupported_value"},
      {Kind::kInfer, R"("input":true)", "input", "unsupported_value"},
      {Kind::kInfer, R"("input":[1.5,2.5])", "input[0]", "unsupported_value"},
      {Kind::kInfer, R"("input":[])", "input", "unsupported_value"},
      {Kind::kInfer, R"("input":{"nodes":[],"edges":[]})", "input", "unsupported_value"},
      {Kind::kInfer, R"("input":{"messages":[{"role":"robot"}]})", "input.messages[0].role", "invalid_value"},
      {Kind::kInfer, R"("input":[{"role":"robot"}])", "input[0].role", "invalid_value"},
      {Kind::kInfer, R"("input":"a","parameters":{"temperature":9})", "temperature", "decimal_above_max_value"},
      {Kind::kInfer, R"("input":"a","stream":true)", "stream", "unsupported_value"},
  });
  EXPECT_NE(refusal(Kind::kInfer, parsed(R"({"input":{"nodes":[]}})")).message.find("It accepts a text"),
            std::string::npos);
}

TEST(RequestErrors, MessagesSayWhatCameAndWhatWasExpected) {
  EXPECT_EQ(refusal(Kind::kChat, wrong_body({Kind::kChat, R"("temperature":-1)", "", ""})).message,
            "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead.");
  EXPECT_EQ(refusal(Kind::kChat, wrong_body({Kind::kChat, R"("n":"2")", "", ""})).message,
            "Invalid type for 'n': expected an integer, but got a string instead.");
}

TEST(RequestErrors, IntegersThatATemplateCouldNotPrintAreRefused) {
  for (const char* where : {R"("tools":[{"type":"function","function":{"name":"f","parameters":{"maximum":N}}}])",
                            R"("chat_template_kwargs":{"limit":N})", R"("documents":[{"id":-N}])"}) {
    std::string body = cat(R"({"messages":[{"role":"user","content":"x"}],)", where, "}");
    body.replace(body.find('N'), 1, "18446744073709551616");
    const auto refused = parse_body(body, kOptions.limits);
    ASSERT_FALSE(refused.ok()) << body;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(cat('"', refused.error().param, '"'), std::string(where).substr(0, refused.error().param.size() + 2));
    EXPECT_NE(refused.error().message.find("18446744073709551616 does not fit in 64 bits"), std::string::npos);
    EXPECT_EQ(refused.error().reason, "invalid_value");
  }
  const auto arguments = parse_chat_request(parsed(R"({"messages":[{"role":"assistant","tool_calls":[{"id":"a",
    "type":"function","function":{"name":"f","arguments":"{\"n\": 18446744073709551616}"}}]}]})"),
                                            kOptions);
  ASSERT_FALSE(arguments.ok());
  EXPECT_NE(arguments.error().message.find("18446744073709551616 does not fit in 64 bits"), std::string::npos);
}

TEST(ChatRequest, ReadsEveryField) {
  const auto call = parse_chat_request(parsed(R"({"model":"m","messages":[{"role":"user","content":"hi"}],
    "temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,"repeat_penalty":1.1,"frequency_penalty":0.2,"presence_penalty":-0.5,
    "logit_bias":{"7":-100,"8":5.5},"seed":18446744073709551615,"n":2,"stop":["a","b"],"stop_token_ids":[5.0],"max_tokens":9,
    "max_completion_tokens":10.0,"min_tokens":3,"ignore_eos":true,"logprobs":true,"top_logprobs":4,"stream":true,
    "stream_options":{"include_usage":true,"continuous_usage_stats":true},"skip_special_tokens":false,
    "include_stop_str_in_output":true,"priority":-3,"cache_salt":"tenant","return_token_ids":true,"timeout":2.5,
    "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto","chat_template_kwargs":{"enable_thinking":false},
    "reasoning_effort":"low","documents":[{"text":"d"}],"user":"u","never_heard_of":[1,{}],"store":true,"metadata":{"a":"b"}})"),
                                       kOptions);
  ASSERT_TRUE(call.ok()) << call.error().message;
  const api::GenerateRequest& request = call->requests.front();
  const api::SamplingParams& sampling = request.sampling;
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(sampling.temperature, 0.5);
  EXPECT_EQ(sampling.top_p, 0.9);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.05);
  EXPECT_EQ(sampling.repetition_penalty, 1.1);
  EXPECT_EQ(sampling.frequency_penalty, 0.2);
  EXPECT_EQ(sampling.presence_penalty, -0.5);
  EXPECT_EQ(sampling.logit_bias, (std::map<api::TokenId, double>{{7, -100}, {8, 5.5}}));
  EXPECT_EQ(sampling.seed, UINT64_MAX);
  EXPECT_EQ(request.choices, 2);
  EXPECT_EQ(sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sampling.stop_token_ids, std::vector<api::TokenId>{5});
  EXPECT_EQ(sampling.max_tokens, 10);
  EXPECT_EQ(sampling.min_tokens, 3);
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_EQ(sampling.logprobs, 4);
  EXPECT_FALSE(sampling.skip_special_tokens);
  EXPECT_TRUE(sampling.include_stop);
  EXPECT_EQ(request.priority, -3);
  EXPECT_EQ(request.cache_salt, "tenant");
  EXPECT_EQ(request.deadline_us, 3'500'000);
  EXPECT_TRUE(call->answer.stream && call->answer.include_usage && call->answer.continuous_usage &&
              call->answer.logprobs && call->answer.token_ids);
  EXPECT_EQ(call->answer.top_logprobs, 4);
  const auto& prompt = std::get<api::ChatPrompt>(request.prompt);
  EXPECT_EQ(dump_json(*prompt.tools), R"([{"type":"function","function":{"name":"f"}}])");
  EXPECT_EQ(dump_json(*prompt.template_variables),
            R"({"reasoning_effort":"low","documents":[{"text":"d"}],"enable_thinking":false})");
  EXPECT_TRUE(prompt.add_generation_prompt);
}

TEST(ChatRequest, NullMeansUnset) {
  const auto call = parse_chat_request(
      parsed(R"({"model":null,"messages":[{"role":"user","content":"hi"}],"temperature":null,"top_p":null,
    "n":null,"stop":null,"max_tokens":null,"max_completion_tokens":null,"seed":null,"logprobs":null,"top_logprobs":null,"stream":null,
    "stream_options":null,"tools":null,"tool_choice":null,"response_format":null,"logit_bias":null,"user":null,"functions":null})"),
      kOptions);
  ASSERT_TRUE(call.ok()) << call.error().message;
  const api::SamplingParams& sampling = call->requests.front().sampling;
  EXPECT_FALSE(sampling.temperature || sampling.top_p || sampling.seed || sampling.logprobs);
  EXPECT_EQ(sampling.max_tokens, 0);
  EXPECT_EQ(call->requests.front().choices, 1);
  EXPECT_EQ(call->requests.front().deadline_us, 0);
}

// The request that Open-AutoGLM's phone agent sends, without the picture (it removes pictures from earlier turns
// itself).
TEST(ChatRequest, TakesThePhoneAgentsRequest) {
  const auto call =
      parse_chat_request(parsed(R"({"model":"autoglm-phone-9b","max_tokens":3000,"temperature":0.0,"top_p":0.85,
    "frequency_penalty":0.2,"stream":true,"skip_special_tokens":false,"messages":[{"role":"system","content":"今天的日期是"},
    {"role":"user","content":[{"type":"text","text":"打开微信\n\n{\"current_app\": \"桌面\"}"}]},
    {"role":"assistant","content":"<think>a</think><answer>do(action=\"Home\")</answer>"},{"role":"user","content":[{"type":"text","text":"** Screen Info **"}]}]})"),
                         kOptions);
  ASSERT_TRUE(call.ok()) << call.error().message;
  const auto& prompt = std::get<api::ChatPrompt>(call->requests.front().prompt);
  EXPECT_EQ((*prompt.messages)[1]["content"], "打开微信\n\n{\"current_app\": \"桌面\"}");
  EXPECT_EQ(call->requests.front().sampling.temperature, 0.0);
}

TEST(ChatRequest, MessagesBecomeWhatTemplatesRead) {
  const auto call = parse_chat_request(parsed(R"({"messages":[{"role":"developer","content":"be brief"},
    {"role":"user","name":"ann","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
    {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\": [1]}"}},
      {"id":"2","type":"function","function":{"name":"g","arguments":""}}]},
    {"role":"tool","tool_call_id":"1","content":"done","metadata":{"k":1},"refusal":null},{"role":"assistant"}]})"),
                                       kOptions);
  ASSERT_TRUE(call.ok()) << call.error().message;
  const auto& prompt = std::get<api::ChatPrompt>(call->requests.front().prompt);
  EXPECT_EQ(
      dump_json(*prompt.messages),
      R"([{"role":"system","content":"be brief"},{"role":"user","content":"a\nb","name":"ann"},)"
      R"({"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":{"x":[1]}}},)"
      R"({"id":"2","type":"function","function":{"name":"g","arguments":{}}}]},)"
      R"({"role":"tool","content":"done","tool_call_id":"1","metadata":{"k":1}},{"role":"assistant","content":""}])");
}

TEST(ChatRequest, ReasoningGoesToTemplatesUnderTheNamesTheyRead) {
  const auto call = parse_chat_request(parsed(R"({"messages":[{"role":"assistant","content":"a","reasoning":"r"},
    {"role":"assistant","content":"b","thinking":"t","reasoning":"r"},
    {"role":"assistant","content":"c","reasoning_content":"s","thinking":null},{"role":"user","content":"x"}]})"),
                                       kOptions);
  ASSERT_TRUE(call.ok()) << call.error().message;
  const Json& messages = *std::get<api::ChatPrompt>(call->requests.front().prompt).messages;
  const std::pair<const char*, const char*> kExpected[] = {{"r", "r"}, {"t", "t"}, {"s", "s"}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(messages[i]["reasoning_content"], kExpected[i].first);
    EXPECT_EQ(messages[i]["thinking"], kExpected[i].second);
  }
  EXPECT_FALSE(messages[3].contains("thinking"));
}

TEST(ChatRequest, ToolChoiceNoneHidesTheTools) {
  const auto call = parse_chat_request(
      parsed(
          R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none"})"),
      kOptions);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(std::get<api::ChatPrompt>(call->requests.front().prompt).tools, nullptr);
}

TEST(ChatRequest, ContinuingTheLastMessageAddsNoGenerationPrompt) {
  const auto call = parse_chat_request(
      parsed(
          R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"Sure"}],"continue_final_message":true})"),
      kOptions);
  ASSERT_TRUE(call.ok());
  const auto& prompt = std::get<api::ChatPrompt>(call->requests.front().prompt);
  EXPECT_TRUE(prompt.continue_final_message);
  EXPECT_FALSE(prompt.add_generation_prompt);
}

TEST(CompletionRequest, TakesEveryFormOfPrompt) {
  const auto prompts = [](std::string_view prompt) {
    auto call = parse_completion_request(parsed(cat(R"({"n":2,"prompt":)", prompt, "}")), kOptions);
    EXPECT_TRUE(call.ok()) << prompt;
    return std::move(call).value().requests;
  };
  EXPECT_EQ(std::get<api::TextPrompt>(prompts(R"("a")")[0].prompt).text, "a");
  EXPECT_EQ(std::get<api::TextPrompt>(prompts(R"("")")[0].prompt).text, "");
  EXPECT_EQ(std::get<api::TextPrompt>(prompts(R"(["a","b"])")[1].prompt).text, "b");
  EXPECT_EQ(std::get<api::TokenPrompt>(prompts("[1,2]")[0].prompt).ids, (std::vector<api::TokenId>{1, 2}));
  EXPECT_EQ(prompts("[1,2]").size(), 1U);
  EXPECT_EQ(std::get<api::TokenPrompt>(prompts("[[1,2],[3]]")[1].prompt).ids, (std::vector<api::TokenId>{3}));
  EXPECT_EQ(prompts("[[1,2],[3]]")[1].choices, 2);
}

TEST(CompletionRequest, EchoWithLogprobsAsksForThePromptsOwn) {
  const auto call = parse_completion_request(
      parsed(R"({"prompt":"a","echo":true,"logprobs":0,"max_tokens":0,"best_of":1})"), kOptions);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->requests[0].sampling.prompt_logprobs, 0);
  EXPECT_EQ(call->requests[0].sampling.max_tokens, 1);
  EXPECT_TRUE(call->answer.prompt_only && call->answer.echo && call->answer.logprobs);
}

TEST(CompletionRequest, DefaultsAreOpenAis) {
  const auto call = parse_completion_request(parsed(R"({"prompt":"a","top_p":0,"suffix":""})"), kOptions);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->requests[0].sampling.max_tokens, 16);
  EXPECT_GT(*call->requests[0].sampling.top_p, 0);
  EXPECT_LT(*call->requests[0].sampling.top_p, 1e-6);
}

TEST(TokenizeRequest, KeepsEachWorldsDefault) {
  const auto adds_special = [](std::string_view body) {
    const auto call = parse_tokenize_request(parsed(body), kOptions);
    EXPECT_TRUE(call.ok()) << body;
    return std::get<api::TextPrompt>(call->prompt).add_special;
  };
  EXPECT_FALSE(adds_special(R"({"content":"a"})"));
  EXPECT_TRUE(adds_special(R"({"content":"a","add_special":true})"));
  EXPECT_TRUE(adds_special(R"({"prompt":"a"})"));
  EXPECT_FALSE(adds_special(R"({"prompt":"a","add_special_tokens":false})"));
}

TEST(InferRequest, TakesItsForms) {
  const auto infer = [](std::string_view body, bool chat) {
    auto call = parse_infer_request(parsed(body), chat, kOptions);
    EXPECT_TRUE(call.ok()) << body;
    return std::move(call).value();
  };
  const auto chat_text = [](const InferCall& call) {
    return dump_json(*std::get<api::ChatPrompt>(call.call.requests[0].prompt).messages);
  };
  EXPECT_EQ(chat_text(infer(R"({"input":"hi"})", true)), R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(std::get<api::TextPrompt>(infer(R"({"input":"hi"})", false).call.requests[0].prompt).text, "hi");
  EXPECT_EQ(chat_text(infer(R"({"input":[{"role":"user","content":"hi"}]})", true)),
            R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(chat_text(infer(R"({"input":{"messages":[{"role":"user","content":"hi"}]}})", true)),
            R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(std::get<api::TextPrompt>(infer(R"({"input":{"prompt":"hi"}})", true).call.requests[0].prompt).text, "hi");
  const InferCall batch = infer(R"({"input":["a","b"],"max_tokens":5,"parameters":{"temperature":0}})", true);
  EXPECT_TRUE(batch.batch);
  EXPECT_EQ(batch.call.requests.size(), 2U);
  EXPECT_EQ(batch.call.requests[1].sampling.max_tokens, 5);
  EXPECT_EQ(batch.call.requests[1].sampling.temperature, 0.0);
}

TEST(RequestBody, IsAnObjectOfLimitedDepth) {
  EXPECT_EQ(parse_body("", {}).error().reason, "invalid_json");
  EXPECT_EQ(parse_body("[]", {}).error().reason, "invalid_type");
  EXPECT_EQ(parse_body(R"({"a":NaN})", {}).error().reason, "invalid_json");
  const std::string deep = R"({"a":)" + std::string(100'000, '[');
  EXPECT_EQ(parse_body(deep, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(parse_body(R"({"a":1})", {}).ok());
}

// Every document of JSONTestSuite as a body, and inside a sound one: accepted or refused, never worse.
TEST(RequestBody, SurvivesJsonTestSuite) {
  const char* given = std::getenv("SLUICE_SHARED_DATA");
  const std::filesystem::path root =
      given != nullptr ? std::filesystem::path(given) : std::filesystem::path(SLUICE_SOURCE_DIR) / "../shared/data";
  const auto folder = root / "conformance/JSONTestSuite/test_parsing";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "no JSONTestSuite at " << folder;
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string text = read_file(entry.path().string()).value();
    const std::string name = entry.path().filename().string();
    const auto whole = parse_json(text);
    if (name.starts_with("y_")) EXPECT_TRUE(whole.ok()) << name;
    if (name.starts_with("n_")) EXPECT_FALSE(whole.ok()) << name;
    for (const std::string& body :
         {text, cat(R"({"messages":[{"role":"user","content":)", text, "}]}"),
          cat(R"({"prompt":)", text, R"(,"stop":)", text, "}"), cat(R"({"input":)", text, "}"),
          cat(R"({"messages":)", text, R"(,"tools":)", text, "}")}) {
      const auto json = parse_body(body, {});
      if (!json.ok()) continue;
      for (const Kind kind : {Kind::kChat, Kind::kCompletion, Kind::kEmbedding, Kind::kTokenize, Kind::kDetokenize,
                              Kind::kTemplate, Kind::kInfer}) {
        const Error error = refusal(kind, *json);
        if (error.message != "accepted") EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << name;
      }
    }
    ++read;
  }
  EXPECT_GT(read, 250);
}

}  // namespace
}  // namespace sluice::openai
