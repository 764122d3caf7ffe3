#pragma once
// Python's two ways of formatting: "%05.2f" % value and "{:>10}".format(value).

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/arguments.h"
#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

// format % argument; markup escapes what it takes in.
Result<Value> percent_format(Budget& budget, const Value& format, const Value& argument);
// format.format(*positional, **named); markup escapes likewise.
Result<Value> brace_format(Budget& budget, const Value& format, const Arguments& arguments);

// Where and how wide a value is printed: [[fill]align][sign][#][0][width][,|_][.precision][type].
struct FormatSpec {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '=' or 0: the type's own
  char sign = '-';
  bool alternate = false;
  size_t width = 0;
  char grouping = 0;
  int precision = -1;  // −1: not given
  char type = 0;
};

// A number's digits and sign without padding: types d b o x X c e E f F g G % and 0 (as str() would).
Result<std::string> format_number(const FormatSpec& spec, const Value& value);
// Text padded to the width. A numeric text has its sign before zeros of '=' alignment.
Result<std::string> pad(Budget& budget, const FormatSpec& spec, std::string text, char default_align);

}  // namespace sluice::text::jinja
