#include "text/jinja/arithmetic.h"

#include <cmath>

#include "base/strings.h"
#include "text/jinja/format.h"
#include "text/jinja/lookup.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

std::string_view name_of(ArithmeticOperator op) {
  switch (op) {
    case ArithmeticOperator::kAdd:
      return "+";
    case ArithmeticOperator::kSub:
      return "-";
    case ArithmeticOperator::kMul:
      return "*";
    case ArithmeticOperator::kDiv:
      return "/";
    case ArithmeticOperator::kFloorDiv:
      return "//";
    case ArithmeticOperator::kMod:
      return "%";
    case ArithmeticOperator::kPow:
      return "**";
  }
  return "?";
}

Error overflow() { return invalid_argument("the result does not fit in a 64-bit integer"); }
Error zero_division() { return invalid_argument("division by zero"); }

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return zero_division();
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value(result);
}

Result<Value> integer_arithmetic(ArithmeticOperator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case ArithmeticOperator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return overflow();
      return Value(result);
    case ArithmeticOperator::kSub:
      if (__builtin_sub_overflow(a, b, &result)) return overflow();
      return Value(result);
    case ArithmeticOperator::kMul:
      if (__builtin_mul_overflow(a, b, &result)) return overflow();
      return Value(result);
    case ArithmeticOperator::kDiv:
      if (b == 0) return zero_division();
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case ArithmeticOperator::kFloorDiv:
    case ArithmeticOperator::kMod: {
      if (b == 0) return zero_division();
      if (b == -1) return op == ArithmeticOperator::kMod ? Result<Value>(Value(int64_t{0})) : negate(Value(a));
      const bool away = a % b != 0 && (a % b < 0) != (b < 0);
      if (op == ArithmeticOperator::kMod) return Value(a % b + (away ? b : 0));
      return Value(a / b - (away ? 1 : 0));
    }
    case ArithmeticOperator::kPow:
      return integer_power(a, b);
  }
  return overflow();
}

Result<Value> float_arithmetic(ArithmeticOperator op, double a, double b) {
  switch (op) {
    case ArithmeticOperator::kAdd:
      return Value(a + b);
    case ArithmeticOperator::kSub:
      return Value(a - b);
    case ArithmeticOperator::kMul:
      return Value(a * b);
    case ArithmeticOperator::kDiv:
      if (b == 0) return zero_division();
      return Value(a / b);
    case ArithmeticOperator::kFloorDiv:
    case ArithmeticOperator::kMod: {
      // CPython's float_divmod.
      if (b == 0) return zero_division();
      double mod = std::fmod(a, b);
      double div = (a - mod) / b;
      if (mod != 0) {
        if ((b < 0) != (mod < 0)) {
          mod += b;
          div -= 1;
        }
      } else {
        mod = std::copysign(0.0, b);
      }
      if (op == ArithmeticOperator::kMod) return Value(mod);
      if (div == 0) return Value(std::copysign(0.0, a / b));
      const double floored = std::floor(div);
      return Value(div - floored > 0.5 ? floored + 1 : floored);
    }
    case ArithmeticOperator::kPow: {
      if (a == 0 && b < 0) return zero_division();
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) {
        return invalid_argument("a negative number to a fractional power is not supported");
      }
      const double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) return invalid_argument("the power is too large");
      return Value(result);
    }
  }
  return zero_division();
}

Result<Value> join_texts(Budget& budget, const Value& left, const Value& right) {
  if (left.is_markup() == right.is_markup()) {
    SLUICE_RETURN_IF_ERROR(budget.make_text(left.text().size() + right.text().size()));
    return Value(left.text() + right.text(), left.is_markup());
  }
  SLUICE_TRY(const std::string a, as_markup(budget, left));
  SLUICE_TRY(const std::string b, as_markup(budget, right));
  SLUICE_RETURN_IF_ERROR(budget.make_text(a.size() + b.size()));
  return Value(a + b, true);
}

Result<Value> join_items(Budget& budget, const Value& left, const Value& right) {
  SLUICE_RETURN_IF_ERROR(budget.make_values(left.items().size() + right.items().size()));
  Items items = left.items();
  items.insert(items.end(), right.items().begin(), right.items().end());
  return left.is(Kind::kList) ? make_list(std::move(items)) : make_tuple(std::move(items));
}

