// The older files of a vocabulary from outside. Input, parted by NUL bytes: the class of tokenizer_config.json, which
// begins with the kind of file (t: tiktoken; w: vocab.txt; else vocab.json and merges.txt), the file or both, a text.

#include "text/tokenizer_fuzz.h"
#include "text/tokenizer_loaders.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::text;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string_view name = next_part(input);
  const char kind = name.empty() ? 'v' : name[0];
  if (!name.empty()) name.remove_prefix(1);
  const TokenizerConfig config = {.tokenizer_class = std::string(name), .bos = "<s>", .eos = "</s>", .add_bos = true};
  const std::string_view first = next_part(input);
  if (kind == 't') {
    try_parts(parts_from_tiktoken(first, config), input);
  } else if (kind == 'w') {
    try_parts(parts_from_word_list(first, config), input);
  } else {
    const std::string_view merges = next_part(input);
    try_parts(parts_from_vocab_merges(first, merges, config), input);
  }
  return 0;
}
