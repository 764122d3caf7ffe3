// tokenizer.json from outside, and a text to encode with it: any bytes give an Error or ids, never a crash.
// Input: the JSON, a NUL byte, the text.

#include <string_view>

#include "base/strings.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::text;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view json = input.substr(0, input.find('\0'));
  const std::string_view text = json.size() < size ? input.substr(json.size() + 1) : "The 12 foxes \xE2\x96\x81<s>";
  const auto made = Tokenizer::from_json(json);
  if (!made.ok()) {
    if (made.error().message.empty()) __builtin_trap();
    return 0;
  }
  const Tokenizer& tokenizer = **made;
  std::vector<TokenId> ids = tokenizer.encode(text);
  for (TokenId id : ids) {
    if (id < 0 || id >= tokenizer.vocab_size()) __builtin_trap();
    (void)tokenizer.token_bytes(id);
  }
  tokenizer.encode(text, {.add_special = false, .parse_special = false});
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (TokenId id : ids) streamed += stream.push(id);
  streamed += stream.flush();
  if (!sluice::utf8_valid(streamed)) __builtin_trap();
  (void)tokenizer.decode(ids, true);
  return 0;
}
