#include "server/openai/openapi_schemas.h"

#include <span>

#include "base/check.h"
#include "base/json.h"
#include "server/openai/request_fields.h"

namespace sluice::openai {
namespace {

constexpr std::string_view kChatExample =
    R"({"model":"","messages":[{"role":"user","content":"Say hello in three languages."}],"max_tokens":128,"stream":true})";
constexpr std::string_view kCompletionExample =
    R"({"model":"","prompt":"Once upon a time","max_tokens":64,"stream":true})";
constexpr std::string_view kEmbeddingExample = R"({"model":"","input":["a cat","a dog"]})";

constexpr RouteSchemas kRoutes[] = {
    {"/v1/chat/completions", "ChatCompletionRequest", "ChatCompletion", true, kChatExample},
    {"/chat/completions", "ChatCompletionRequest", "ChatCompletion", true, kChatExample},
    {"/v1/completions", "CompletionRequest", "Completion", true, kCompletionExample},
    {"/completions", "CompletionRequest", "Completion", true, kCompletionExample},
    {"/v1/embeddings", "EmbeddingRequest", "EmbeddingList", false, kEmbeddingExample},
    {"/embeddings", "EmbeddingRequest", "EmbeddingList", false, kEmbeddingExample},
    {"/v1/models", "", "ModelList", false, ""},
    {"/models", "", "ModelList", false, ""},
    {"/v1/models/{model...}", "", "Model", false, ""},
    {"/models/{model...}", "", "Model", false, ""},
    {"/infer", "InferRequest", "InferResponse", false, R"({"input":"Say hello.","max_tokens":32})"},
    {"/tokenize", "TokenizeRequest", "TokenizeResponse", false, R"({"content":"Hello, world","with_pieces":true})"},
    {"/detokenize", "DetokenizeRequest", "DetokenizeResponse", false, R"({"tokens":[72,105]})"},
    {"/apply-template", "TemplateRequest", "TemplateResponse", false,
     R"({"messages":[{"role":"user","content":"Hello"}]})"},
    {"/health", "", "Status", false, ""},
    {"/ready", "", "Status", false, ""},
    {"/version", "", "Version", false, ""},
};

// Members with a structure of their own.
constexpr std::string_view kMessagesField =
    R"({"messages":{"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/Message"},
  "description":"The conversation so far."}})";
constexpr std::string_view kTemplateFields = R"({
  "tools":{"type":["array","null"],"items":{"$ref":"#/components/schemas/Tool"},"description":"Functions shown to the model by its chat template. The calls it writes become tool_calls."},
  "tool_choice":{"anyOf":[{"enum":["none","auto","required",null]},{"type":"object","required":["type","function"],"properties":{"type":{"const":"function"},
    "function":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}}],
    "description":"none: tools are not shown. required, or a function: the answer is made to begin with a call."},
  "chat_template_kwargs":{"type":["object","null"],"description":"Further variables for the chat template, such as enable_thinking."},
  "documents":{"type":["array","null"],"description":"Given to the chat template under this name."}})";
constexpr std::string_view kSamplingStructures = R"({
  "stop":{"anyOf":[{"type":"string","minLength":1},{"type":"array","items":{"type":"string","minLength":1},"maxItems":16},{"type":"null"}],
    "description":"Strings that end the answer and are not part of it. At most 16 of 1024 bytes each."},
  "stop_token_ids":{"type":["array","null"],"items":{"$ref":"#/components/schemas/TokenId"},"maxItems":256,"description":"Token ids that end the answer."},
  "logit_bias":{"type":["object","null"],"propertyNames":{"pattern":"^[0-9]+$"},"additionalProperties":{"type":"number","minimum":-100,"maximum":100},
    "description":"Token id to a number added to its logit."},
  "response_format":{"type":["object","null"],"required":["type"],"properties":{"type":{"const":"text"}},"description":"Only text."}})";
constexpr std::string_view kStreamOptions = R"({"stream_options":{"type":["object","null"],"properties":{
  "include_usage":{"type":["boolean","null"]},"continuous_usage_stats":{"type":["boolean","null"]}},"description":"Only with stream."}})";
constexpr std::string_view kPromptField =
    R"({"prompt":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"items":{"type":"string"}},
  {"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/TokenId"}},
  {"type":"array","minItems":1,"items":{"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/TokenId"}}}],
  "description":"A text, texts, token ids, or arrays of them. Each becomes n choices."}})";
constexpr std::string_view kEmbeddingInput =
    R"({"input":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"items":{"type":"string"}},
  {"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/TokenId"}},
  {"type":"array","minItems":1,"items":{"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/TokenId"}}}]}})";
constexpr std::string_view kInferInput =
    R"({"input":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"items":{"type":"string"}},
  {"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/Message"}},
  {"type":"object","anyOf":[{"required":["messages"]},{"required":["prompt"]},{"required":["text"]},{"required":["content"]}],"properties":{
    "messages":{"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/Message"}},
    "prompt":{"type":"string"},"text":{"type":"string"},"content":{"type":"string"}}}],
  "description":"A text, an array of texts, an array of chat messages, {messages}, {prompt} or {text}."},
  "parameters":{"type":["object","null"],"description":"The sampling fields may stand here as well."}})";
