#pragma once
// The pre-tokenizers that GGUF files name in tokenizer.ggml.pre.

#include <string>
#include <string_view>
#include <vector>

namespace sluice::text {

struct PreRule {
  std::vector<std::string> patterns;  // applied one after the other, each isolating its matches
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
  bool nfc = false;
  bool escape_spaces = false;  // not byte-level: spaces are "▁", unknown characters <0x..> tokens
};

// Null for an unknown name.
const PreRule* find_pre_rule(std::string_view name);

}  // namespace sluice::text
