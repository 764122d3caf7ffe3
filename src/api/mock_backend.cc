#include "api/mock_backend.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/thread_pool.h"

namespace sluice::api {
namespace {

using Time = std::chrono::steady_clock::time_point;

constexpr TokenId kFirstExtraId = 0x110000;  // after Unicode's last code point

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Bytes of the character at the front of valid UTF-8.
size_t character_size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(size, text.size());
}

std::string encode_character(TokenId code) {
  const auto c = static_cast<uint32_t>(code);
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

TokenId decode_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (text.size() == 1) return lead;
  auto code = static_cast<TokenId>(lead & (0xFF >> (text.size() + 1)));
  for (const char c : text.substr(1)) code = code << 6 | (c & 0x3F);
  return code;
}

// Made-up words; a split emoji so that clients meet characters that come in pieces.
MockAnswer babble(const GenerateRequest& request, int choice) {
  static const std::vector<std::vector<std::string>> kWords = {{"the "},
                                                               {"phone "},
                                                               {"opens "},
                                                               {"a "},
                                                               {"screen"},
                                                               {", "},
                                                               {"打开"},
                                                               {"微信"},
                                                               {"。"},
                                                               {"caf", "é "},
                                                               {"\xF0\x9F", "\x98\x80 "},
                                                               {"tap "},
                                                               {"and "},
                                                               {"wait", "s "},
                                                               {"for "},
                                                               {"you.\n"}};
  static std::atomic<uint64_t> unseeded{0};
  uint64_t seed = request.sampling.seed ? *request.sampling.seed * 2 + 1 : (unseeded.fetch_add(1) + 1) * 2;
  auto stream = static_cast<uint64_t>(choice);
  if (request.sampling.temperature == 0.0) seed = stream = 0;
  MockAnswer answer;
  const int words = 12 + static_cast<int>(philox_uniform(seed, 0, stream) * 24);
  for (int i = 1; i <= words; ++i) {
    const auto& word = kWords[static_cast<size_t>(philox_uniform(seed, static_cast<uint64_t>(i), stream) *
                                                  static_cast<double>(kWords.size()))];
    answer.tokens.insert(answer.tokens.end(), word.begin(), word.end());
  }
  return answer;
}

// Bytes at the end of `text` that may be the beginning of a stop string.
size_t undecided_tail(std::string_view text, const std::vector<std::string>& stops) {
  size_t held = 0;
  for (const std::string& stop : stops) {
    for (size_t size = std::min(stop.size() - 1, text.size()); size > held; --size) {
      if (text.ends_with(std::string_view(stop).substr(0, size))) held = size;
    }
  }
  return held;
}

Error ended(ErrorCode code, std::string message) { return Error{code, std::move(message), {}, {}}; }

}  // namespace

struct MockBackend::Choice {
  MockAnswer answer;
  size_t next = 0;      // of answer.tokens
  int made = 0;         // tokens
  std::string pending;  // text not yet told
  bool done = false;
};

struct MockBackend::Job {
  GenerateRequest request;
  std::shared_ptr<GenerationSink> sink;
  std::vector<TokenId> prompt;
  std::vector<Choice> choices;
  int tokens_max = 0;
  Time due;
  bool begun = false;
  bool cancelled = false;
  Usage usage;
};

MockBackend::MockBackend(MockOptions options) : options_(std::move(options)) {
  if (options_.models.empty()) {
    ModelCard card;
    card.id = "mock";
    card.created = 1700000000;
    card.context_tokens = 8192;
    card.architecture = "mock";
    card.root = "mock";
    card.chat = true;
    options_.models.push_back(card);
  }
  if (!options_.answer) options_.answer = babble;
  thread_ = std::thread([this] {
    name_this_thread("mock-backend");
    run();
  });
}

MockBackend::~MockBackend() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (const auto& done : embeddings_) done();
  for (Job& job : jobs_) job.sink->on_end(ended(ErrorCode::kUnavailable, "the backend is stopping"));
}

std::vector<ModelCard> MockBackend::models() const { return options_.models; }

BackendStatus MockBackend::status() const {
  const std::lock_guard lock(mutex_);
  const int open = static_cast<int>(jobs_.size());
  const int running = std::min(open, options_.running_max);
  return {.ready = options_.ready && !stopping_,
          .running = running,
          .waiting = open - running,
          .kv_usage = static_cast<double>(running) / std::max(1, options_.running_max)};
}

void MockBackend::set_ready(bool ready) {
  const std::lock_guard lock(mutex_);
  options_.ready = ready;
}

int64_t MockBackend::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

int MockBackend::open() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(jobs_.size());
}

