#pragma once
// Reaching into values: iteration, attributes, items, slices, membership, with Jinja2's rules for what comes first.

#include <string_view>

#include "base/result.h"
#include "text/jinja/arguments.h"
#include "text/jinja/budget.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

// iter(value): characters, items, keys. Undefined has none; a generator is used up.
Result<Items> iterate(Budget& budget, const Value& value);
bool iterable(const Value& value);
// len(value); nullopt for values without a length.
std::optional<int64_t> length(const Value& value);

// object.name: an attribute or method, else object["name"], else undefined.
Result<Value> get_attribute(Budget& budget, const Value& object, std::string_view name);
// object[key]: an item, else (for a string key) an attribute or method, else undefined.
Result<Value> get_item(Budget& budget, const Value& object, const Value& key);
// Attribute or method alone; nullopt when there is none of that name.
std::optional<Value> own_attribute(const Value& object, std::string_view name);

// The bounds of object[start:stop:step]; absent ones are none.
struct SliceBounds {
  Value start, stop, step;
};
Result<Value> get_slice(Budget& budget, const Value& object, const SliceBounds& bounds);

// `item in container`.
Result<bool> contains(Budget& budget, const Value& container, const Value& item);

// A path as filters take it ("a.b.0", or an integer), looked up item by item.
class AttributePath {
 public:
  // `path`: a string, an integer, or none for the value itself.
  explicit AttributePath(const Value& path);
  // Missing parts become `fallback` if one is given.
  Result<Value> get(Budget& budget, const Value& object, const Value* fallback = nullptr) const;

 private:
  Items parts_;
};

}  // namespace sluice::text::jinja
