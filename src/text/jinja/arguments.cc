#include "text/jinja/arguments.h"

#include <algorithm>

#include "base/strings.h"

namespace sluice::text::jinja {

Result<BoundArguments> BoundArguments::bind(std::string_view function, Arguments arguments,
                                            std::initializer_list<std::string_view> parameters, size_t required) {
  BoundArguments bound;
  bound.function_ = function;
  bound.names_.assign(parameters);
  bound.values_.resize(parameters.size());
  if (arguments.positional.size() > parameters.size()) {
    return type_error(cat(function, "() takes at most ", parameters.size(), " arguments, but ",
                          arguments.positional.size(), " were given"));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound.values_[i] = std::move(arguments.positional[i]);
  for (auto& [name, value] : arguments.named) {
    const auto parameter = std::find(bound.names_.begin(), bound.names_.end(), name);
    if (parameter == bound.names_.end()) {
      return type_error(cat(function, "() got an unexpected keyword argument '", name, "'"));
    }
    auto& slot = bound.values_[static_cast<size_t>(parameter - bound.names_.begin())];
    if (slot) return type_error(cat(function, "() got multiple values for argument '", name, "'"));
    slot = std::move(value);
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound.values_[i]) return type_error(cat(function, "() is missing its argument '", bound.names_[i], "'"));
  }
  return bound;
}

Result<int64_t> BoundArguments::integer_or(size_t parameter, int64_t fallback) const {
  if (!given(parameter)) return fallback;
  const Value& value = *values_[parameter];
  if (value.is_undefined()) return undefined_error(value);
  if (!value.is_integer()) {
    return type_error(cat(function_, "(): '", names_[parameter], "' must be an integer, not ", value.type()));
  }
  return value.integer();
}

Result<std::string> BoundArguments::text_or(size_t parameter, std::string_view fallback) const {
  if (!given(parameter)) return std::string(fallback);
  const Value& value = *values_[parameter];
  if (value.is_undefined()) return undefined_error(value);
  if (!value.is_string()) {
    return type_error(cat(function_, "(): '", names_[parameter], "' must be a string, not ", value.type()));
  }
  return value.text();
}

}  // namespace sluice::text::jinja
