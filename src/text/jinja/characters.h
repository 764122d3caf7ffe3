#pragma once
// Python's view of text on UTF-8 bytes: lengths and positions in code points, white space, letters, case.
// Bytes that are not UTF-8 count as one character each and are passed through; nothing here fails.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::text::jinja {

// The character at `text[position]` (position < size) and its length in bytes.
struct Character {
  char32_t code = 0;
  size_t length = 1;
};
Character character_at(std::string_view text, size_t position);
std::string_view first_character(std::string_view text);
void append_character(std::string& out, char32_t code);

bool is_ascii(std::string_view text);
size_t character_count(std::string_view text);
// Byte offset of character `index`; text.size() when there are not so many.
size_t byte_offset(std::string_view text, size_t index);

bool is_space(char32_t code);  // str.isspace, \s
size_t leading_space_length(std::string_view text);
size_t trailing_space_length(std::string_view text);
size_t identifier_length(std::string_view text);

bool is_letter(char32_t code);   // str.isalpha
bool is_decimal(char32_t code);  // str.isdecimal
bool is_digit(char32_t code);    // str.isdigit
bool is_numeric(char32_t code);  // str.isnumeric
bool is_lower(char32_t code);
bool is_upper(char32_t code);
bool is_printable(char32_t code);  // str.isprintable

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string fold_case(std::string_view text);  // str.casefold
std::string capitalize(std::string_view text);
std::string title_case(std::string_view text);  // str.title
std::string swap_case(std::string_view text);

}  // namespace sluice::text::jinja