Result<const ModelCard*> MockBackend::find_model(const std::string& model) const {
  for (const ModelCard& card : options_.models) {
    if (card.id == model || model.empty()) return &card;
  }
  return Error{ErrorCode::kNotFound, cat("The model '", model, "' does not exist."), "model", "model_not_found"};
}

Result<int> MockBackend::check_length(const GenerateRequest& request, const ModelCard& card,
                                      size_t prompt_tokens) const {
  const int room = card.context_tokens - static_cast<int>(prompt_tokens);
  const std::string param = std::holds_alternative<ChatPrompt>(request.prompt) ? "messages" : "prompt";
  if (room < 1) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("This model's maximum context length is ", card.context_tokens, " tokens, but the prompt has ",
                     prompt_tokens, "; shorten it."),
                 param, "context_length_exceeded"};
  }
  return request.sampling.max_tokens > 0 ? std::min(request.sampling.max_tokens, room) : room;
}

Result<void> MockBackend::generate(GenerateRequest request, std::shared_ptr<GenerationSink> sink) {
  SLUICE_TRY(const ModelCard* card, find_model(request.model));
  SLUICE_TRY(std::vector<TokenId> prompt, tokenize(request.model, request.prompt));
  SLUICE_TRY(const int tokens_max, check_length(request, *card, prompt.size()));
  Job job;
  const auto& bias = request.sampling.logit_bias;
  for (int i = 0; i < request.choices; ++i) {
    MockAnswer answer = options_.answer(request, i);
    std::erase_if(answer.tokens, [&](const std::string& bytes) {
      const auto found = bias.find(token_id(bytes));
      return found != bias.end() && found->second <= -100;
    });
    job.choices.push_back({.answer = std::move(answer)});
  }
  job.tokens_max = tokens_max;
  job.prompt = std::move(prompt);
  job.usage.prompt_tokens = static_cast<int64_t>(job.prompt.size());
  job.usage.cached_tokens = job.choices.empty() ? 0 : job.choices.front().answer.cached_tokens;
  job.due = std::chrono::steady_clock::now() + options_.first_token_latency;
  job.request = std::move(request);
  job.sink = std::move(sink);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || !options_.ready)
      return ended(ErrorCode::kUnavailable, "The backend does not accept requests now; try again later.");
    if (static_cast<int>(jobs_.size()) >= options_.running_max + options_.waiting_max) {
      return ended(ErrorCode::kResourceExhausted,
                   cat("The queue is full (", options_.waiting_max, " requests wait); try again later."));
    }
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
  return {};
}

Result<void> MockBackend::embed(EmbedRequest request, std::function<void(Result<EmbedAnswer>)> done) {
  EmbedAnswer answer;
  for (const Prompt& input : request.inputs) {
    SLUICE_TRY(const std::vector<TokenId> ids, tokenize(request.model, input));
    answer.usage.prompt_tokens += static_cast<int64_t>(ids.size());
    std::vector<float> embedding(static_cast<size_t>(options_.embedding_size), 0.0F);
    for (const TokenId id : ids) {
      for (size_t i = 0; i < embedding.size(); ++i) {
        embedding[i] +=
            static_cast<float>(philox_uniform(static_cast<uint64_t>(id), i) - 0.5) / static_cast<float>(ids.size());
      }
    }
    double squares = 0;
    for (const float value : embedding) squares += static_cast<double>(value) * value;
    if (request.normalize && squares > 0) {
      for (float& value : embedding) value = static_cast<float>(value / std::sqrt(squares));
    }
    answer.embeddings.push_back(std::move(embedding));
  }
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || !options_.ready)
      return ended(ErrorCode::kUnavailable, "The backend does not accept requests now; try again later.");
    embeddings_.emplace_back(
        [answer = std::move(answer), done = std::move(done)]() mutable { done(std::move(answer)); });
  }
  changed_.notify_all();
  return {};
}

void MockBackend::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    for (Job& job : jobs_) {
      if (job.request.id == id) job.cancelled = true;
    }
  }
  changed_.notify_all();
}

Result<std::vector<TokenId>> MockBackend::tokenize(const std::string& model, const Prompt& prompt) const {
  SLUICE_TRY([[maybe_unused]] const ModelCard* card, find_model(model));
  if (const auto* tokens = std::get_if<TokenPrompt>(&prompt)) {
    for (const TokenId id : tokens->ids) {
      if (token_bytes(id).empty())
        return invalid_argument(cat("The token id ", id, " is not in the vocabulary."), "prompt");
    }
    return tokens->ids;
  }
  std::string text;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) {
    SLUICE_TRY(text, apply_template(model, *chat));
  } else {
    text = std::get<TextPrompt>(prompt).text;
  }
  text = utf8_sanitize(text);
  std::vector<TokenId> ids;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t size = character_size(rest);
    ids.push_back(decode_character(rest.substr(0, size)));
    rest.remove_prefix(size);
  }
  return ids;
}

