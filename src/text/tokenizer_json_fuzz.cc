// tokenizer.json from outside, and a text to encode with it: any bytes give an Error or ids, never a crash.
// Input: the JSON, a NUL byte, the text.

#include "text/tokenizer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::text;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view json = next_part(input);
  try_tokenizer(Tokenizer::from_json(json), input);
  return 0;
}
