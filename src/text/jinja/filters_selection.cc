// Filters that apply other filters and tests to every item: map, select, reject and their attribute forms.

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja/filters.h"
#include "text/jinja/lookup.h"
#include "text/jinja/predicates.h"

namespace sluice::text::jinja {
namespace {

Result<Value> map_attribute(Budget& budget, const Items& items, Arguments arguments) {
  SLUICE_TRY(const BoundArguments bound,
             BoundArguments::bind("map", std::move(arguments), {"attribute", "default"}, 1));
  const AttributePath path{bound[0]};
  const Value fallback = bound.value_or(1, Value());
  Items mapped;
  for (const Value& item : items) {
    SLUICE_TRY(Value value, path.get(budget, item, &fallback));
    mapped.push_back(std::move(value));
  }
  return make_generator(std::move(mapped));
}

Result<Value> map_filter(Budget& budget, const Value& input, Arguments arguments) {
  if (!input.truth()) return make_generator({});
  const Budget::Level level(budget);
  SLUICE_RETURN_IF_ERROR(level.check());
  SLUICE_TRY(const Items items, iterate(budget, input));
  SLUICE_RETURN_IF_ERROR(budget.make_values(items.size()));
  const bool by_attribute =
      arguments.positional.empty() && std::any_of(arguments.named.begin(), arguments.named.end(),
                                                  [](const auto& argument) { return argument.first == "attribute"; });
  if (by_attribute) return map_attribute(budget, items, std::move(arguments));
  if (arguments.positional.empty()) return invalid_argument("map requires a filter argument");
  const Value name = arguments.positional.front();
  const FilterFunction filter = name.is_string() ? find_filter(name.text()) : nullptr;
  if (!filter) return invalid_argument(cat("map: there is no filter named ", name.is_string() ? name.text() : "so"));
  arguments.positional.erase(arguments.positional.begin());
  Items mapped;
  for (const Value& item : items) {
    SLUICE_TRY(Value value, filter(budget, item, arguments));
    mapped.push_back(std::move(value));
  }
  return make_generator(std::move(mapped));
}

// kByAttribute: the first argument names what is tested. kKeep: what passes stays, else what fails.
template <bool kByAttribute, bool kKeep>
Result<Value> selection(Budget& budget, const Value& input, Arguments arguments) {
  if (!input.truth()) return make_generator({});
  const Budget::Level level(budget);
  SLUICE_RETURN_IF_ERROR(level.check());
  SLUICE_TRY(const Items items, iterate(budget, input));
  SLUICE_RETURN_IF_ERROR(budget.make_values(items.size()));
  Value path_argument;
  if (kByAttribute) {
    if (arguments.positional.empty()) return invalid_argument("missing parameter for attribute name");
    path_argument = arguments.positional.front();
    arguments.positional.erase(arguments.positional.begin());
  }
  const AttributePath path{path_argument};
  Predicate predicate = nullptr;
  if (!arguments.positional.empty()) {
    const Value name = arguments.positional.front();
    predicate = name.is_string() ? find_predicate(name.text()) : nullptr;
    if (!predicate) return invalid_argument(cat("there is no test named ", name.is_string() ? name.text() : "so"));
    arguments.positional.erase(arguments.positional.begin());
  }
  Items kept;
  for (const Value& item : items) {
    SLUICE_TRY(const Value tested, path.get(budget, item));
    bool passes = tested.truth();
    if (predicate) {
      SLUICE_TRY(passes, predicate(budget, tested, arguments));
    }
    if (passes == kKeep) kept.push_back(item);
  }
  return make_generator(std::move(kept));
}

constexpr std::array kSelectionFilters = {
    NamedFilter{"map", map_filter},
    NamedFilter{"select", selection<false, true>},
    NamedFilter{"reject", selection<false, false>},
    NamedFilter{"selectattr", selection<true, true>},
    NamedFilter{"rejectattr", selection<true, false>},
};

}  // namespace

FilterFunction find_selection_filter(std::string_view name) {
  return find_named<FilterFunction>(kSelectionFilters, name);
}

}  // namespace sluice::text::jinja
