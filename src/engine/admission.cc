#include "engine/admission.h"

#include <algorithm>
#include <limits>
#include <random>

#include "base/check.h"
#include "base/random.h"
#include "base/strings.h"

namespace sluice::engine {
namespace {

uint64_t seed_from_system() {
  std::random_device device;
  return (uint64_t{device()} << 32) ^ device();
}

int saturated_product(int a, int b) {
  return static_cast<int>(std::min<int64_t>(int64_t{a} * b, std::numeric_limits<int>::max()));
}

Error too_long(int limit, size_t tokens, std::string_view param) {
  const std::string what = param == "messages" ? "messages resulted in" : cat(param, " has");
  return {ErrorCode::kInvalidArgument,
          cat("This model's maximum context length is ", limit, " tokens. However, your ", what, " ", tokens,
              " tokens. Please reduce the length of the ", param, "."),
          std::string(param), "context_length_exceeded"};
}

}  // namespace

Admission::Admission(const EngineOptions& options, const model::ModelTraits& traits, int block_tokens,
                     const text::Tokenizer& tokenizer, const Clock& clock)
    : options_(options),
      tokenizer_(tokenizer),
      clock_(clock),
      vocab_size_(traits.vocab_size),
      context_max_(options.context_max > 0 ? options.context_max : traits.context_max),
      cache_tokens_(saturated_product(options.blocks, block_tokens)),
      sequence_tokens_max_(std::min(context_max_, cache_tokens_)),
      random_seed_(options.random_seed ? *options.random_seed : seed_from_system()) {}

uint64_t Admission::draw_seed() const {
  const auto bits = philox4x32(random_seed_, seeds_drawn_.fetch_add(1));
  return (uint64_t{bits[0]} << 32) | bits[1];
}

// `room`: tokens that must still fit behind these.
Result<void> Admission::check_tokens(std::span<const TokenId> tokens, int room, std::string_view param) const {
  if (tokens.empty()) return invalid_argument(cat("The ", param, " must have at least one token."), std::string(param));
  const size_t needed = tokens.size() + static_cast<size_t>(room);
  if (needed > static_cast<size_t>(context_max_)) return too_long(context_max_, tokens.size(), param);
  if (needed > static_cast<size_t>(cache_tokens_)) {
    Error error = too_long(cache_tokens_, tokens.size(), param);
    error.message +=
        " (The model itself allows more: its key/value cache is too small here. Start the server with more memory for "
        "it.)";
    return error;
  }
  for (const TokenId id : tokens) {
    if (id < 0 || id >= vocab_size_) {
      return invalid_argument(
          cat("Token ", id, " is not in the vocabulary; the model's tokens are 0 to ", vocab_size_ - 1, "."),
          std::string(param));
    }
  }
  return {};
}

Result<std::unique_ptr<Request>> Admission::accept(EngineRequest request) const {
  SLUICE_CHECK(request.sink != nullptr);
  SLUICE_RETURN_IF_ERROR(check_tokens(request.prompt, 1, request.prompt_param));
  if (request.choices < 1 || request.choices > options_.choices_max) {
    return invalid_argument(cat("n must be between 1 and ", options_.choices_max, ", but is ", request.choices, "."),
                            "n");
  }
  auto accepted = std::make_unique<Request>();
  SLUICE_TRY(accepted->settings,
             resolve_sampling(request.sampling, options_.sampling_defaults, options_.eos, vocab_size_));
  const SamplingSettings& settings = accepted->settings;
  accepted->id = request.id;
  accepted->priority = request.priority;
  accepted->cache_salt = std::move(request.cache_salt);
  accepted->deadline_us = request.deadline_us;
  accepted->arrived_us = request.arrived_us != 0 ? request.arrived_us : clock_.now_us();
  accepted->seed = settings.seed ? *settings.seed : draw_seed();
  accepted->sink = std::move(request.sink);
  accepted->usage.prompt_tokens = accepted->prompt.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (settings.prompt_logprobs) accepted->prompt.ids = request.prompt;

  const int room = sequence_tokens_max_ - static_cast<int>(request.prompt.size());
  const int tokens_max = settings.max_tokens > 0 ? std::min(settings.max_tokens, room) : room;
  accepted->unfinished = request.choices;
  for (int choice = 0; choice < request.choices; ++choice) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request = accepted.get();
    sequence->number = choice;
    sequence->state = choice > 0 ? Sequence::State::kHeld : Sequence::State::kWaiting;
    sequence->prompt_tokens = static_cast<int>(request.prompt.size());
    sequence->reads_rows = sequence->reads_logits = choice == 0 && settings.prompt_logprobs.has_value();
    sequence->answer = std::make_unique<Answer>(tokenizer_, settings, request.prompt, tokens_max);
    if (settings.penalises()) sequence->seen.add_prompt(request.prompt);
    sequence->tokens = choice + 1 == request.choices ? std::move(request.prompt) : request.prompt;
    accepted->sequences.push_back(std::move(sequence));
  }
  return accepted;
}

Result<std::unique_ptr<Request>> Admission::accept(EngineEmbedRequest request) const {
  SLUICE_CHECK(request.done != nullptr);
  if (request.inputs.empty() || request.inputs.size() > static_cast<size_t>(options_.inputs_max)) {
    return invalid_argument(
        cat("input must have 1 to ", options_.inputs_max, " entries, but has ", request.inputs.size(), "."), "input");
  }
  auto accepted = std::make_unique<Request>();
  accepted->id = request.id;
  accepted->priority = request.priority;
  accepted->cache_salt = std::move(request.cache_salt);
  accepted->deadline_us = request.deadline_us;
  accepted->arrived_us = request.arrived_us != 0 ? request.arrived_us : clock_.now_us();
  accepted->unfinished = static_cast<int>(request.inputs.size());
  for (std::vector<TokenId>& input : request.inputs) {
    SLUICE_RETURN_IF_ERROR(check_tokens(input, 0, "input"));
    auto sequence = std::make_unique<Sequence>();
    sequence->request = accepted.get();
    sequence->number = static_cast<int>(accepted->sequences.size());
    sequence->prompt_tokens = static_cast<int>(input.size());
    sequence->reads_rows = request.pooling == api::Pooling::kMean;
    sequence->tokens = std::move(input);
    accepted->usage.prompt_tokens += sequence->prompt_tokens;
    accepted->sequences.push_back(std::move(sequence));
  }
  accepted->embed = std::make_unique<EmbedJob>(EmbedJob{request.pooling, request.normalize, std::move(request.done),
                                                        std::vector<std::vector<float>>(request.inputs.size())});
  return accepted;
}

}  // namespace sluice::engine
