#include "text/jinja/lookup.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "text/jinja/characters.h"
#include "text/jinja/methods.h"

namespace sluice::text::jinja {
namespace {

Result<Value> view_item(const View& view, const Dict::Entry& entry) {
  if (view.part == View::Part::kKeys) return entry.first;
  if (view.part == View::Part::kValues) return entry.second;
  return make_tuple({entry.first, entry.second});
}

Result<Items> characters_of(Budget& budget, const std::string& text) {
  Items items;
  SLUICE_RETURN_IF_ERROR(budget.make_values(character_count(text)));
  for (size_t i = 0; i < text.size();) {
    const size_t size = character_at(text, i).length;
    items.emplace_back(std::string_view(text).substr(i, size));
    i += size;
  }
  return items;
}

// A start or stop moved into [low, high], negative ones counted from the end.
Result<int64_t> slice_bound(const Value& value, int64_t size, int64_t fallback, int64_t low, int64_t high) {
  if (value.is_none()) return fallback;
  if (value.is_undefined()) return undefined_error(value);
  if (!value.is_integer()) return type_error(cat("slice indices must be integers or none, not ", value.type()));
  int64_t index = value.integer();
  if (index < 0) index += size;
  return std::clamp(index, low, high);
}

Result<Range> slice_range(const SliceBounds& bounds, int64_t size) {
  Range range;
  if (!bounds.step.is_none()) {
    if (bounds.step.is_undefined()) return undefined_error(bounds.step);
    if (!bounds.step.is_integer()) return type_error("slice indices must be integers or none");
    range.step = bounds.step.integer();
    if (range.step == 0) return invalid_argument("slice step cannot be zero");
  }
  const bool forward = range.step > 0;
  const int64_t low = forward ? 0 : -1;
  const int64_t high = forward ? size : size - 1;
  SLUICE_TRY(range.start, slice_bound(bounds.start, size, forward ? 0 : size - 1, low, high));
  SLUICE_TRY(range.stop, slice_bound(bounds.stop, size, forward ? size : -1, low, high));
  return range;
}

Result<Value> slice_text(Budget& budget, const Value& object, const SliceBounds& bounds) {
  const std::string& text = object.text();
  SLUICE_RETURN_IF_ERROR(budget.scan(text.size()));
  const bool ascii = is_ascii(text);
  SLUICE_TRY(const Range range, slice_range(bounds, static_cast<int64_t>(ascii ? text.size() : character_count(text))));
  const auto count = static_cast<size_t>(range.size());
  const auto start = static_cast<size_t>(std::max<int64_t>(range.start, 0));
  std::string out;
  if (range.step == 1) {
    const size_t begin = ascii ? start : byte_offset(text, start);
    const std::string_view rest = std::string_view(text).substr(begin);
    out = rest.substr(0, ascii ? count : byte_offset(rest, count));
  } else {
    SLUICE_RETURN_IF_ERROR(budget.make_values(count));
    std::vector<size_t> offsets;
    for (size_t i = 0; i < text.size(); i += character_at(text, i).length) offsets.push_back(i);
    for (int64_t i = 0; i < range.size(); ++i) {
      const size_t offset = offsets[static_cast<size_t>(range.at(i))];
      out += std::string_view(text).substr(offset, character_at(text, offset).length);
    }
  }
  SLUICE_RETURN_IF_ERROR(budget.make_text(out.size()));
  return Value(std::move(out), object.is_markup());
}

// object[index] for a sequence; nullopt past either end or for a type without positions.
std::optional<Value> item_at(const Value& object, int64_t index) {
  const std::optional<int64_t> size = length(object);
  if (!size) return std::nullopt;
  if (index < 0) index += *size;
  if (index < 0 || index >= *size) return std::nullopt;
  switch (object.kind()) {
    case Kind::kList:
    case Kind::kTuple:
      return object.items()[static_cast<size_t>(index)];
    case Kind::kRange:
      return Value(object.range().at(index));
    case Kind::kString: {
      const std::string& text = object.text();
      const size_t begin = byte_offset(text, static_cast<size_t>(index));
      return Value(std::string(first_character(std::string_view(text).substr(begin))), object.is_markup());
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

bool iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kObject:
      return false;
    default:
      return true;
  }
}

std::optional<int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(character_count(value.text()));
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().size());
    case Kind::kView:
      return static_cast<int64_t>(value.view().dict->size());
    case Kind::kRange:
      return value.range().size();
    default:
      return std::nullopt;
  }
}

Result<Items> iterate(Budget& budget, const Value& value) {
  Items items;
  switch (value.kind()) {
    case Kind::kUndefined:
      return items;
    case Kind::kString:
      return characters_of(budget, value.text());
    case Kind::kList:
    case Kind::kTuple:
      SLUICE_RETURN_IF_ERROR(budget.step(static_cast<int64_t>(value.items().size() / 8)));
      return value.items();
    case Kind::kDict:
      SLUICE_RETURN_IF_ERROR(budget.make_values(value.dict().size()));
      for (const auto& entry : value.dict().entries()) items.push_back(entry.first);
      return items;
    case Kind::kView:
      SLUICE_RETURN_IF_ERROR(budget.make_values(value.view().dict->size()));
      for (const auto& entry : value.view().dict->entries()) {
        SLUICE_TRY(Value item, view_item(value.view(), entry));
        items.push_back(std::move(item));
      }
      return items;
    case Kind::kRange:
      SLUICE_RETURN_IF_ERROR(budget.make_values(static_cast<size_t>(value.range().size())));
      for (int64_t i = 0; i < value.range().size(); ++i) items.emplace_back(value.range().at(i));
      return items;
    case Kind::kGenerator: {
      Generator& generator = value.generator();
      SLUICE_RETURN_IF_ERROR(budget.step(static_cast<int64_t>(generator.items.size() / 8)));
      items.assign(generator.items.begin() + static_cast<std::ptrdiff_t>(generator.next), generator.items.end());
      generator.next = generator.items.size();
      return items;
    }
    default:
      return type_error(cat("'", value.type(), "' object is not iterable"));
  }
}

