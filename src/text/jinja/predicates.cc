#include "text/jinja/predicates.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/filters.h"
#include "text/jinja/lookup.h"
#include "text/jinja/methods.h"
#include "text/jinja/named.h"
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

Result<bool> has_case(Budget& budget, const Value& input, std::string_view method) {
  SLUICE_TRY(std::string text, print(budget, input));
  SLUICE_TRY(const Value result, find_text_method(method)(budget, Value(std::move(text)), {}));
  return result.truth();
}
Result<bool> is_lower_text(Budget& budget, const Value& input, Arguments) { return has_case(budget, input, "islower"); }
Result<bool> is_upper_text(Budget& budget, const Value& input, Arguments) { return has_case(budget, input, "isupper"); }

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

using NamedTest = Named<Predicate>;
constexpr std::array kPredicates = {
    NamedTest{"defined", plain<defined>},
    NamedTest{"undefined", plain<undefined>},
    NamedTest{"none", plain<none>},
    NamedTest{"string", plain<string>},
    NamedTest{"mapping", plain<mapping>},
    NamedTest{"iterable", plain<is_iterable>},
    NamedTest{"sequence", plain<sequence>},
    NamedTest{"number", plain<number>},
    NamedTest{"integer", plain<integer>},
    NamedTest{"float", plain<is_float>},
    NamedTest{"boolean", plain<boolean>},
    NamedTest{"true", plain<is_true>},
    NamedTest{"false", plain<is_false>},
    NamedTest{"callable", plain<is_callable>},
    NamedTest{"escaped", plain<escaped>},
    NamedTest{"odd", odd},
    NamedTest{"even", even},
    NamedTest{"divisibleby", divisible_by},
    NamedTest{"sameas", same_as},
    NamedTest{"lower", is_lower_text},
    NamedTest{"upper", is_upper_text},
    NamedTest{"filter", is_filter},
    NamedTest{"test", is_test},
    NamedTest{"in", compared<Comparison::kIn>},
    NamedTest{"==", compared<Comparison::kEqual>},
    NamedTest{"eq", compared<Comparison::kEqual>},
    NamedTest{"equalto", compared<Comparison::kEqual>},
    NamedTest{"!=", compared<Comparison::kNotEqual>},
    NamedTest{"ne", compared<Comparison::kNotEqual>},
    NamedTest{">", compared<Comparison::kGreater>},
    NamedTest{"gt", compared<Comparison::kGreater>},
    NamedTest{"greaterthan", compared<Comparison::kGreater>},
    NamedTest{">=", compared<Comparison::kGreaterEqual>},
    NamedTest{"ge", compared<Comparison::kGreaterEqual>},
    NamedTest{"<", compared<Comparison::kLess>},
    NamedTest{"lt", compared<Comparison::kLess>},
    NamedTest{"lessthan", compared<Comparison::kLess>},
    NamedTest{"<=", compared<Comparison::kLessEqual>},
    NamedTest{"le", compared<Comparison::kLessEqual>},
};

}  // namespace

Predicate find_predicate(std::string_view name) { return find_named<Predicate>(kPredicates, name); }

}  // namespace sluice::text::jinja
