#pragma once
// The operators of the language on values, as Python defines them, except that integers end at 64 bits (an error).

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

Result<Value> arithmetic(Budget& budget, ArithmeticOperator op, const Value& left, const Value& right);
Result<Value> negate(const Value& value);
Result<Value> plus(const Value& value);
Result<bool> compare(Budget& budget, Comparison comparison, const Value& left, const Value& right);

// Text escaped for HTML, as markupsafe does.
Result<std::string> escape_html(Budget& budget, std::string_view text);
// `value` as Markup holds it: markup as it is, anything else printed and escaped.
Result<std::string> as_markup(Budget& budget, const Value& value);

}  // namespace sluice::text::jinja