Result<std::string> MockBackend::detokenize(const std::string& model, const std::vector<TokenId>& ids, bool) const {
  SLUICE_TRY([[maybe_unused]] const ModelCard* card, find_model(model));
  std::string text;
  for (const TokenId id : ids) {
    const std::string bytes = token_bytes(id);
    if (bytes.empty()) return invalid_argument(cat("The token id ", id, " is not in the vocabulary."), "tokens");
    text += bytes;
  }
  return text;
}

Result<std::vector<std::string>> MockBackend::token_pieces(const std::string& model,
                                                           const std::vector<TokenId>& ids) const {
  SLUICE_TRY([[maybe_unused]] const ModelCard* card, find_model(model));
  std::vector<std::string> pieces;
  for (const TokenId id : ids) pieces.push_back(token_bytes(id));
  return pieces;
}

Result<std::string> MockBackend::apply_template(const std::string& model, const ChatPrompt& prompt) const {
  SLUICE_TRY([[maybe_unused]] const ModelCard* card, find_model(model));
  std::string text;
  if (prompt.tools != nullptr) text += cat("<|tools|>\n", dump_json(*prompt.tools), "\n");
  for (const Json& message : *prompt.messages) {
    const Json* content = json_find(message, "content");
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    text += cat("<|", message.value("role", ""), "|>\n",
                content != nullptr && content->is_string() ? content->get<std::string>() : "");
  }
  if (prompt.add_generation_prompt) text += "\n<|assistant|>\n";
  return text + prompt.answer_opening;
}

TokenId MockBackend::token_id(const std::string& bytes) const {
  if (!bytes.empty() && utf8_valid(bytes) && character_size(bytes) == bytes.size()) return decode_character(bytes);
  const std::lock_guard lock(mutex_);
  const auto [place, added] = extra_ids_.try_emplace(bytes, kFirstExtraId + static_cast<TokenId>(extra_ids_.size()));
  if (added) extra_tokens_[place->second] = bytes;
  return place->second;
}

// "" for an id without a token.
std::string MockBackend::token_bytes(TokenId id) const {
  if (id < 0 || (id >= 0xD800 && id < 0xE000)) return {};
  if (id < kFirstExtraId) return encode_character(id);
  const std::lock_guard lock(mutex_);
  const auto found = extra_tokens_.find(id);
  return found == extra_tokens_.end() ? std::string() : found->second;
}

// Numbers that depend on the token alone; the alternatives are capital letters, ever less likely.
TokenLogprob MockBackend::token_logprob(TokenId id, int top) const {
  TokenLogprob token{
      .id = id, .bytes = token_bytes(id), .logprob = -0.125F * static_cast<float>(1 + id % 7), .top = {}};
  for (int i = 0; i < top; ++i) {
    if (i == 0) {
      token.top.push_back({id, token.bytes, token.logprob});
    } else {
      token.top.push_back({'A' + i, std::string(1, static_cast<char>('A' + i)), token.logprob - static_cast<float>(i)});
    }
  }
  return token;
}

void MockBackend::find_stop(Choice& choice, const SamplingParams& sampling, TokenDelta& delta) {
  if (choice.made < sampling.min_tokens) return;
  size_t first = std::string::npos;
  for (const std::string& stop : sampling.stop) {
    const size_t found = choice.pending.find(stop);
    if (found >= first) continue;
    first = found;
    delta.stop_match = stop;
  }
  if (first == std::string::npos) return;
  choice.pending.resize(first + (sampling.include_stop ? delta.stop_match.size() : 0));
  delta.finish = FinishReason::kStop;
}

