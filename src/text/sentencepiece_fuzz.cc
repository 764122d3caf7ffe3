// Any bytes as tokenizer.model of SentencePiece: an Error, or a tokenizer that encodes.

#include "text/tokenizer_fuzz.h"
#include "text/tokenizer_loaders.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::text;
  try_parts(parts_from_sentencepiece({reinterpret_cast<const char*>(data), size}, {}), "");
  return 0;
}
