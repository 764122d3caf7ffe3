// The vocabulary of a GGUF file from outside: an Error, or a tokenizer that encodes. Input: the kind ("llama", "gpt2",
// "bert", "t5"), the name of its way of cutting text, the map of characters, a text, then one token after another, each
// with its type and score in two bytes before it; "+" as type: a merge. All parted by NUL bytes.

#include "text/tokenizer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::text;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  GgufVocabulary vocabulary;
  vocabulary.model = next_part(input);
  vocabulary.pre = next_part(input);
  vocabulary.precompiled_charsmap = next_part(input);
  const std::string_view text = next_part(input);
  while (!input.empty()) {
    const std::string_view entry = next_part(input);
    if (entry.starts_with('+')) {
      vocabulary.merges.emplace_back(entry.substr(1));
      continue;
    }
    vocabulary.types.push_back(entry.empty() ? 1 : entry[0] - '0');
    vocabulary.scores.push_back(entry.size() < 2 ? 0.0f : static_cast<float>(entry[1]));
    vocabulary.tokens.emplace_back(entry.substr(std::min<size_t>(entry.size(), 2)));
  }
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  vocabulary.unk = 0;
  try_tokenizer(Tokenizer::from_gguf(std::move(vocabulary)), text);
  return 0;
}
