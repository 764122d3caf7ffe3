// Filters on sequences: order, extremes, pieces.

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/characters.h"
#include "text/jinja/filters.h"
#include "text/jinja/lookup.h"
#include "text/jinja/print.h"
#include "text/jinja/stable_order.h"

namespace sluice::text::jinja {
namespace {

using Bound = BoundArguments;

Value ignore_case(Value value) {
  return value.is_string() ? Value(to_lower(value.text()), value.is_markup()) : std::move(value);
}

// An item beside what it is ordered by.
struct Keyed {
  Value key;
  Value item;
};

Result<std::vector<Keyed>> with_keys(Budget& budget, Items items, const AttributePath& path, bool case_sensitive,
                                     const Value* fallback = nullptr) {
  SLUICE_RETURN_IF_ERROR(budget.make_values(items.size()));
  std::vector<Keyed> keyed;
  keyed.reserve(items.size());
  for (Value& item : items) {
    SLUICE_TRY(Value key, path.get(budget, item, fallback));
    SLUICE_RETURN_IF_ERROR(budget.step(key.extent().weight));
    keyed.push_back({case_sensitive ? std::move(key) : ignore_case(std::move(key)), std::move(item)});
  }
  return keyed;
}

// Stable; an error when two keys have no order. Keys that are equal need none if `equal_first` (Python compares the
// items of lists so, and the filter sort makes a list of each item's keys).
Result<void> sort_keyed(Budget& budget, std::vector<Keyed>& keyed, bool reverse, bool equal_first = false) {
  return stable_order(keyed, [&](const Keyed& a, const Keyed& b) -> Result<bool> {
    SLUICE_RETURN_IF_ERROR(budget.step(1 + std::min(a.key.extent().weight, b.key.extent().weight)));
    if (equal_first && equal(a.key, b.key)) return false;
    return reverse ? less(b.key, a.key) : less(a.key, b.key);
  });
}

Result<bool> reverse_argument(const Bound& bound, size_t parameter) {
  SLUICE_TRY(const int64_t reverse, bound.integer_or(parameter, 0));
  return reverse != 0;
}

Items items_of(std::vector<Keyed> keyed) {
  Items items;
  items.reserve(keyed.size());
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return items;
}

Result<Value> sort_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("sort", std::move(arguments), {"reverse", "case_sensitive", "attribute"}));
  const bool case_sensitive = bound.truth_or(1, false);
  SLUICE_TRY(const bool reverse, reverse_argument(bound, 0));
  SLUICE_TRY(Items items, iterate(budget, input));
  std::vector<AttributePath> paths;
  if (bound.given(2) && bound[2].is_string()) {
    for (const std::string& path : split(bound[2].text(), ',')) paths.emplace_back(Value(path));
  } else {
    paths.emplace_back(bound.value_or(2, Value()));
  }
  // Sorting by the last attribute first, then by the ones before it, gives the order by all of them.
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    SLUICE_TRY(auto keyed, with_keys(budget, std::move(items), *path, case_sensitive));
    SLUICE_RETURN_IF_ERROR(sort_keyed(budget, keyed, reverse, true));
    items = items_of(std::move(keyed));
  }
  return make_list(std::move(items));
}

Result<Value> dictsort(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("dictsort", std::move(arguments), {"case_sensitive", "by", "reverse"}));
  SLUICE_TRY(const std::string by, bound.text_or(1, "key"));
  if (by != "key" && by != "value")
    return invalid_argument("dictsort: you can only sort by either \"key\" or \"value\"");
  if (input.is_undefined()) return undefined_error(input);
  if (!input.is(Kind::kDict)) return type_error(cat("dictsort() takes a mapping, not ", input.type()));
  SLUICE_TRY(Items pairs, iterate(budget, Value(View{View::Part::kItems, input.shared_dict()})));
  const AttributePath path{Value(int64_t{by == "key" ? 0 : 1})};
  SLUICE_TRY(auto keyed, with_keys(budget, std::move(pairs), path, bound.truth_or(0, false)));
  SLUICE_TRY(const bool reverse, reverse_argument(bound, 2));
  SLUICE_RETURN_IF_ERROR(sort_keyed(budget, keyed, reverse));
  return make_list(items_of(std::move(keyed)));
}

