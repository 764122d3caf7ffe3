#pragma once
// The arguments of a call, and how they meet a function's parameters (as in Python: by position, then by name).

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

struct Arguments {
  Items positional;
  std::vector<std::pair<std::string, Value>> named;

  bool empty() const { return positional.empty() && named.empty(); }
};

class BoundArguments {
 public:
  // `function` is for messages. The first `required` parameters must be given.
  static Result<BoundArguments> bind(std::string_view function, Arguments arguments,
                                     std::initializer_list<std::string_view> parameters, size_t required = 0);

  bool given(size_t parameter) const { return values_[parameter].has_value(); }
  // Given and not none.
  bool some(size_t parameter) const { return given(parameter) && !values_[parameter]->is_none(); }
  const Value& operator[](size_t parameter) const { return *values_[parameter]; }
  Value value_or(size_t parameter, Value fallback) const {
    return given(parameter) ? *values_[parameter] : std::move(fallback);
  }
  bool truth_or(size_t parameter, bool fallback) const {
    return given(parameter) ? values_[parameter]->truth() : fallback;
  }
  Result<int64_t> integer_or(size_t parameter, int64_t fallback) const;
  Result<std::string> text_or(size_t parameter, std::string_view fallback) const;

 private:
  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace sluice::text::jinja
