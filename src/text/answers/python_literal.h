#pragma once
// Python's literals (strings, numbers, True, None, lists, tuples, dicts) read into JSON text, for models that write
// calls as Python does. A text that ends too early is told from one that is wrong.

#include <string>
#include <string_view>

namespace sluice::text::answers {

struct PythonRead {
  enum class Outcome { kValue, kMore, kBad };
  Outcome outcome = Outcome::kBad;
  size_t end = 0;  // behind what was read
};

// One literal at `at`; its JSON is appended to `json`. JSON's own true, false and null are taken too. At a text's end a
// number or a word counts as complete.
PythonRead read_python_literal(std::string_view text, size_t at, std::string& json);

// A name with dots ("brave_search.call"); kBad when none begins at `at`.
PythonRead read_python_name(std::string_view text, size_t at);

// "(key=literal, …)" at `at` as a JSON object. Positional arguments are kBad.
PythonRead read_python_arguments(std::string_view text, size_t at, std::string& json);

}  // namespace sluice::text::answers
