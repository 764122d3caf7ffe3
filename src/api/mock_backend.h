#pragma once
// MockBackend: a backend without a model. It answers with scripted or made-up tokens, with scripted latency and faults,
// so that servers, gateways and clients can be tested and tried without weights. Sampling parameters that shape an
// answer's form are honoured (n, seed, temperature 0, stop, max_tokens, min_tokens, ignore_eos, logprobs, deadlines; a
// logit bias of -100 leaves a token out). A token of text is one Unicode character and its id is the code point; other
// scripted tokens get ids above those. Calls from any thread; events come from one thread of its own.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "api/backend.h"

namespace sluice::api {

// What one choice of one request answers.
struct MockAnswer {
  std::vector<std::string> tokens;            // bytes of each token; may be parts of characters
  FinishReason finish = FinishReason::kStop;  // when the tokens run out
  bool repeat = false;                        // begin again when they run out: ends only by max_tokens, stop or cancel
  std::optional<Error> error = std::nullopt;  // ends the request with this…
  int error_after = 0;                        // …when so many tokens have been made; 0: before the first
  int64_t cached_tokens = 0;                  // reported as taken from the cache
};

struct MockOptions {
  std::vector<ModelCard> models;  // empty: one chat model "mock" with 8192 tokens of context
  std::chrono::microseconds first_token_latency{0};
  std::chrono::microseconds token_latency{0};
  int running_max = 64;   // requests worked on at once; the others wait
  int waiting_max = 256;  // past it kResourceExhausted
  bool ready = true;
  int embedding_size = 32;
  // The answer of a choice; called in generate() on the caller's thread. Empty: made-up words, the same for the same
  // seed and always the same at temperature 0.
  std::function<MockAnswer(const GenerateRequest& request, int choice)> answer;
};

class MockBackend final : public Backend {
 public:
  explicit MockBackend(MockOptions options = {});
  ~MockBackend() override;  // open requests end with kUnavailable

  std::vector<ModelCard> models() const override;
  BackendStatus status() const override;
  Result<void> generate(GenerateRequest request, std::shared_ptr<GenerationSink> sink) override;
  Result<void> embed(EmbedRequest request, std::function<void(Result<EmbedAnswer>)> done) override;
  void cancel(RequestId id) override;
  Result<std::vector<TokenId>> tokenize(const std::string& model, const Prompt& prompt) const override;
  Result<std::string> detokenize(const std::string& model, const std::vector<TokenId>& ids,
                                 bool skip_special) const override;
  Result<std::vector<std::string>> token_pieces(const std::string& model,
                                                const std::vector<TokenId>& ids) const override;
  Result<std::string> apply_template(const std::string& model, const ChatPrompt& prompt) const override;

  void set_ready(bool ready);
  int64_t cancelled() const;  // requests that ended by cancel()
  int open() const;           // requests accepted and not ended

 private:
  struct Choice;
  struct Job;

  Result<const ModelCard*> find_model(const std::string& model) const;
  TokenId token_id(const std::string& bytes) const;
  std::string token_bytes(TokenId id) const;
  TokenLogprob token_logprob(TokenId id, int top) const;
  Result<int> check_length(const GenerateRequest& request, const ModelCard& card, size_t prompt_tokens) const;
  void run();
  Job* due_job(std::chrono::steady_clock::time_point* wake);
  bool step(Job& job);
  TokenDelta next_delta(Job& job, int index);
  static void find_stop(Choice& choice, const SamplingParams& sampling, TokenDelta& delta);

  MockOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Job> jobs_;                               // accepted and not ended, in order of arrival
  std::list<std::function<void()>> embeddings_;       // to be done by the thread
  mutable std::map<std::string, TokenId> extra_ids_;  // scripted tokens that are not one character
  mutable std::map<TokenId, std::string> extra_tokens_;
  int64_t cancelled_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::api
