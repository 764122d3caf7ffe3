#pragma once
// Jinja2's tests: what may stand after "is".

#include <string_view>

#include "base/result.h"
#include "text/jinja/arguments.h"
#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

using Predicate = Result<bool> (*)(Budget& budget, const Value& input, Arguments arguments);

// Null when there is none of that name.
Predicate find_predicate(std::string_view name);

}  // namespace sluice::text::jinja
