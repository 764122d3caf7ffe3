#pragma once
// Backend: whatever can answer requests: the engine in this process (local/), and in time a node or a provider.
// A server holds one and knows nothing else. All functions may be called from any thread.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/generate.h"

namespace sluice::api {

struct ModelCard {
  std::string id;       // the name it is served under
  int64_t created = 0;  // Unix seconds
  std::string owned_by = "sluice";
  int context_tokens = 0;        // prompt and answer together
  std::string architecture;      // "glm4"
  std::string root;              // where it was loaded from
  bool chat = false;             // it has a chat template
  std::string tool_parser;       // the dialect of its tool calls (text/answers/tool_dialects.h), or "": not parsed
  std::string reasoning_parser;  // the same of its reasoning
};

enum class Pooling { kMean, kLast };

struct EmbedRequest {
  RequestId id = 0;
  std::string model;
  std::vector<Prompt> inputs;  // text or tokens
  Pooling pooling = Pooling::kMean;
  bool normalize = true;   // to Euclidean length 1
  std::string cache_salt;  // as in GenerateRequest
};
struct EmbedAnswer {
  std::vector<std::vector<float>> embeddings;  // [inputs][hidden_size]
  Usage usage;
};

struct BackendStatus {
  bool ready = false;   // accepts requests now
  int running = 0;      // sequences in the batch
  int waiting = 0;      // accepted, not yet in the batch
  double kv_usage = 0;  // share of the cache's blocks in use by sequences
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::vector<ModelCard> models() const = 0;
  virtual BackendStatus status() const = 0;

  // Accepts the request (events follow on `sink`) or refuses it (an error, and `sink` is never called): kNotFound for
  // an unknown model, kInvalidArgument naming the parameter (reason "context_length_exceeded" for a prompt too long),
  // kResourceExhausted when the queue is full, kUnavailable when stopping. Templates and tokenises on the calling
  // thread.
  virtual Result<void> generate(GenerateRequest request, std::shared_ptr<GenerationSink> sink) = 0;
  // `done` is called exactly once, from the backend's thread, unless an error is returned here.
  virtual Result<void> embed(EmbedRequest request, std::function<void(Result<EmbedAnswer>)> done) = 0;
  // Ends a request soon with kCancelled as its last event; unknown ids are ignored.
  virtual void cancel(RequestId id) = 0;

  virtual Result<std::vector<TokenId>> tokenize(const std::string& model, const Prompt& prompt) const = 0;
  // `skip_special`: leave out special tokens, as answers do by default.
  virtual Result<std::string> detokenize(const std::string& model, const std::vector<TokenId>& ids,
                                         bool skip_special) const = 0;
  // The bytes each token stands for inside a text, special tokens spelled out; maybe parts of characters.
  virtual Result<std::vector<std::string>> token_pieces(const std::string& model,
                                                        const std::vector<TokenId>& ids) const = 0;
  // The text a chat prompt becomes.
  virtual Result<std::string> apply_template(const std::string& model, const ChatPrompt& prompt) const = 0;
};

}  // namespace sluice::api
