#include "server/openai/answer_writer.h"

#include <atomic>
#include <random>

#include "base/json.h"
#include "base/random.h"
#include "server/openai/json_text.h"

namespace sluice::openai {

void AnswerWriter::set_echo(int, EchoedPrompt) {}

void AnswerWriter::append_head(std::string& out, std::string_view object) const {
  out += R"({"id":)";
  append_json_string(out, head_.id);
  out += R"(,"object":)";
  append_json_string(out, object);
  out += R"(,"created":)";
  append_integer(out, head_.created);
  out += R"(,"model":)";
  append_json_string(out, head_.model);
  out += R"(,"system_fingerprint":)";
  append_json_string(out, head_.fingerprint);
  out += R"(,"choices":[)";
}

void AnswerWriter::begin_event(std::string& out) const {
  if (event_head_.empty()) {
    event_head_ = "data: ";
    append_head(event_head_, event_object());
  }
  out += event_head_;
}

void AnswerWriter::end_event(std::string& out, const api::Usage& so_far) const {
  out += ']';
  if (options_.continuous_usage) {
    out += R"(,"usage":)";
    append_usage(out, so_far);
  } else if (options_.include_usage) {
    out += R"(,"usage":null)";
  }
  out += "}\n\n";
}

void AnswerWriter::append_whole_end(std::string& out, const api::Usage& usage) const {
  out += R"(],"usage":)";
  append_usage(out, usage);
  out += '}';
}

void AnswerWriter::append_end(std::string& out, const api::Usage& usage) const {
  if (options_.include_usage) {
    begin_event(out);
    out += R"(],"usage":)";
    append_usage(out, usage);
    out += "}\n\n";
  }
  out += "data: [DONE]\n\n";
}

void AnswerWriter::append_token_ids(std::string& out, const std::vector<api::TokenId>& ids) const {
  if (!options_.token_ids) return;
  out += R"(,"token_ids":)";
  append_ids(out, ids);
}

void AnswerWriter::append_prompt_ids(std::string& out, size_t prompt) const {
  if (prompt >= prompt_ids_.size()) return;
  out += R"(,"prompt_token_ids":)";
  append_ids(out, prompt_ids_[prompt]);
}

void AnswerWriter::append_finish(std::string& out, const std::optional<api::FinishReason>& finish) {
  out += R"(,"finish_reason":)";
  if (finish) {
    append_json_string(out, api::finish_reason_name(*finish));
  } else {
    out += "null";
  }
}

void append_error_event(std::string& out, std::string_view error_json) {
  out += "data: ";
  out += error_json;
  out += "\n\n";
}

std::string make_answer_id(std::string_view prefix) {
  static const uint64_t seed = uint64_t{std::random_device{}()} << 32 | std::random_device{}();
  static const uint64_t stream = uint64_t{std::random_device{}()} << 32 | std::random_device{}();
  static std::atomic<uint64_t> next{0};
  static constexpr char kHex[] = "0123456789abcdef";
  std::string id(prefix);
  for (const uint32_t word : philox4x32(seed, next.fetch_add(1, std::memory_order_relaxed), stream)) {
    for (int shift = 28; shift >= 0; shift -= 4) id += kHex[word >> shift & 15];
  }
  return id;
}

}  // namespace sluice::openai
