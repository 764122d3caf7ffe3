#include "text/jinja/evaluator.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/filters.h"
#include "text/jinja/globals.h"
#include "text/jinja/json_text.h"
#include "text/jinja/lookup.h"
#include "text/jinja/predicates.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

constexpr size_t kShownBytes = 100;  // of an expression, in messages
constexpr int kLevelsPerDepth = 5;   // a macro call passes through several nodes of the tree

std::string shown(std::string_view source, const Span& span) {
  const std::string_view text = source.substr(span.begin, span.end > span.begin ? span.end - span.begin : 0);
  std::string out(text.substr(0, utf8_complete_prefix(text.substr(0, kShownBytes))));
  std::replace(out.begin(), out.end(), '\n', ' ');
  return text.size() > kShownBytes ? out + "…" : out;
}

}  // namespace

Evaluator::Evaluator(const SyntaxTree& tree, const TemplateLimits& limits, const Json& variables)
    : tree_(tree),
      variables_(variables),
      budget_(limits),
      levels_max_(limits.depth_max * kLevelsPerDepth),
      root_(std::make_shared<Scope>(nullptr)),
      scope_(root_),
      globals_(tree.names.size()),
      globals_known_(tree.names.size(), false) {}

Evaluator::~Evaluator() {
  // What templates can tie into rings (a namespace in itself, a macro in the scope it sees) is untied here.
  for (const auto& space : namespaces_) space->clear();
  for (const auto& loop : loops_) loop->clear();
  for (const auto& scope : captured_) {
    scope->variables.clear();
    scope->parent.reset();
  }
}

Result<std::string> Evaluator::run() {
  SLUICE_TRY([[maybe_unused]] const Flow flow, exec(tree_.body));
  return std::move(output_);
}

Error Evaluator::raised(std::string message) {
  raised_ = true;
  return invalid_argument(std::move(message));
}

Error Evaluator::located(Error error, const Span& span) {
  if (located_) return error;
  located_ = true;
  const std::string expression = shown(tree_.source, span);
  error.message = raised_ ? cat(error.message, " (chat template line ", span.line, ", in '", expression, "')")
                          : cat("chat template line ", span.line, ": ", error.message, " (in '", expression, "')");
  return error;
}

Result<void> Evaluator::check_depth() const {
  if (levels_ <= levels_max_ && !stack_.exhausted()) return {};
  return Error{ErrorCode::kTooLarge, "expressions, blocks and calls are nested too deep", {}, {}};
}

Result<std::optional<Value>> Evaluator::lookup(Symbol symbol) {
  if (const Value* found = scope_->find(symbol)) return std::optional<Value>(*found);
  const auto i = static_cast<size_t>(symbol);
  if (!globals_known_[i]) {
    const Json* variable = json_find(variables_, tree_.names[i]);
    if (!variable) {
      globals_[i] = find_global(tree_.names[i]);
    } else {
      SLUICE_TRY(globals_[i], from_json(*variable));
    }
    globals_known_[i] = true;
  }
  return globals_[i];
}

Result<Value> Evaluator::eval(const Expression& expression) {
  const Levels level(levels_);
  Result<void> allowed = check_depth();
  if (allowed.ok()) allowed = budget_.step();
  if (!allowed.ok()) return located(std::move(allowed).error(), expression.span);
  Evaluated value = dispatch(expression);
  if (!value.ok()) return located(std::move(value).error(), expression.span);
  return value;
}