Result<Value> unique(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("unique", std::move(arguments), {"case_sensitive", "attribute"}));
  SLUICE_TRY(Items items, iterate(budget, input));
  const AttributePath path{bound.value_or(1, Value())};
  SLUICE_TRY(auto keyed, with_keys(budget, std::move(items), path, bound.truth_or(0, false)));
  Dict seen;
  Items kept;
  for (Keyed& entry : keyed) {
    if (!hashable(entry.key)) return type_error(cat("unhashable type: '", entry.key.type(), "'"));
    if (seen.find(entry.key)) continue;
    seen.set(entry.key, Value());
    kept.push_back(std::move(entry.item));
  }
  return make_generator(std::move(kept));
}

template <bool kLargest>
Result<Value> extreme(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound,
             Bound::bind(kLargest ? "max" : "min", std::move(arguments), {"case_sensitive", "attribute"}));
  SLUICE_TRY(Items items, iterate(budget, input));
  if (items.empty()) return make_undefined("No aggregated item, sequence was empty.");
  const AttributePath path{bound.value_or(1, Value())};
  SLUICE_TRY(auto keyed, with_keys(budget, std::move(items), path, bound.truth_or(0, false)));
  size_t best = 0;
  for (size_t i = 1; i < keyed.size(); ++i) {
    SLUICE_TRY(const bool better,
               kLargest ? less(keyed[best].key, keyed[i].key, ">") : less(keyed[i].key, keyed[best].key));
    if (better) best = i;
  }
  return keyed[best].item;
}

Result<Value> sum(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("sum", std::move(arguments), {"attribute", "start"}));
  const AttributePath path{bound.value_or(0, Value())};
  Value total = bound.value_or(1, Value(int64_t{0}));
  if (total.is_string()) return type_error("sum() can't sum strings; use join");
  SLUICE_TRY(const Items items, iterate(budget, input));
  for (const Value& item : items) {
    SLUICE_TRY(const Value term, path.get(budget, item));
    SLUICE_TRY(total, arithmetic(budget, ArithmeticOperator::kAdd, total, term));
  }
  return total;
}

Result<Value> group_by(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound,
             Bound::bind("groupby", std::move(arguments), {"attribute", "default", "case_sensitive"}, 1));
  const AttributePath path{bound[0]};
  const Value fallback = bound.value_or(1, Value());
  const bool case_sensitive = bound.truth_or(2, false);
  SLUICE_TRY(Items items, iterate(budget, input));
  SLUICE_TRY(auto keyed, with_keys(budget, std::move(items), path, case_sensitive, &fallback));
  SLUICE_RETURN_IF_ERROR(sort_keyed(budget, keyed, false));
  Items groups;
  for (size_t i = 0; i < keyed.size();) {
    Items members;
    const Value key = keyed[i].key;
    SLUICE_TRY(const Value shown, path.get(budget, keyed[i].item, &fallback));
    for (; i < keyed.size() && equal(keyed[i].key, key); ++i) members.push_back(keyed[i].item);
    if (members.empty()) members.push_back(keyed[i++].item);  // a key that does not equal itself: NaN
    SLUICE_TRY(Value list, make_list(std::move(members)));
    SLUICE_TRY(const Value pair, make_tuple({shown, list}));
    groups.emplace_back(std::make_shared<const Tuple>(Tuple{pair.items(), pair.extent(), true}));
  }
  return make_list(std::move(groups));
}

Result<Value> first(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("first", std::move(arguments), {}));
  if (input.is_string()) {
    if (input.text().empty()) return make_undefined("No first item, sequence was empty.");
    return Value(first_character(input.text()));
  }
  if (input.is(Kind::kGenerator)) {
    Generator& generator = input.generator();
    if (generator.next < generator.items.size()) return generator.items[generator.next++];
    return make_undefined("No first item, sequence was empty.");
  }
  if (input.is_sequence() && !input.items().empty()) return input.items().front();
  SLUICE_TRY(const Items items, iterate(budget, input));
  if (items.empty()) return make_undefined("No first item, sequence was empty.");
  return items.front();
}

Result<Value> last(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("last", std::move(arguments), {}));
  if (input.is_undefined()) return undefined_error(input);
  if (input.is(Kind::kGenerator)) return type_error("'generator' object is not reversible; make a list of it first");
  if (input.is_sequence() && !input.items().empty()) return input.items().back();
  SLUICE_TRY(const Items items, iterate(budget, input));
  if (items.empty()) return make_undefined("No last item, sequence was empty.");
  return items.back();
}

