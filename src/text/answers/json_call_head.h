#pragma once
// Reads the head of a call written as a JSON object: {"name": "f", "arguments": {…}}.

#include <string>
#include <string_view>

namespace sluice::text::answers {

struct JsonCallHead {
  enum class Outcome { kMore, kBad, kArguments, kWhole };
  Outcome outcome = Outcome::kBad;
  size_t end = 0;  // kArguments: where their object begins; kWhole: behind the call's object
  std::string name;
  std::string id;
  std::string arguments;  // of kWhole
  std::string open;       // of kArguments: the brackets of the call's own objects
};

// `text` begins with "{". The name comes before the arguments, or both are whole; arguments stand under "arguments" or
// "parameters", as an object or as a string that holds one; the object may be wrapped as {"type": "function",
// "function": {…}}. `strict`: nothing but such members, and arguments among them, as in text that no marker calls a
// call.
JsonCallHead read_json_call_head(std::string_view text, bool strict);

}  // namespace sluice::text::answers