Result<Value> Evaluator::dispatch(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return static_cast<const Constant&>(expression).value;
    case ExpressionKind::kName:
      return eval_name(static_cast<const Name&>(expression));
    case ExpressionKind::kSequence:
      return eval_sequence(static_cast<const SequenceLiteral&>(expression));
    case ExpressionKind::kDict:
      return eval_dict(static_cast<const DictLiteral&>(expression));
    case ExpressionKind::kAttribute:
      return eval_attribute(static_cast<const Attribute&>(expression));
    case ExpressionKind::kItem:
      return eval_item(static_cast<const Item&>(expression));
    case ExpressionKind::kSlice:
      return eval_slice(static_cast<const Slice&>(expression));
    case ExpressionKind::kCall:
      return eval_call(static_cast<const Call&>(expression));
    case ExpressionKind::kFilter:
      return eval_filter(static_cast<const Filter&>(expression));
    case ExpressionKind::kTest:
      return eval_test(static_cast<const Test&>(expression));
    case ExpressionKind::kUnary:
      return eval_unary(static_cast<const Unary&>(expression));
    case ExpressionKind::kArithmetic:
      return eval_arithmetic(static_cast<const Arithmetic&>(expression));
    case ExpressionKind::kConcat:
      return eval_concat(static_cast<const Concat&>(expression));
    case ExpressionKind::kCompare:
      return eval_compare(static_cast<const Compare&>(expression));
    case ExpressionKind::kLogical:
      return eval_logical(static_cast<const Logical&>(expression));
    case ExpressionKind::kConditional:
      return eval_conditional(static_cast<const Conditional&>(expression));
    case ExpressionKind::kNot: {
      SLUICE_TRY(const bool truth, eval_truth(*static_cast<const Not&>(expression).operand));
      return Value(!truth);
    }
  }
  return Value();
}

Result<bool> Evaluator::eval_truth(const Expression& expression) {
  SLUICE_TRY(const Value value, eval(expression));
  return value.truth();
}

Result<Value> Evaluator::eval_name(const Name& node) {
  SLUICE_TRY(auto value, lookup(node.symbol));
  if (value) return std::move(*value);
  return make_undefined(cat("'", name(node.symbol), "' is undefined"));
}

Result<Value> Evaluator::eval_sequence(const SequenceLiteral& node) {
  SLUICE_RETURN_IF_ERROR(budget_.make_values(node.items.size()));
  Items items;
  items.reserve(node.items.size());
  for (const ExpressionPtr& item : node.items) {
    SLUICE_TRY(Value value, eval(*item));
    items.push_back(std::move(value));
  }
  return node.tuple ? make_tuple(std::move(items)) : make_list(std::move(items));
}

Result<Value> Evaluator::eval_dict(const DictLiteral& node) {
  SLUICE_RETURN_IF_ERROR(budget_.make_values(2 * node.items.size()));
  Dict dict;
  for (const auto& [key_node, value_node] : node.items) {
    SLUICE_TRY(Value key, eval(*key_node));
    SLUICE_TRY(Value value, eval(*value_node));
    if (!hashable(key)) return type_error(cat("unhashable type: '", key.type(), "'"));
    SLUICE_RETURN_IF_ERROR(budget_.step(key.extent().weight));
    dict.set(std::move(key), std::move(value));
  }
  return make_dict(std::move(dict));
}

Result<Value> Evaluator::eval_attribute(const Attribute& node) {
  SLUICE_TRY(const Value object, eval(*node.object));
  return get_attribute(budget_, object, node.name);
}

Result<Value> Evaluator::eval_item(const Item& node) {
  SLUICE_TRY(const Value object, eval(*node.object));
  SLUICE_TRY(const Value index, eval(*node.index));
  return get_item(budget_, object, index);
}

Result<Value> Evaluator::eval_slice(const Slice& node) {
  SLUICE_TRY(const Value object, eval(*node.object));
  SliceBounds bounds;
  if (node.start) {
    SLUICE_TRY(bounds.start, eval(*node.start));
  }
  if (node.stop) {
    SLUICE_TRY(bounds.stop, eval(*node.stop));
  }
  if (node.step) {
    SLUICE_TRY(bounds.step, eval(*node.step));
  }
  return get_slice(budget_, object, bounds);
}

Result<Arguments> Evaluator::eval_arguments(const CallArguments& nodes) {
  Arguments arguments;
  for (const ExpressionPtr& node : nodes.positional) {
    SLUICE_TRY(Value value, eval(*node));
    arguments.positional.push_back(std::move(value));
  }
  if (nodes.spread) {
    SLUICE_TRY(const Value rest, eval(*nodes.spread));
    SLUICE_TRY(const Items items, iterate(budget_, rest));
    SLUICE_RETURN_IF_ERROR(budget_.make_values(items.size()));
    arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
  }
  for (const auto& [key, node] : nodes.named) {
    SLUICE_TRY(Value value, eval(*node));
    arguments.named.emplace_back(key, std::move(value));
  }
  if (nodes.spread_named) {
    SLUICE_TRY(const Value rest, eval(*nodes.spread_named));
    if (!rest.is(Kind::kDict)) return type_error(cat("the argument after ** must be a mapping, not ", rest.type()));
    SLUICE_RETURN_IF_ERROR(budget_.make_values(rest.dict().size()));
    for (const auto& [key, value] : rest.dict().entries()) {
      if (!key.is_string()) return type_error("keywords must be strings");
      const bool twice = std::any_of(arguments.named.begin(), arguments.named.end(),
                                     [&](const auto& argument) { return argument.first == key.text(); });
      if (twice) return type_error(cat("got multiple values for keyword argument '", key.text(), "'"));
      arguments.named.emplace_back(key.text(), value);
      SLUICE_RETURN_IF_ERROR(budget_.step(static_cast<int64_t>(arguments.named.size() / 8)));
    }
  }
  return arguments;
}