constexpr std::string_view kTokenizeInput =
    R"({"content":{"type":["string","null"],"description":"The text; no special tokens are added by default."},
  "prompt":{"type":["string","null"],"description":"The text; special tokens are added by default."}})";

constexpr std::string_view kPlainSchemas = R"({
"TokenId":{"type":"integer","minimum":0,"maximum":2147483647},
"Message":{"type":"object","required":["role"],"anyOf":[{"properties":{"role":{"const":"assistant"}}},
  {"required":["content"],"properties":{"content":{"type":["string","array"]}}}],"properties":{
  "role":{"enum":["system","developer","user","assistant","tool"]},
  "content":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"object","required":["type","text"],"properties":{"type":{"const":"text"},"text":{"type":"string"}}}},{"type":"null"}]},
  "name":{"type":["string","null"]},"tool_call_id":{"type":["string","null"]},"reasoning_content":{"type":["string","null"]},
  "tool_calls":{"type":["array","null"],"items":{"$ref":"#/components/schemas/ToolCall"}}}},
"ToolCall":{"type":"object","required":["function"],"properties":{"id":{"type":"string"},"type":{"const":"function"},
  "function":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"arguments":{"type":["string","object","null"],"description":"In answers a string: JSON as the model wrote it."}}}}},
"Tool":{"type":"object","required":["type","function"],"properties":{"type":{"const":"function"},
  "function":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"description":{"type":"string"},"parameters":{"type":"object"}}}}},
"Usage":{"type":"object","properties":{"prompt_tokens":{"type":"integer"},"completion_tokens":{"type":"integer"},"total_tokens":{"type":"integer"},
  "prompt_tokens_details":{"type":"object","properties":{"cached_tokens":{"type":"integer"}}}}},
"ChatCompletion":{"type":"object","properties":{"id":{"type":"string"},"object":{"const":"chat.completion"},"created":{"type":"integer"},"model":{"type":"string"},
  "system_fingerprint":{"type":"string"},"choices":{"type":"array","items":{"type":"object","properties":{"index":{"type":"integer"},
  "message":{"type":"object","properties":{"role":{"const":"assistant"},"content":{"type":["string","null"]},
  "reasoning_content":{"type":"string","description":"With --reasoning-parser."},"tool_calls":{"type":"array","items":{"$ref":"#/components/schemas/ToolCall"}},
  "refusal":{"type":["string","null"]}}},
  "logprobs":{"type":["object","null"]},"finish_reason":{"enum":["stop","length","tool_calls"]},
  "token_ids":{"type":"array","items":{"type":"integer"}}}}},"prompt_token_ids":{"type":"array","items":{"type":"integer"},"description":"With return_token_ids."},"usage":{"$ref":"#/components/schemas/Usage"}}},
"Completion":{"type":"object","properties":{"id":{"type":"string"},"object":{"const":"text_completion"},"created":{"type":"integer"},"model":{"type":"string"},
  "system_fingerprint":{"type":"string"},"choices":{"type":"array","items":{"type":"object","properties":{"index":{"type":"integer"},"text":{"type":"string"},
  "logprobs":{"type":["object","null"]},"finish_reason":{"enum":["stop","length"]},
  "token_ids":{"type":"array","items":{"type":"integer"}},"prompt_token_ids":{"type":"array","items":{"type":"integer"}}}}},"usage":{"$ref":"#/components/schemas/Usage"}}},
"EmbeddingList":{"type":"object","properties":{"object":{"const":"list"},"model":{"type":"string"},"data":{"type":"array","items":{"type":"object",
  "properties":{"object":{"const":"embedding"},"index":{"type":"integer"},"embedding":{"anyOf":[{"type":"array","items":{"type":"number"}},{"type":"string"}]}}}},
  "usage":{"type":"object","properties":{"prompt_tokens":{"type":"integer"},"total_tokens":{"type":"integer"}}}}},
"Model":{"type":"object","properties":{"id":{"type":"string"},"object":{"const":"model"},"created":{"type":"integer"},"owned_by":{"type":"string"},
  "root":{"type":"string"},"max_model_len":{"type":"integer"},"architecture":{"type":"string"},"chat":{"type":"boolean"}}},
"ModelList":{"type":"object","properties":{"object":{"const":"list"},"data":{"type":"array","items":{"$ref":"#/components/schemas/Model"}}}},
"InferResponse":{"type":"object","properties":{"id":{"type":"string"},"object":{"const":"inference"},"created":{"type":"integer"},"model":{"type":"string"},
  "output":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},"finish_reason":{},"usage":{"$ref":"#/components/schemas/Usage"}}},
"TokenizeResponse":{"type":"object","properties":{"tokens":{"type":"array"},"count":{"type":"integer"},"max_model_len":{"type":"integer"},
  "token_strs":{"type":"array","items":{"type":"string"}}}},
