#pragma once
// The methods of strings, lists, tuples, dicts, ranges and numbers that templates may call. Those that would change
// their object are absent, as in Jinja2's immutable sandbox; using them says so.

#include <optional>
#include <string_view>

#include "base/result.h"
#include "text/jinja/arguments.h"
#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

using Method = Result<Value> (*)(Budget& budget, const Value& self, Arguments arguments);

// A callable bound to `object`, an undefined value that names the sandbox for a changing method, or nullopt.
std::optional<Value> find_method(const Value& object, std::string_view name);

Method find_text_method(std::string_view name);

}  // namespace sluice::text::jinja