Result<Value> Evaluator::eval_call(const Call& node, std::shared_ptr<Macro> caller) {
  SLUICE_TRY(const Value callee, eval(*node.callee));
  SLUICE_TRY(Arguments arguments, eval_arguments(node.arguments));
  if (caller) arguments.named.emplace_back("caller", Value(std::shared_ptr<Object>(std::move(caller))));
  if (callee.is_undefined()) return undefined_error(callee);
  if (!callee.is(Kind::kObject) || !callee.object()->callable()) {
    return type_error(cat("'", callee.type(), "' object is not callable"));
  }
  return static_cast<Callable&>(*callee.object()).call(*this, std::move(arguments));
}

Result<Value> Evaluator::apply_filter(const NamedOperation& operation, const Value& input) {
  const FilterFunction filter = find_filter(operation.name);
  if (!filter) return invalid_argument(cat("there is no filter named '", operation.name, "'"));
  SLUICE_TRY(Arguments arguments, eval_arguments(operation.arguments));
  return filter(budget_, input, std::move(arguments));
}

Result<Value> Evaluator::eval_filter(const Filter& node) {
  SLUICE_TRY(const Value input, eval(*node.input));
  return apply_filter(node.operation, input);
}

Result<Value> Evaluator::eval_test(const Test& node) {
  SLUICE_TRY(const Value input, eval(*node.input));
  const Predicate predicate = find_predicate(node.operation.name);
  if (!predicate) return invalid_argument(cat("there is no test named '", node.operation.name, "'"));
  SLUICE_TRY(Arguments arguments, eval_arguments(node.operation.arguments));
  SLUICE_TRY(const bool holds, predicate(budget_, input, std::move(arguments)));
  return Value(holds);
}

Result<Value> Evaluator::eval_unary(const Unary& node) {
  SLUICE_TRY(const Value operand, eval(*node.operand));
  return node.negate ? negate(operand) : plus(operand);
}

Result<Value> Evaluator::eval_arithmetic(const Arithmetic& node) {
  SLUICE_TRY(Value value, eval(*node.first));
  for (const auto& [op, operand] : node.rest) {
    SLUICE_TRY(const Value right, eval(*operand));
    SLUICE_TRY(value, arithmetic(budget_, op, value, right));
  }
  return value;
}

Result<Value> Evaluator::eval_concat(const Concat& node) {
  TextBuilder out(budget_);
  for (const ExpressionPtr& part : node.parts) {
    SLUICE_TRY(const Value value, eval(*part));
    print_to(out, value);
  }
  SLUICE_TRY(std::string text, out.take());
  return Value(std::move(text));
}

Result<Value> Evaluator::eval_compare(const Compare& node) {
  SLUICE_TRY(Value left, eval(*node.first));
  for (const auto& [comparison, operand] : node.rest) {
    SLUICE_TRY(Value right, eval(*operand));
    SLUICE_TRY(const bool holds, compare(budget_, comparison, left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Evaluator::eval_logical(const Logical& node) {
  Value value;
  for (const ExpressionPtr& operand : node.operands) {
    SLUICE_TRY(value, eval(*operand));
    if (value.truth() != node.conjunction) return value;
  }
  return value;
}

Result<Value> Evaluator::eval_conditional(const Conditional& node) {
  SLUICE_TRY(const bool condition, eval_truth(*node.condition));
  if (condition) return eval(*node.then);
  if (node.otherwise) return eval(*node.otherwise);
  return make_undefined("the inline if-expression evaluated to false and no else section was defined");
}

}  // namespace sluice::text::jinja
