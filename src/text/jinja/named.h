#pragma once
// What templates call by name: filters, tests.

#include <algorithm>
#include <string_view>

namespace sluice::text::jinja {

template <class Function>
struct Named {
  std::string_view name;
  Function function;
};

// Null when there is none of that name.
template <class Function, class Table>
Function find_named(const Table& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const auto& each) { return each.name == name; });
  return found == table.end() ? nullptr : found->function;
}

}  // namespace sluice::text::jinja
