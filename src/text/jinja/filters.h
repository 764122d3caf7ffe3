#pragma once
// Jinja2's filters by name, with transformers' tojson.

#include <string_view>

#include "base/result.h"
#include "text/jinja/arguments.h"
#include "text/jinja/budget.h"
#include "text/jinja/named.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

using FilterFunction = Result<Value> (*)(Budget& budget, const Value& input, Arguments arguments);
using NamedFilter = Named<FilterFunction>;

// Null when there is none of that name.
FilterFunction find_filter(std::string_view name);
FilterFunction find_text_filter(std::string_view name);
FilterFunction find_sequence_filter(std::string_view name);
FilterFunction find_selection_filter(std::string_view name);

}  // namespace sluice::text::jinja
