#pragma once
// Values as Python prints them: str(), repr(), and the shortest decimal text of a float.

#include <string>

#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

// repr(float): the shortest digits that read back as `number`; "1e+16", "inf", "nan".
std::string float_repr(double number);

// str(value): a string is itself, undefined is nothing, everything else as repr.
Result<std::string> print(Budget& budget, const Value& value);
// The same without a copy of a string's text.
void print_to(TextBuilder& out, const Value& value);
void repr_to(TextBuilder& out, const Value& value);

// At most about 60 bytes of repr(value), for messages.
std::string short_repr(const Value& value);

}  // namespace sluice::text::jinja
