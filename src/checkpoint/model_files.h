#pragma once
// What a path to a model holds: its weights, and the small files beside them as they are. Interpreting them is model/'s
// and text/'s work. Immutable once opened.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "checkpoint/gguf.h"
#include "checkpoint/weights.h"

namespace sluice::checkpoint {

enum class ModelKind {
  kHuggingFace,  // config.json and *.safetensors in one directory
  kGguf,         // one file, or the parts of a split one
};

// Metadata that our own GGUF files carry beside llama.cpp's: the small files of the directory they were made from.
constexpr std::string_view kConfigKey = "sluice.config";
constexpr std::string_view kTokenizerConfigKey = "sluice.tokenizer_config";
constexpr std::string_view kGenerationConfigKey = "sluice.generation_config";

struct NamedTemplate {
  std::string name;  // "default", "tool_use", "rag", …
  std::string source;
};

// The tokenizer of a GGUF file as plain arrays. An id is an index into `tokens`.
struct GgufVocabularyArrays {
  std::string model;                // tokenizer.ggml.model: "llama" (SentencePiece BPE), "gpt2" (byte-level BPE), …
  std::string pre;                  // tokenizer.ggml.pre; "" when absent
  std::vector<std::string> tokens;  // [vocab]
  std::vector<float> scores;        // [vocab] or empty
  std::vector<int32_t> types;  // [vocab] or empty: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges;  // "left right"
  std::optional<int32_t> bos, eos, eot, eom, unk, sep, pad, mask;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};

struct ModelFiles {
  ModelKind kind = ModelKind::kHuggingFace;
  std::string path;       // as given
  std::string directory;  // where the files lie
  // A name for people: "org/model" for a path in the Hugging Face cache, else the directory's name, or the GGUF file's
  // name without its ending.
  std::string name;

  Json config;                           // config.json; null for GGUF
  Json generation_config;                // generation_config.json, else null
  Json tokenizer_config;                 // tokenizer_config.json, else null
  GgufMetadata metadata;                 // empty unless GGUF
  WeightMap weights;                     // quantised ones put together (quantized_weights.h)
  std::string quantization;              // how a tool quantised them: "awq, 4 bits, groups of 128"; "" when none did
  std::vector<NamedTemplate> templates;  // names are unique; often there is just "default", or none
};

// A directory with config.json and safetensors, a directory with exactly one GGUF model, a .gguf file, or a name in the
// model cache (model_reference.h).
// kNotFound says what was looked for and where; kUnimplemented when the weights are of a kind that must be converted.
Result<ModelFiles> open_model(const std::string& path);

// kCorruptData when the arrays do not fit each other.
Result<GgufVocabularyArrays> read_gguf_vocabulary(const GgufMetadata& metadata);

// The text forms, apart from any file, so that tests and fuzzers reach them. `path` is for messages.
// A JSON object: config.json, generation_config.json, tokenizer_config.json.
Result<Json> parse_config(std::string_view json, const std::string& path);
// The value of "chat_template" in tokenizer_config.json or chat_template.json: a string, a list of {name, template}, an
// object of name → template; null or absent gives none. "default" comes first.
Result<std::vector<NamedTemplate>> parse_chat_templates(const Json& object, const std::string& path);

}  // namespace sluice::checkpoint
