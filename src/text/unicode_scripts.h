#pragma once
// What Hugging Face's pre-tokenizer UnicodeScripts tells apart.

#include <cstdint>

namespace sluice::text {

// Code points of different classes are cut apart; class 0 (the space and what has no script) goes with every other.
uint8_t script_class(char32_t c);

}  // namespace sluice::text
