#include "text/jinja/value.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "base/strings.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

constexpr size_t kIndexedFrom = 9;  // fewer entries are searched in order

constexpr int64_t kWeightMax = int64_t{1} << 40;

Extent extent_of(const Items& items) {
  Extent extent;
  for (const Value& item : items) extent.add(item);
  return extent;
}

Error nesting_error() {
  return {ErrorCode::kTooLarge, cat("lists and dicts are nested more than ", kNestingMax, " deep"), {}, {}};
}

// Compares an integer with a float exactly, where a double may not hold the integer.
std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() <=> b.integer();
  if (a.is(Kind::kFloat) && b.is(Kind::kFloat)) return a.number() <=> b.number();
  const bool flipped = a.is(Kind::kFloat);
  const int64_t integer = flipped ? b.integer() : a.integer();
  const double number = flipped ? a.number() : b.number();
  std::partial_ordering order = std::partial_ordering::unordered;
  if (std::isnan(number)) return order;
  if (number >= 9223372036854775808.0) {
    order = std::partial_ordering::less;
  } else if (number < -9223372036854775808.0) {
    order = std::partial_ordering::greater;
  } else {
    const auto whole = static_cast<int64_t>(number);
    order = integer <=> whole;
    if (order == 0) order = 0.0 <=> (number - static_cast<double>(whole));
  }
  return flipped ? 0 <=> order : order;
}

bool equal_items(const Items& a, const Items& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const Dict::Entry& entry) {
    const Value* other = b.find(entry.first);
    return other && equal(entry.second, *other);
  });
}

bool equal_ranges(const Range& a, const Range& b) {
  const int64_t size = a.size();
  if (size != b.size()) return false;
  return size == 0 || (a.start == b.start && (size == 1 || a.step == b.step));
}

Result<bool> less_items(const Items& a, const Items& b, std::string_view symbol) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (!equal(a[i], b[i])) return less(a[i], b[i], symbol);
  }
  return a.size() < b.size();
}

}  // namespace

void Extent::add(const Value& item) {
  const Extent inner = item.extent();
  depth = std::max(depth, inner.depth + 1);
  weight = std::min(weight + inner.weight, kWeightMax);
  hashable = hashable && jinja::hashable(item);
}

int64_t Range::size() const {
  // Unsigned arithmetic: stop − start may not fit in int64.
  if (step > 0 && start < stop) {
    const uint64_t span = static_cast<uint64_t>(stop) - static_cast<uint64_t>(start);
    return static_cast<int64_t>(std::min<uint64_t>((span - 1) / static_cast<uint64_t>(step) + 1, INT64_MAX));
  }
  if (step < 0 && start > stop) {
    const uint64_t span = static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
    return static_cast<int64_t>(
        std::min<uint64_t>((span - 1) / (uint64_t{0} - static_cast<uint64_t>(step)) + 1, INT64_MAX));
  }
  return 0;
}

std::optional<Value> Object::attribute(std::string_view) { return std::nullopt; }
void Object::repr(TextBuilder& out) const { out.append(cat("<", type(), " object>")); }

bool Value::truth() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return boolean();
    case Kind::kInt:
      return integer() != 0;
    case Kind::kFloat:
      return number() != 0.0;
    case Kind::kString:
      return !text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !items().empty();
    case Kind::kDict:
      return dict().size() != 0;
    case Kind::kView:
      return view().dict->size() != 0;
    case Kind::kRange:
      return range().size() != 0;
    case Kind::kGenerator:
    case Kind::kObject:
      return true;
  }
  return true;
}

Extent Value::extent() const {
  switch (kind()) {
    case Kind::kString:
      return {0, 1 + static_cast<int64_t>(text().size() / 64), true};
    case Kind::kList:
      return (*std::get_if<std::shared_ptr<const List>>(&storage_))->extent;
    case Kind::kTuple:
      return tuple().extent;
    case Kind::kDict:
      return dict().extent();
    case Kind::kView:
      return {view().dict->extent().depth + 1, view().dict->extent().weight, false};
    case Kind::kGenerator:
      return generator().extent;
    default:
      return {0, 1, true};
  }
}

std::string_view Value::type() const {
  constexpr std::array<std::string_view, 13> kNames = {"Undefined", "NoneType",  "bool",  "int",  "float",
                                                       "str",       "list",      "tuple", "dict", "dict_items",
                                                       "range",     "generator", "object"};
  if (is(Kind::kObject)) return object()->type();
  if (is(Kind::kGenerator)) return generator().type;
  if (is_markup()) return "Markup";
  if (is(Kind::kView) && view().part == View::Part::kKeys) return "dict_keys";
  if (is(Kind::kView) && view().part == View::Part::kValues) return "dict_values";
  return kNames[static_cast<size_t>(kind())];
}

