#pragma once
// A value of the template language: what Python objects are to Jinja2. Cheap to copy (contents are shared).
// Strings, lists, tuples and dicts never change once made, as in Jinja2's immutable sandbox; only namespaces, loop
// objects, cyclers, joiners and generators do. One render uses its values from one thread.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace sluice::text::jinja {

class TextBuilder;
class Value;
using Items = std::vector<Value>;

// In the order of Value's alternatives.
enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,
  kRange,
  kGenerator,
  kObject,
};

// Lists and dicts inside each other may nest this deep; so walking or freeing a value never exhausts the stack.
inline constexpr int kNestingMax = 200;

// How large a container is, all that is inside it counted as often as it appears: what walking it costs.
struct Extent {
  int depth = 1;
  int64_t weight = 1;    // values, and one more for every 64 bytes of text; saturates
  bool hashable = true;  // as a tuple: everything inside can be hashed
  void add(const Value& item);
};

struct Undefined {
  std::shared_ptr<const std::string> message;  // what using it says: "'x' is undefined"
};
struct None {};
struct String {
  std::string text;
  bool markup = false;  // marked safe: joins with plain strings by escaping them, as markupsafe's Markup
};
struct List {
  Items items;
  Extent extent;
};
struct Tuple {
  Items items;
  Extent extent;
  bool group = false;  // from groupby: items 0 and 1 are also .grouper and .list
};
class Dict;
// What dict.items(), .keys() and .values() give.
struct View {
  enum class Part : uint8_t { kItems, kKeys, kValues } part = Part::kItems;
  std::shared_ptr<const Dict> dict;
};
struct Range {
  int64_t start = 0, stop = 0, step = 1;
  int64_t size() const;
  // Unsigned inside: one past the last element may not fit.
  int64_t at(int64_t index) const {
    return static_cast<int64_t>(static_cast<uint64_t>(start) +
                                static_cast<uint64_t>(index) * static_cast<uint64_t>(step));
  }
};
// An iterator that can be walked once: what map, select, items, … give.
struct Generator {
  Items items;
  size_t next = 0;
  Extent extent;
  std::string_view type = "generator";
};

// Namespaces, loops, macros, functions, bound methods.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type() const = 0;
  // nullopt: no such attribute.
  virtual std::optional<Value> attribute(std::string_view name);
  virtual bool callable() const { return false; }
  virtual void repr(TextBuilder& out) const;  // "<type object>" unless Python says something else
};