Result<Value> repeat(Budget& budget, const Value& value, int64_t count) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  if (value.is_string()) {
    TextBuilder out(budget);
    out.repeat(times, value.text());
    SLUICE_TRY(std::string text, out.take());
    return Value(std::move(text), value.is_markup());
  }
  const size_t size = value.items().size();
  size_t total = 0;
  if (__builtin_mul_overflow(size, times, &total)) total = SIZE_MAX / 4;
  SLUICE_RETURN_IF_ERROR(budget.make_values(std::min(total, size_t{1} << 60)));
  Items items;
  items.reserve(total);
  for (size_t i = 0; i < times && size > 0; ++i) items.insert(items.end(), value.items().begin(), value.items().end());
  return value.is(Kind::kList) ? make_list(std::move(items)) : make_tuple(std::move(items));
}

bool repeatable(const Value& value) { return value.is_string() || value.is_sequence(); }

Result<bool> ordered(Comparison comparison, const Value& left, const Value& right) {
  switch (comparison) {
    case Comparison::kLess:
      return less(left, right, "<");
    case Comparison::kGreater:
      return less(right, left, ">");
    case Comparison::kLessEqual:
    case Comparison::kGreaterEqual: {
      const bool up = comparison == Comparison::kLessEqual;
      SLUICE_TRY(const bool before, up ? less(left, right, "<=") : less(right, left, ">="));
      return before || equal(left, right);
    }
    default:
      return false;
  }
}

}  // namespace

Result<Value> arithmetic(Budget& budget, ArithmeticOperator op, const Value& left, const Value& right) {
  if (op == ArithmeticOperator::kMod && left.is_string()) return percent_format(budget, left, right);
  if (left.is_undefined()) return undefined_error(left);
  if (right.is_undefined()) return undefined_error(right);
  if (left.is_integer() && right.is_integer()) return integer_arithmetic(op, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return float_arithmetic(op, left.number(), right.number());
  if (op == ArithmeticOperator::kAdd) {
    if (left.is_string() && right.is_string()) return join_texts(budget, left, right);
    if (left.is_sequence() && left.kind() == right.kind()) return join_items(budget, left, right);
    if (left.is_string()) {
      return type_error(cat("can only concatenate str (not \"", right.type(), "\") to str; '~' joins any values"));
    }
  }
  if (op == ArithmeticOperator::kMul && repeatable(left) && right.is_integer()) {
    return repeat(budget, left, right.integer());
  }
  if (op == ArithmeticOperator::kMul && repeatable(right) && left.is_integer()) {
    return repeat(budget, right, left.integer());
  }
  return type_error(
      cat("unsupported operand types for ", name_of(op), ": '", left.type(), "' and '", right.type(), "'"));
}

Result<Value> negate(const Value& value) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is(Kind::kFloat)) return Value(-value.number());
  if (!value.is_integer()) return type_error(cat("bad operand type for unary -: '", value.type(), "'"));
  if (value.integer() == INT64_MIN) return overflow();
  return Value(-value.integer());
}

Result<Value> plus(const Value& value) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is(Kind::kFloat)) return value;
  if (!value.is_integer()) return type_error(cat("bad operand type for unary +: '", value.type(), "'"));
  return Value(value.integer());
}

Result<bool> compare(Budget& budget, Comparison comparison, const Value& left, const Value& right) {
  if (comparison == Comparison::kIn) return contains(budget, right, left);
  if (comparison == Comparison::kNotIn) {
    SLUICE_TRY(const bool found, contains(budget, right, left));
    return !found;
  }
  SLUICE_RETURN_IF_ERROR(budget.step(std::min(left.extent().weight, right.extent().weight)));
  if (comparison == Comparison::kEqual) return equal(left, right);
  if (comparison == Comparison::kNotEqual) return !equal(left, right);
  return ordered(comparison, left, right);
}

Result<std::string> escape_html(Budget& budget, std::string_view text) {
  TextBuilder out(budget);
  for (size_t i = 0; i < text.size();) {
    const size_t next = std::min(text.find_first_of("&<>'\"", i), text.size());
    out.append(text.substr(i, next - i));
    if (next == text.size()) break;
    switch (text[next]) {
      case '&':
        out.append("&amp;");
        break;
      case '<':
        out.append("&lt;");
        break;
      case '>':
        out.append("&gt;");
        break;
      case '\'':
        out.append("&#39;");
        break;
      default:
        out.append("&#34;");
        break;
    }
    i = next + 1;
  }
  return out.take();
}

Result<std::string> as_markup(Budget& budget, const Value& value) {
  if (value.is_markup()) return value.text();
  SLUICE_TRY(const std::string text, print(budget, value));
  return escape_html(budget, text);
}

}  // namespace sluice::text::jinja