bool Value::same_as(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kUndefined:
      return undefined().message == other.undefined().message;
    case Kind::kNone:
      return true;
    case Kind::kBool:
    case Kind::kInt:
      return integer() == other.integer();
    case Kind::kFloat:
      return number() == other.number();
    case Kind::kString:
      return text() == other.text() && is_markup() == other.is_markup();
    case Kind::kList:
    case Kind::kTuple:
      return &items() == &other.items();
    case Kind::kDict:
      return &dict() == &other.dict();
    case Kind::kView:
    case Kind::kRange:
      return false;
    case Kind::kGenerator:
      return &generator() == &other.generator();
    case Kind::kObject:
      return object() == other.object();
  }
  return false;
}

ptrdiff_t Dict::position(const Value& key) const {
  if (index_.empty()) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (equal(entries_[i].first, key)) return static_cast<ptrdiff_t>(i);
    }
    return -1;
  }
  const auto [begin, end] = index_.equal_range(hash_value(key));
  for (auto it = begin; it != end; ++it) {
    if (equal(entries_[it->second].first, key)) return it->second;
  }
  return -1;
}

void Dict::index(size_t entry) { index_.emplace(hash_value(entries_[entry].first), static_cast<uint32_t>(entry)); }

const Value* Dict::find(const Value& key) const {
  const ptrdiff_t found = position(key);
  return found < 0 ? nullptr : &entries_[static_cast<size_t>(found)].second;
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) return find(Value(key));
  for (const Entry& entry : entries_) {
    if (entry.first.is_string() && entry.first.text() == key) return &entry.second;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  extent_.add(key);
  extent_.add(value);
  const ptrdiff_t found = position(key);
  if (found >= 0) {
    entries_[static_cast<size_t>(found)].second = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() == kIndexedFrom) {
    for (size_t i = 0; i < entries_.size(); ++i) index(i);
  } else if (entries_.size() > kIndexedFrom) {
    index(entries_.size() - 1);
  }
}

Result<Value> make_list(Items items) {
  const Extent extent = extent_of(items);
  if (extent.depth > kNestingMax) return nesting_error();
  return Value(std::make_shared<const List>(List{std::move(items), extent}));
}

Result<Value> make_tuple(Items items) {
  const Extent extent = extent_of(items);
  if (extent.depth > kNestingMax) return nesting_error();
  return Value(std::make_shared<const Tuple>(Tuple{std::move(items), extent, false}));
}

Result<Value> make_generator(Items items, std::string_view type) {
  const Extent extent = extent_of(items);
  if (extent.depth > kNestingMax) return nesting_error();
  return Value(std::make_shared<Generator>(Generator{std::move(items), 0, extent, type}));
}

Result<Value> make_dict(Dict dict) {
  if (dict.extent().depth > kNestingMax) return nesting_error();
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

Value make_undefined(std::string message) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(message))});
}

Value missing_key(const Value& object, const Value& key) {
  const std::string owner = object.is_none() ? "None" : cat(object.type(), " object");
  if (key.is_string()) return make_undefined(cat("'", owner, "' has no attribute ", short_repr(key)));
  return make_undefined(cat(owner, " has no element ", short_repr(key)));
}

bool hashable(const Value& value) {
  switch (value.kind()) {
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
      return false;
    case Kind::kTuple:
      return value.extent().hashable;
    default:
      return true;
  }
}

size_t hash_value(const Value& value) {
  switch (value.kind()) {
    case Kind::kBool:
    case Kind::kInt:
      return std::hash<double>{}(value.number());
    case Kind::kFloat:
      return std::hash<double>{}(value.number());
    case Kind::kString:
      return std::hash<std::string>{}(value.text());
    case Kind::kTuple: {
      size_t hash = 1;
      for (const Value& item : value.items()) hash = hash * 1000003 + hash_value(item);
      return hash;
    }
    case Kind::kGenerator:
      return std::hash<const void*>{}(&value.generator());
    case Kind::kObject:
      return std::hash<const void*>{}(value.object().get());
    default:
      return static_cast<size_t>(value.kind());
  }
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return equal_items(a.items(), b.items());
    case Kind::kDict:
      return equal_dicts(a.dict(), b.dict());
    case Kind::kView:
      return a.view().part == b.view().part && equal_dicts(*a.view().dict, *b.view().dict);
    case Kind::kRange:
      return equal_ranges(a.range(), b.range());
    default:
      return a.same_as(b);
  }
}

Result<bool> less(const Value& a, const Value& b, std::string_view symbol) {
  if (a.is_undefined()) return undefined_error(a);
  if (b.is_undefined()) return undefined_error(b);
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) < 0;
  if (a.is_string() && b.is_string()) return a.text() < b.text();
  if (a.is_sequence() && a.kind() == b.kind()) return less_items(a.items(), b.items(), symbol);
  return type_error(cat("'", symbol, "' not supported between instances of '", a.type(), "' and '", b.type(), "'"));
}

Error type_error(std::string message) { return invalid_argument(std::move(message)); }

Error undefined_error(const Value& value) {
  const auto& message = value.undefined().message;
  return invalid_argument(message ? *message : "an undefined value is used");
}

}  // namespace sluice::text::jinja