std::optional<Value> own_attribute(const Value& object, std::string_view name) {
  if (object.is(Kind::kObject)) return object.object()->attribute(name);
  if (object.is(Kind::kTuple) && object.tuple().group) {
    if (name == "grouper") return object.items()[0];
    if (name == "list") return object.items()[1];
  }
  if (object.is_number() && name == "real") return object.is(Kind::kBool) ? Value(object.integer()) : object;
  if (object.is_number() && name == "imag") return object.is(Kind::kFloat) ? Value(0.0) : Value(int64_t{0});
  if (object.is(Kind::kRange)) {
    if (name == "start") return Value(object.range().start);
    if (name == "stop") return Value(object.range().stop);
    if (name == "step") return Value(object.range().step);
  }
  return find_method(object, name);
}

Result<Value> get_attribute(Budget& budget, const Value& object, std::string_view name) {
  if (object.is_undefined()) return undefined_error(object);
  if (auto attribute = own_attribute(object, name)) return std::move(*attribute);
  if (object.is(Kind::kDict)) {
    SLUICE_RETURN_IF_ERROR(budget.step());
    if (const Value* item = object.dict().find(name)) return *item;
  }
  return missing_key(object, Value(name));
}

Result<Value> get_item(Budget& budget, const Value& object, const Value& key) {
  if (object.is_undefined()) return undefined_error(object);
  if (object.is(Kind::kDict) && hashable(key)) {
    SLUICE_RETURN_IF_ERROR(budget.step(key.extent().weight));
    if (const Value* item = object.dict().find(key)) return *item;
  } else if (key.is_integer()) {
    if (object.is_string()) SLUICE_RETURN_IF_ERROR(budget.scan(object.text().size()));
    if (auto item = item_at(object, key.integer())) return std::move(*item);
  }
  if (key.is_string()) {
    if (auto attribute = own_attribute(object, key.text())) return std::move(*attribute);
  }
  return missing_key(object, key);
}

Result<Value> get_slice(Budget& budget, const Value& object, const SliceBounds& bounds) {
  if (object.is_undefined()) return undefined_error(object);
  if (object.is_string()) return slice_text(budget, object, bounds);
  if (object.is(Kind::kRange)) {
    const Range& range = object.range();
    SLUICE_TRY(const Range part, slice_range(bounds, range.size()));
    const auto step = static_cast<uint64_t>(range.step) * static_cast<uint64_t>(part.step);
    return Value(Range{range.at(part.start), range.at(part.stop), static_cast<int64_t>(step)});
  }
  if (!object.is_sequence()) return type_error(cat("'", object.type(), "' object cannot be sliced"));
  SLUICE_TRY(const Range range, slice_range(bounds, static_cast<int64_t>(object.items().size())));
  SLUICE_RETURN_IF_ERROR(budget.make_values(static_cast<size_t>(range.size())));
  Items items;
  for (int64_t i = 0; i < range.size(); ++i) items.push_back(object.items()[static_cast<size_t>(range.at(i))]);
  return object.is(Kind::kList) ? make_list(std::move(items)) : make_tuple(std::move(items));
}

Result<bool> contains(Budget& budget, const Value& container, const Value& item) {
  SLUICE_RETURN_IF_ERROR(budget.step(container.extent().weight));
  if (container.is_string()) {
    if (!item.is_string()) return type_error(cat("'in <string>' requires string as left operand, not ", item.type()));
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.is(Kind::kDict)) {
    if (!hashable(item)) return type_error(cat("unhashable type: '", item.type(), "'"));
    return container.dict().find(item) != nullptr;
  }
  if (container.is_sequence()) {
    return std::any_of(container.items().begin(), container.items().end(),
                       [&](const Value& other) { return equal(other, item); });
  }
  if (container.is(Kind::kRange) && item.is_integer()) {
    const Range& range = container.range();
    const int64_t size = range.size();
    const int64_t first = std::min(range.start, range.at(size - 1));
    const int64_t last = std::max(range.start, range.at(size - 1));
    const uint64_t stride =
        range.step < 0 ? uint64_t{0} - static_cast<uint64_t>(range.step) : static_cast<uint64_t>(range.step);
    return size > 0 && item.integer() >= first && item.integer() <= last &&
           (static_cast<uint64_t>(item.integer()) - static_cast<uint64_t>(first)) % stride == 0;
  }
  if (!iterable(container)) return type_error(cat("argument of type '", container.type(), "' is not iterable"));
  SLUICE_TRY(const Items items, iterate(budget, container));
  return std::any_of(items.begin(), items.end(), [&](const Value& other) { return equal(other, item); });
}

AttributePath::AttributePath(const Value& path) {
  if (path.is_none()) return;
  if (!path.is_string()) {
    parts_.push_back(path);
    return;
  }
  for (const std::string& part : split(path.text(), '.')) {
    int64_t index = 0;
    const auto result = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool digits =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (digits && result.ec == std::errc{}) {
      parts_.emplace_back(index);
    } else {
      parts_.emplace_back(part);
    }
  }
}

Result<Value> AttributePath::get(Budget& budget, const Value& object, const Value* fallback) const {
  Value value = object;
  for (const Value& part : parts_) {
    SLUICE_TRY(value, get_item(budget, value, part));
    if (fallback && !fallback->is_none() && value.is_undefined()) value = *fallback;
  }
  return value;
}

}  // namespace sluice::text::jinja
