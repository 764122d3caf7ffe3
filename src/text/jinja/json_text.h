#pragma once
// Between template values and JSON: the caller's variables in, tojson's text out.

#include "base/json.h"
#include "base/result.h"
#include "text/jinja/arguments.h"
#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

// kTooLarge for JSON nested past kNestingMax; integers past int64 become floats.
Result<Value> from_json(const Json& json);

// The filter as transformers defines it: json.dumps(input, ensure_ascii=False, indent, separators, sort_keys).
Result<Value> to_json(Budget& budget, const Value& input, Arguments arguments);

}  // namespace sluice::text::jinja
