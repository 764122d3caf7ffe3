#include "text/jinja/methods.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/strings.h"
#include "text/jinja/callable.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/lookup.h"

namespace sluice::text::jinja {
namespace {

using Bound = BoundArguments;

class BoundMethod : public Callable {
 public:
  BoundMethod(Value self, std::string_view name, Method method)
      : self_(std::move(self)), name_(name), method_(method) {}
  std::string_view type() const override { return "builtin_function_or_method"; }
  void repr(TextBuilder& out) const override {
    out.append(cat("<built-in method ", name_, " of ", self_.type(), " object>"));
  }
  Result<Value> call(Evaluator& evaluator, Arguments arguments) override {
    return method_(evaluator.budget(), self_, std::move(arguments));
  }

 private:
  Value self_;
  std::string name_;
  Method method_;
};

Result<Value> items_count(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("count", std::move(arguments), {"value"}, 1));
  SLUICE_RETURN_IF_ERROR(budget.step(self.extent().weight));
  const Items& items = self.items();
  return Value(static_cast<int64_t>(
      std::count_if(items.begin(), items.end(), [&](const Value& item) { return equal(item, bound[0]); })));
}

Result<Value> items_index(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("index", std::move(arguments), {"value", "start", "stop"}, 1));
  SLUICE_RETURN_IF_ERROR(budget.step(self.extent().weight));
  const auto size = static_cast<int64_t>(self.items().size());
  SLUICE_TRY(int64_t start, bound.integer_or(1, 0));
  SLUICE_TRY(int64_t stop, bound.integer_or(2, size));
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  for (int64_t i = start; i < std::min(stop, size); ++i) {
    if (equal(self.items()[static_cast<size_t>(i)], bound[0])) return Value(i);
  }
  return invalid_argument("value is not in the list");
}

// The place in a range, or −1.
int64_t place_in(const Range& range, const Value& value) {
  if (!value.is_number() || value.number() != std::floor(value.number())) return -1;
  const double place = (value.number() - static_cast<double>(range.start)) / static_cast<double>(range.step);
  return place >= 0 && place < static_cast<double>(range.size()) && place == std::floor(place)
             ? static_cast<int64_t>(place)
             : -1;
}

Result<Value> range_count(Budget&, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("count", std::move(arguments), {"value"}, 1));
  return Value(int64_t{place_in(self.range(), bound[0]) >= 0});
}

Result<Value> range_index(Budget&, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("index", std::move(arguments), {"value"}, 1));
  const int64_t place = place_in(self.range(), bound[0]);
  return place < 0 ? Result<Value>(invalid_argument("value is not in range")) : Result<Value>(Value(place));
}

Result<Value> list_copy(Budget&, const Value& self, Arguments) { return make_list(self.items()); }
Result<Value> dict_copy(Budget&, const Value& self, Arguments) { return make_dict(self.dict()); }

Result<Value> dict_get(Budget& budget, const Value& self, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("get", std::move(arguments), {"key", "default"}, 1));
  if (!hashable(bound[0])) return type_error(cat("unhashable type: '", bound[0].type(), "'"));
  SLUICE_RETURN_IF_ERROR(budget.step(bound[0].extent().weight));
  if (const Value* found = self.dict().find(bound[0])) return *found;
  return bound.value_or(1, Value());
}

template <View::Part kPart>
Result<Value> dict_view(Budget&, const Value& self, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const auto none, Bound::bind("items", std::move(arguments), {}));
  return Value(View{kPart, self.shared_dict()});
}

Result<Value> dict_fromkeys(Budget& budget, const Value&, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("fromkeys", std::move(arguments), {"iterable", "value"}, 1));
  SLUICE_TRY(Items keys, iterate(budget, bound[0]));
  Dict dict;
  for (Value& key : keys) {
    if (!hashable(key)) return type_error(cat("unhashable type: '", key.type(), "'"));
    SLUICE_RETURN_IF_ERROR(budget.step(key.extent().weight));
    dict.set(std::move(key), bound.value_or(1, Value()));
  }
  return make_dict(std::move(dict));
}

Result<Value> float_is_integer(Budget&, const Value& self, Arguments) {
  return Value(std::isfinite(self.number()) && self.number() == std::floor(self.number()));
}

Result<Value> integer_bit_length(Budget&, const Value& self, Arguments) {
  uint64_t magnitude =
      self.integer() < 0 ? uint64_t{0} - static_cast<uint64_t>(self.integer()) : static_cast<uint64_t>(self.integer());
  int64_t bits = 0;
  for (; magnitude != 0; magnitude >>= 1) ++bits;
  return Value(bits);
}

Method find_plain(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      return find_text_method(name);
    case Kind::kList:
    case Kind::kTuple:
      if (name == "count") return items_count;
      if (name == "index") return items_index;
      return name == "copy" && object.is(Kind::kList) ? list_copy : nullptr;
    case Kind::kRange:
      if (name == "count") return range_count;
      return name == "index" ? range_index : nullptr;
    case Kind::kDict:
      if (name == "get") return dict_get;
      if (name == "items") return dict_view<View::Part::kItems>;
      if (name == "keys") return dict_view<View::Part::kKeys>;
      if (name == "values") return dict_view<View::Part::kValues>;
      if (name == "copy") return dict_copy;
      return name == "fromkeys" ? dict_fromkeys : nullptr;
    case Kind::kFloat:
      return name == "is_integer" ? float_is_integer : nullptr;
    case Kind::kInt:
    case Kind::kBool:
      return name == "bit_length" ? integer_bit_length : nullptr;
    default:
      return nullptr;
  }
}

bool changes_object(const Value& object, std::string_view name) {
  constexpr std::array<std::string_view, 8> kList = {"append", "clear", "pop",    "reverse",
                                                     "insert", "sort",  "extend", "remove"};
  constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.is(Kind::kList)) return std::find(kList.begin(), kList.end(), name) != kList.end();
  return object.is(Kind::kDict) && std::find(kDict.begin(), kDict.end(), name) != kDict.end();
}

}  // namespace

std::optional<Value> find_method(const Value& object, std::string_view name) {
  if (const Method method = find_plain(object, name)) {
    return Value(std::make_shared<BoundMethod>(object, name, method));
  }
  if (!changes_object(object, name)) return std::nullopt;
  return make_undefined(cat("access to attribute '", name, "' of '", object.type(),
                            "' object is unsafe: a template may not change lists and dicts; join new ones with + or "
                            "keep state in a namespace"));
}

}  // namespace sluice::text::jinja
