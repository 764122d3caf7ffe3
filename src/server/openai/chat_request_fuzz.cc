// Any bytes as the body of every route: parsed or refused with a named error, never worse.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "server/openai/request.h"

namespace {

using namespace sluice;

template <class T>
void check(const Result<T>& parsed) {
  if (parsed.ok()) return;
  SLUICE_CHECK(parsed.error().code == ErrorCode::kInvalidArgument);
  SLUICE_CHECK(!parsed.error().message.empty() && !parsed.error().reason.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const openai::ParseOptions options;
  const auto body = openai::parse_body(std::string_view(reinterpret_cast<const char*>(data), size), options.limits);
  check(body);
  if (!body.ok()) return 0;
  const auto chat = openai::parse_chat_request(*body, options);
  check(chat);
  if (chat.ok()) {
    const auto& prompt = std::get<api::ChatPrompt>(chat->requests.front().prompt);
    for (const Json& message : *prompt.messages)
      SLUICE_CHECK(message["content"].is_string() && message["role"].is_string());
  }
  check(openai::parse_completion_request(*body, options));
  check(openai::parse_embedding_request(*body, options));
  check(openai::parse_tokenize_request(*body, options));
  check(openai::parse_detokenize_request(*body, options));
  check(openai::parse_template_request(*body, options));
  check(openai::parse_infer_request(*body, true, options));
  check(openai::parse_infer_request(*body, false, options));
  return 0;
}
