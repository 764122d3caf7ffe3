#pragma once
// The functions every template sees: range, dict, namespace, cycler, joiner, raise_exception, strftime_now.

#include <optional>
#include <string_view>

#include "text/jinja/value.h"

namespace sluice::text::jinja {

std::optional<Value> find_global(std::string_view name);

}  // namespace sluice::text::jinja
