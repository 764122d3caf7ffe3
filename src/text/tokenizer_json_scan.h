#pragma once
// JsonCursor: reads a JSON text in one pass without building a tree; for the large arrays of a tokenizer.json.
// Every function leaves the cursor behind what it read, or returns false and keeps the place of the fault for error().

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::text {

class JsonCursor {
 public:
  // `text` is UTF-8 and must outlive the cursor.
  explicit JsonCursor(std::string_view text) : text_(text) {}

  bool take(char c);  // white space, then exactly `c`
  bool at(char c);    // white space, then looks whether `c` comes
  bool done();        // only white space is left
  // A string. The view is into the text or, with escapes in it, into `scratch`.
  bool string(std::string& scratch, std::string_view* out);
  bool integer(int64_t* out);
  bool number(double* out);
  bool skip_value();  // any value; nesting is counted, what is inside is checked only so far as to find its end

  size_t offset() const { return at_; }
  Error error(std::string_view expected) const;

 private:
  void white_space();
  bool escape(std::string& out);
  bool hex4(uint32_t* out);

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace sluice::text
