// A quantisation config's pattern and a name: an Error, or an answer. Input: the pattern, a NUL byte, the name.

#include "checkpoint/name_pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view pattern = input.substr(0, input.find('\0'));
  const auto compiled = sluice::checkpoint::NamePattern::compile(pattern);
  if (!compiled.ok()) return 0;
  (void)compiled->matches("model.layers.11.self_attn.q_proj");
  if (pattern.size() < size) (void)compiled->matches(input.substr(pattern.size() + 1));
  return 0;
}