TokenDelta MockBackend::next_delta(Job& job, int index) {
  Choice& choice = job.choices[static_cast<size_t>(index)];
  const SamplingParams& sampling = job.request.sampling;
  TokenDelta delta;
  delta.choice = index;
  const bool must_go_on = choice.answer.repeat || sampling.ignore_eos || choice.made < sampling.min_tokens;
  if (choice.next >= choice.answer.tokens.size() && must_go_on) choice.next = 0;
  if (choice.next >= choice.answer.tokens.size()) {
    delta.finish = choice.answer.finish;
    if (delta.finish == FinishReason::kStop) {  // the end token, which has no text
      ++choice.made;
      delta.ids.push_back(token_id("<|end|>"));
    }
  } else {
    const std::string& bytes = choice.answer.tokens[choice.next++];
    ++choice.made;
    delta.ids.push_back(token_id(bytes));
    choice.pending += bytes;
    find_stop(choice, sampling, delta);
    const auto& ids = sampling.stop_token_ids;
    if (!delta.finish && std::find(ids.begin(), ids.end(), delta.ids.back()) != ids.end() &&
        choice.made >= sampling.min_tokens) {
      if (!sampling.include_stop) choice.pending.resize(choice.pending.size() - bytes.size());
      delta.finish = FinishReason::kStop;
    }
    if (!delta.finish && choice.made >= job.tokens_max) delta.finish = FinishReason::kLength;
  }
  if (sampling.logprobs) {
    for (const TokenId id : delta.ids) delta.logprobs.push_back(token_logprob(id, *sampling.logprobs));
  }
  if (delta.finish) {
    delta.text = utf8_sanitize(choice.pending);
    choice.done = true;
  } else {
    const size_t decided = choice.pending.size() - undecided_tail(choice.pending, sampling.stop);
    const size_t told = utf8_complete_prefix(std::string_view(choice.pending).substr(0, decided));
    delta.text = utf8_sanitize(std::string_view(choice.pending).substr(0, told));
    choice.pending.erase(0, told);
  }
  job.usage.completion_tokens += static_cast<int64_t>(delta.ids.size());
  return delta;
}

// One token of every choice. True when the request has ended.
bool MockBackend::step(Job& job) {
  if (job.request.deadline_us > 0 && now_us() > job.request.deadline_us) {
    job.sink->on_end(ended(ErrorCode::kDeadlineExceeded, "The request's timeout is over."));
    return true;
  }
  const auto fails = [](const Choice& choice) {
    return choice.answer.error && choice.made >= choice.answer.error_after;
  };
  const auto fault = std::find_if(job.choices.begin(), job.choices.end(), fails);
  if (fault != job.choices.end()) {
    job.sink->on_end(*fault->answer.error);
    return true;
  }
  if (!job.begun) {
    job.begun = true;
    PromptReport report{
        .prompt_tokens = job.usage.prompt_tokens, .cached_tokens = job.usage.cached_tokens, .ids = {}, .logprobs = {}};
    if (const auto& top = job.request.sampling.prompt_logprobs) {
      report.ids = job.prompt;
      for (const TokenId id : job.prompt) report.logprobs.push_back(token_logprob(id, *top));
      if (!report.logprobs.empty()) {
        report.logprobs.front().logprob = std::numeric_limits<float>::quiet_NaN();
        report.logprobs.front().top.clear();
      }
    }
    job.sink->on_prompt(std::move(report));
  }
  bool all_done = true;
  for (size_t i = 0; i < job.choices.size(); ++i) {
    if (job.choices[i].done) continue;
    job.sink->on_delta(next_delta(job, static_cast<int>(i)));
    all_done &= job.choices[i].done;
  }
  if (all_done) job.sink->on_end(job.usage);
  return all_done;
}

// The running job whose time has come, or null and the time to wake at. Called with the lock held.
MockBackend::Job* MockBackend::due_job(Time* wake) {
  Job* best = nullptr;
  int index = 0;
  for (Job& job : jobs_) {
    if (job.cancelled) return &job;
    if (index++ >= options_.running_max) continue;
    if (best == nullptr || job.due < best->due) best = &job;
  }
  if (best == nullptr || best->due <= std::chrono::steady_clock::now()) return best;
  *wake = best->due;
  return nullptr;
}

void MockBackend::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!embeddings_.empty()) {
      const auto done = std::move(embeddings_.front());
      embeddings_.pop_front();
      lock.unlock();
      done();
      lock.lock();
      continue;
    }
    Time wake = std::chrono::steady_clock::now() + std::chrono::hours(1);
    Job* job = due_job(&wake);
    if (job == nullptr) {
      changed_.wait_until(lock, wake);
      continue;
    }
    const bool cancelled = job->cancelled;
    cancelled_ += cancelled ? 1 : 0;
    lock.unlock();  // only this thread removes jobs, so the pointer stays good
    const bool over = cancelled || step(*job);
    if (cancelled) job->sink->on_end(ended(ErrorCode::kCancelled, "The request was cancelled."));
    lock.lock();
    if (over) {
      jobs_.remove_if([&](const Job& other) { return &other == job; });
    } else {
      job->due = std::chrono::steady_clock::now() + options_.token_latency;
    }
  }
}

}  // namespace sluice::api