Result<Value> list_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("list", std::move(arguments), {}));
  SLUICE_TRY(Items items, iterate(budget, input));
  SLUICE_RETURN_IF_ERROR(budget.make_values(items.size()));
  return make_list(std::move(items));
}

Result<Value> reverse_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const Bound none, Bound::bind("reverse", std::move(arguments), {}));
  if (input.is_string()) return get_slice(budget, input, {Value(), Value(), Value(int64_t{-1})});
  if (!iterable(input)) return type_error("reverse: argument must be iterable");
  SLUICE_TRY(Items items, iterate(budget, input));
  SLUICE_RETURN_IF_ERROR(budget.make_values(items.size()));
  std::reverse(items.begin(), items.end());
  if (input.is(Kind::kGenerator)) return make_list(std::move(items));
  return make_generator(std::move(items), "list_reverseiterator");
}

Result<Value> join_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("join", std::move(arguments), {"d", "attribute"}));
  SLUICE_TRY(const std::string separator, print(budget, bound.value_or(0, Value(""))));
  const AttributePath path{bound.value_or(1, Value())};
  SLUICE_TRY(const Items items, iterate(budget, input));
  TextBuilder out(budget);
  for (size_t i = 0; i < items.size() && !out.full(); ++i) {
    SLUICE_RETURN_IF_ERROR(budget.step());
    if (i > 0) out.append(separator);
    SLUICE_TRY(const Value item, path.get(budget, items[i]));
    print_to(out, item);
  }
  SLUICE_TRY(std::string text, out.take());
  return Value(std::move(text));
}

Result<Value> batch(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("batch", std::move(arguments), {"linecount", "fill_with"}, 1));
  SLUICE_TRY(const int64_t size, bound.integer_or(0, 1));
  SLUICE_TRY(const Items items, iterate(budget, input));
  SLUICE_RETURN_IF_ERROR(budget.make_values(items.size()));
  Items rows;
  Items row;
  for (const Value& item : items) {
    if (static_cast<int64_t>(row.size()) == size) {
      SLUICE_TRY(Value list, make_list(std::exchange(row, {})));
      rows.push_back(std::move(list));
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    if (bound.some(1) && size > static_cast<int64_t>(row.size())) {
      SLUICE_RETURN_IF_ERROR(budget.make_values(static_cast<size_t>(size)));
      row.resize(static_cast<size_t>(size), bound[1]);
    }
    SLUICE_TRY(Value list, make_list(std::move(row)));
    rows.push_back(std::move(list));
  }
  return make_generator(std::move(rows));
}

Result<Value> slice_filter(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("slice", std::move(arguments), {"slices", "fill_with"}, 1));
  SLUICE_TRY(const int64_t slices, bound.integer_or(0, 1));
  if (slices == 0) return invalid_argument("slice: the number of slices cannot be zero");
  SLUICE_TRY(const Items items, iterate(budget, input));
  if (slices < 0) return make_generator({});
  SLUICE_RETURN_IF_ERROR(budget.make_values(items.size() + 2 * static_cast<size_t>(slices)));
  const auto count = static_cast<size_t>(slices);
  const size_t per_slice = items.size() / count;
  const size_t with_extra = items.size() % count;
  Items rows;
  size_t begin = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t end = begin + per_slice + (i < with_extra ? 1 : 0);
    Items row(items.begin() + static_cast<std::ptrdiff_t>(begin), items.begin() + static_cast<std::ptrdiff_t>(end));
    if (bound.some(1) && i >= with_extra) row.push_back(bound[1]);
    SLUICE_TRY(Value list, make_list(std::move(row)));
    rows.push_back(std::move(list));
    begin = end;
  }
  return make_generator(std::move(rows));
}

constexpr std::array kSequenceFilters = {
    NamedFilter{"join", join_filter},
    NamedFilter{"first", first},
    NamedFilter{"last", last},
    NamedFilter{"list", list_filter},
    NamedFilter{"sort", sort_filter},
    NamedFilter{"dictsort", dictsort},
    NamedFilter{"unique", unique},
    NamedFilter{"reverse", reverse_filter},
    NamedFilter{"min", extreme<false>},
    NamedFilter{"max", extreme<true>},
    NamedFilter{"sum", sum},
    NamedFilter{"groupby", group_by},
    NamedFilter{"batch", batch},
    NamedFilter{"slice", slice_filter},
};

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
  return find_named<FilterFunction>(kSequenceFilters, name);
}

}  // namespace sluice::text::jinja
