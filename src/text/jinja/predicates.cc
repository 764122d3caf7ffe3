#include "text/jinja/predicates.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/filters.h"
#include "text/jinja/lookup.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

using Bound = BoundArguments;

// A test of the value alone.
template <bool (*kTest)(const Value&)>
Result<bool> plain(Budget&, const Value& input, Arguments arguments) {
  SLUICE_TRY([[maybe_unused]] const auto none, Bound::bind("test", std::move(arguments), {}));
  return kTest(input);
}

bool defined(const Value& v) { return !v.is_undefined(); }
bool undefined(const Value& v) { return v.is_undefined(); }
bool none(const Value& v) { return v.is_none(); }
bool boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.boolean(); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.boolean(); }
bool integer(const Value& v) { return v.is(Kind::kInt); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool number(const Value& v) { return v.is_number(); }
bool string(const Value& v) { return v.is_string(); }
bool mapping(const Value& v) { return v.is(Kind::kDict); }
bool escaped(const Value& v) { return v.is_markup(); }
// Whatever has a length and can be indexed; an undefined value has both for Python.
bool sequence(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_sequence() || v.is(Kind::kDict) || v.is(Kind::kRange);
}
bool is_callable(const Value& v) { return v.is_undefined() || (v.is(Kind::kObject) && v.object()->callable()); }
bool is_iterable(const Value& v) { return iterable(v) || (v.is(Kind::kObject) && v.type() == "LoopContext"); }

Result<bool> remainder_is(Budget& budget, const Value& input, const Value& divisor, int64_t wanted) {
  SLUICE_TRY(const Value rest, arithmetic(budget, ArithmeticOperator::kMod, input, divisor));
  return equal(rest, Value(wanted));
}
Result<bool> odd(Budget& budget, const Value& input, Arguments) {
  return remainder_is(budget, input, Value(int64_t{2}), 1);
}
Result<bool> even(Budget& budget, const Value& input, Arguments) {
  return remainder_is(budget, input, Value(int64_t{2}), 0);
}
Result<bool> divisible_by(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("divisibleby", std::move(arguments), {"num"}, 1));
  return remainder_is(budget, input, bound[0], 0);
}

template <Comparison kComparison>
Result<bool> compared(Budget& budget, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("test", std::move(arguments), {"other"}, 1));
  return compare(budget, kComparison, input, bound[0]);
}

Result<bool> same_as(Budget&, const Value& input, Arguments arguments) {
  SLUICE_TRY(const Bound bound, Bound::bind("sameas", std::move(arguments), {"other"}, 1));
  return input.same_as(bound[0]);
}

Result<bool> cased(Budget& budget, const Value& input, std::string_view method) {
  SLUICE_TRY(std::string text, print(budget, input));
  SLUICE_TRY(const Value result, find_text_method(method)(budget, Value(std::move(text)), {}));
  return result.truth();
}
Result<bool> lower(Budget& budget, const Value& input, Arguments) { return cased(budget, input, "islower"); }
Result<bool> upper(Budget& budget, const Value& input, Arguments) { return cased(budget, input, "isupper"); }

Result<void> as_name(const Value& input) {
  if (hashable(input)) return {};
  return type_error(cat("unhashable type: '", input.type(), "'"));
}
Result<bool> is_filter(Budget&, const Value& input, Arguments) {
  SLUICE_RETURN_IF_ERROR(as_name(input));
  return input.is_string() && find_filter(input.text()) != nullptr;
}
Result<bool> is_test(Budget&, const Value& input, Arguments) {
  SLUICE_RETURN_IF_ERROR(as_name(input));
  return input.is_string() && find_predicate(input.text()) != nullptr;
}

struct Entry {
  std::string_view name;
  Predicate predicate;
};
constexpr std::array kPredicates = {
    Entry{"defined", plain<defined>},
    Entry{"undefined", plain<undefined>},
    Entry{"none", plain<none>},
    Entry{"string", plain<string>},
    Entry{"mapping", plain<mapping>},
    Entry{"iterable", plain<is_iterable>},
    Entry{"sequence", plain<sequence>},
    Entry{"number", plain<number>},
    Entry{"integer", plain<integer>},
    Entry{"float", plain<is_float>},
    Entry{"boolean", plain<boolean>},
    Entry{"true", plain<is_true>},
    Entry{"false", plain<is_false>},
    Entry{"callable", plain<is_callable>},
    Entry{"escaped", plain<escaped>},
    Entry{"odd", odd},
    Entry{"even", even},
    Entry{"divisibleby", divisible_by},
    Entry{"sameas", same_as},
    Entry{"lower", lower},
    Entry{"upper", upper},
    Entry{"filter", is_filter},
    Entry{"test", is_test},
    Entry{"in", compared<Comparison::kIn>},
    Entry{"==", compared<Comparison::kEqual>},
    Entry{"eq", compared<Comparison::kEqual>},
    Entry{"equalto", compared<Comparison::kEqual>},
    Entry{"!=", compared<Comparison::kNotEqual>},
    Entry{"ne", compared<Comparison::kNotEqual>},
    Entry{">", compared<Comparison::kGreater>},
    Entry{"gt", compared<Comparison::kGreater>},
    Entry{"greaterthan", compared<Comparison::kGreater>},
    Entry{">=", compared<Comparison::kGreaterEqual>},
    Entry{"ge", compared<Comparison::kGreaterEqual>},
    Entry{"<", compared<Comparison::kLess>},
    Entry{"lt", compared<Comparison::kLess>},
    Entry{"lessthan", compared<Comparison::kLess>},
    Entry{"<=", compared<Comparison::kLessEqual>},
    Entry{"le", compared<Comparison::kLessEqual>},
};

}  // namespace

Predicate find_predicate(std::string_view name) {
  const auto* found =
      std::find_if(kPredicates.begin(), kPredicates.end(), [&](const Entry& e) { return e.name == name; });
  return found == kPredicates.end() ? nullptr : found->predicate;
}

}  // namespace sluice::text::jinja