"DetokenizeRequest":{"type":"object","required":["tokens"],"properties":{"model":{"type":["string","null"]},"tokens":{"type":"array","items":{"$ref":"#/components/schemas/TokenId"}}}},
"DetokenizeResponse":{"type":"object","properties":{"content":{"type":"string"},"prompt":{"type":"string"}}},
"TemplateResponse":{"type":"object","properties":{"prompt":{"type":"string"}}},
"Status":{"type":"object","properties":{"status":{"type":"string"}}},
"Version":{"type":"object","properties":{"version":{"type":"string"}}},
"ErrorResponse":{"type":"object","required":["error"],"properties":{"error":{"type":"object","required":["message","type","param","code"],"properties":{
  "message":{"type":"string"},"type":{"type":"string"},"param":{"type":["string","null"]},"code":{"type":["string","null"]}}}}}
})";

Json parse_literal(std::string_view text) {
  auto parsed = parse_json(text);
  SLUICE_CHECK(parsed.ok(), "a schema literal is JSON");
  return std::move(parsed).value();
}

std::string_view type_name(FieldKind kind) {
  switch (kind) {
    case FieldKind::kBoolean:
      return "boolean";
    case FieldKind::kInteger:
      return "integer";
    case FieldKind::kNumber:
      return "number";
    case FieldKind::kString:
      return "string";
  }
  return "string";
}

Json bound(double value) {
  const bool whole = value < 9e15 && value > -9e15 && value == static_cast<double>(static_cast<int64_t>(value));
  return whole ? Json(static_cast<int64_t>(value)) : Json(value);
}

class ObjectSchema {
 public:
  explicit ObjectSchema(std::vector<std::string> required) {
    schema_["type"] = "object";
    if (!required.empty()) schema_["required"] = std::move(required);
    schema_["properties"] = Json::object();
  }
  ObjectSchema& add(std::string_view members) {
    const Json parsed = parse_literal(members);  // items() refers into it
    for (const auto& [name, value] : parsed.items()) schema_["properties"][name] = value;
    return *this;
  }
  ObjectSchema& add(std::span<const FieldSpec> specs) {
    for (const FieldSpec& spec : specs) {
      Json field = Json::object();
      field["type"] = Json::array({std::string(type_name(spec.kind)), "null"});
      if (spec.min) field["minimum"] = bound(*spec.min);
      if (spec.max) field["maximum"] = bound(*spec.max);
      if (!spec.words.empty()) {
        field = Json::object();
        Json& words = field["enum"] = Json::array();
        for (const std::string_view word : spec.words) words.push_back(std::string(word));
        words.push_back(nullptr);
      }
      field["description"] = std::string(spec.help);
      schema_["properties"][std::string(spec.name)] = std::move(field);
    }
    return *this;
  }
  // One of these members at least.
  ObjectSchema& any_of(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names)
      schema_["anyOf"].push_back(Json{{"required", Json::array({std::string(name)})}});
    return *this;
  }
  Json take() { return std::move(schema_); }

 private:
  Json schema_ = Json::object();
};

}  // namespace

const RouteSchemas* find_route_schemas(std::string_view path) {
  for (const RouteSchemas& route : kRoutes) {
    if (route.path == path) return &route;
  }
  return nullptr;
}

Json component_schemas() {
  Json schemas = Json::object();
  schemas["ChatCompletionRequest"] = ObjectSchema({"messages"})
                                         .add(kMessagesField)
                                         .add(field::kChatFields)
                                         .add(kStreamOptions)
                                         .add(field::kSamplingFields)
                                         .add(kSamplingStructures)
                                         .add(kTemplateFields)
                                         .take();
  schemas["CompletionRequest"] = ObjectSchema({"prompt"})
                                     .add(kPromptField)
                                     .add(field::kCompletionFields)
                                     .add(kStreamOptions)
                                     .add(field::kSamplingFields)
                                     .add(kSamplingStructures)
                                     .take();
  schemas["EmbeddingRequest"] = ObjectSchema({"input"}).add(kEmbeddingInput).add(field::kEmbeddingFields).take();
  schemas["InferRequest"] = ObjectSchema({"input"})
                                .add(kInferInput)
                                .add(field::kInferFields)
                                .add(field::kSamplingFields)
                                .add(kSamplingStructures)
                                .take();
  schemas["TokenizeRequest"] = ObjectSchema({})
                                   .any_of({"content", "prompt", "messages"})
                                   .add(kTokenizeInput)
                                   .add(kMessagesField)
                                   .add(kTemplateFields)
                                   .add(field::kTokenizeFields)
                                   .take();
  schemas["TemplateRequest"] = ObjectSchema({"messages"}).add(kMessagesField).add(kTemplateFields).take();
  const Json plain = parse_literal(kPlainSchemas);
  for (const auto& [name, schema] : plain.items()) schemas[name] = schema;
  return schemas;
}

}  // namespace sluice::openai