class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const String>,
                               std::shared_ptr<const List>, std::shared_ptr<const Tuple>, std::shared_ptr<const Dict>,
                               View, Range, std::shared_ptr<Generator>, std::shared_ptr<Object>>;

  Value() : storage_(None{}) {}
  Value(None) : storage_(None{}) {}                                  // NOLINT: values convert from what they hold
  Value(bool b) : storage_(b) {}                                     // NOLINT
  Value(int64_t i) : storage_(i) {}                                  // NOLINT
  Value(double d) : storage_(d) {}                                   // NOLINT
  Value(std::string text) : Value(std::move(text), false) {}         // NOLINT
  Value(std::string_view text) : Value(std::string(text), false) {}  // NOLINT
  Value(const char* text) : Value(std::string(text), false) {}       // NOLINT
  Value(std::string text, bool markup) : storage_(std::make_shared<const String>(String{std::move(text), markup})) {}
  Value(Undefined undefined) : storage_(std::move(undefined)) {}                   // NOLINT
  Value(std::shared_ptr<const Dict> dict) : storage_(std::move(dict)) {}           // NOLINT
  Value(View view) : storage_(std::move(view)) {}                                  // NOLINT
  Value(Range range) : storage_(range) {}                                          // NOLINT
  Value(std::shared_ptr<Object> object) : storage_(std::move(object)) {}           // NOLINT
  Value(std::shared_ptr<const List> list) : storage_(std::move(list)) {}           // NOLINT
  Value(std::shared_ptr<const Tuple> tuple) : storage_(std::move(tuple)) {}        // NOLINT
  Value(std::shared_ptr<Generator> generator) : storage_(std::move(generator)) {}  // NOLINT

  Kind kind() const { return static_cast<Kind>(storage_.index()); }
  bool is(Kind kind_wanted) const { return kind() == kind_wanted; }
  bool is_undefined() const { return is(Kind::kUndefined); }
  bool is_none() const { return is(Kind::kNone); }
  bool is_string() const { return is(Kind::kString); }
  bool is_integer() const { return is(Kind::kInt) || is(Kind::kBool); }  // bool is an int in Python
  bool is_number() const { return is_integer() || is(Kind::kFloat); }

  // Each is to be called on its kind only.
  bool boolean() const { return *std::get_if<bool>(&storage_); }
  int64_t integer() const { return is(Kind::kBool) ? (boolean() ? 1 : 0) : *std::get_if<int64_t>(&storage_); }
  double number() const { return is(Kind::kFloat) ? *std::get_if<double>(&storage_) : static_cast<double>(integer()); }
  const std::string& text() const { return (*std::get_if<std::shared_ptr<const String>>(&storage_))->text; }
  const Items& items() const {
    return is(Kind::kList) ? (*std::get_if<std::shared_ptr<const List>>(&storage_))->items : tuple().items;
  }
  const Tuple& tuple() const { return **std::get_if<std::shared_ptr<const Tuple>>(&storage_); }
  const Dict& dict() const { return **std::get_if<std::shared_ptr<const Dict>>(&storage_); }
  const std::shared_ptr<const Dict>& shared_dict() const {
    return *std::get_if<std::shared_ptr<const Dict>>(&storage_);
  }
  const View& view() const { return *std::get_if<View>(&storage_); }
  const Range& range() const { return *std::get_if<Range>(&storage_); }
  Generator& generator() const { return **std::get_if<std::shared_ptr<Generator>>(&storage_); }
  const std::shared_ptr<Object>& object() const { return *std::get_if<std::shared_ptr<Object>>(&storage_); }
  const Undefined& undefined() const { return *std::get_if<Undefined>(&storage_); }

  bool is_markup() const { return is_string() && (*std::get_if<std::shared_ptr<const String>>(&storage_))->markup; }
  bool is_sequence() const { return is(Kind::kList) || is(Kind::kTuple); }
  bool truth() const;
  Extent extent() const;                   // depth 0 for a scalar
  std::string_view type() const;           // Python's name of the type
  bool same_as(const Value& other) const;  // Python's `is`

 private:
  Storage storage_;
};

// Keeps insertion order; keys are hashable values, equal as in Python (1 == 1.0 == True).
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  // A key already there keeps its place and gets the new value. `key` is hashable.
  void set(Value key, Value value);

  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  const Extent& extent() const { return extent_; }

 private:
  ptrdiff_t position(const Value& key) const;
  void index(size_t entry);

  std::vector<Entry> entries_;
  std::unordered_multimap<size_t, uint32_t> index_;  // empty while there are few entries
  Extent extent_;
};

// Containers that respect kNestingMax: kTooLarge past it.
Result<Value> make_list(Items items);
Result<Value> make_tuple(Items items);
Result<Value> make_generator(Items items, std::string_view type = "generator");
Result<Value> make_dict(Dict dict);
Value make_undefined(std::string message);
// Undefined because `object` has no `key`, worded as Jinja2 words it.
Value missing_key(const Value& object, const Value& key);

bool hashable(const Value& value);
size_t hash_value(const Value& value);
bool equal(const Value& a, const Value& b);
// a < b as Python orders them; an error for types without order. `symbol` is for the message: "<".
Result<bool> less(const Value& a, const Value& b, std::string_view symbol = "<");

Error type_error(std::string message);
Error undefined_error(const Value& value);

}  // namespace sluice::text::jinja
