#include "text/jinja/name_check.h"

#include "base/strings.h"
#include "text/jinja/filters.h"
#include "text/jinja/predicates.h"

namespace sluice::text::jinja {
namespace {

// `soft`: an unknown name is forgiven until it is used.
Result<void> check(const Expression* expression, bool soft);

Result<void> check(const CallArguments& arguments, bool soft) {
  for (const auto& argument : arguments.positional) SLUICE_RETURN_IF_ERROR(check(argument.get(), soft));
  for (const auto& argument : arguments.named) SLUICE_RETURN_IF_ERROR(check(argument.second.get(), soft));
  SLUICE_RETURN_IF_ERROR(check(arguments.spread.get(), soft));
  return check(arguments.spread_named.get(), soft);
}

Result<void> check_operation(const NamedOperation& operation, bool is_filter, bool soft) {
  const bool known = is_filter ? find_filter(operation.name) != nullptr : find_predicate(operation.name) != nullptr;
  if (!known && !soft) {
    return corrupt_data(cat("chat template line ", operation.span.line, ": there is no ", is_filter ? "filter" : "test",
                            " named '", operation.name, "'"));
  }
  return check(operation.arguments, soft);
}

template <class List>
Result<void> check_all(const List& list, bool soft) {
  for (const auto& item : list) {
    if constexpr (requires { item.second; }) {
      SLUICE_RETURN_IF_ERROR(check(item.second.get(), soft));
    } else {
      SLUICE_RETURN_IF_ERROR(check(item.get(), soft));
    }
  }
  return {};
}

Result<void> check_operators(const Expression& expression, bool soft) {
  switch (expression.kind) {
    case ExpressionKind::kUnary:
      return check(static_cast<const Unary&>(expression).operand.get(), soft);
    case ExpressionKind::kNot:
      return check(static_cast<const Not&>(expression).operand.get(), soft);
    case ExpressionKind::kConcat:
      return check_all(static_cast<const Concat&>(expression).parts, soft);
    case ExpressionKind::kLogical:
      return check_all(static_cast<const Logical&>(expression).operands, soft);
    case ExpressionKind::kArithmetic: {
      const auto& node = static_cast<const Arithmetic&>(expression);
      SLUICE_RETURN_IF_ERROR(check(node.first.get(), soft));
      return check_all(node.rest, soft);
    }
    case ExpressionKind::kCompare: {
      const auto& node = static_cast<const Compare&>(expression);
      SLUICE_RETURN_IF_ERROR(check(node.first.get(), soft));
      return check_all(node.rest, soft);
    }
    case ExpressionKind::kConditional: {
      const auto& node = static_cast<const Conditional&>(expression);
      SLUICE_RETURN_IF_ERROR(check(node.condition.get(), true));
      SLUICE_RETURN_IF_ERROR(check(node.then.get(), true));
      return check(node.otherwise.get(), true);
    }
    default:
      return {};
  }
}

Result<void> check(const Expression* expression, bool soft) {
  if (!expression) return {};
  switch (expression->kind) {
    case ExpressionKind::kConstant:
    case ExpressionKind::kName:
      return {};
    case ExpressionKind::kSequence:
      return check_all(static_cast<const SequenceLiteral*>(expression)->items, soft);
    case ExpressionKind::kDict: {
      for (const auto& [key, value] : static_cast<const DictLiteral*>(expression)->items) {
        SLUICE_RETURN_IF_ERROR(check(key.get(), soft));
        SLUICE_RETURN_IF_ERROR(check(value.get(), soft));
      }
      return {};
    }
    case ExpressionKind::kAttribute:
      return check(static_cast<const Attribute*>(expression)->object.get(), soft);
    case ExpressionKind::kItem: {
      const auto* node = static_cast<const Item*>(expression);
      SLUICE_RETURN_IF_ERROR(check(node->object.get(), soft));
      return check(node->index.get(), soft);
    }
    case ExpressionKind::kSlice: {
      const auto* node = static_cast<const Slice*>(expression);
      for (const ExpressionPtr* part : {&node->object, &node->start, &node->stop, &node->step}) {
        SLUICE_RETURN_IF_ERROR(check(part->get(), soft));
      }
      return {};
    }
    case ExpressionKind::kCall: {
      const auto* node = static_cast<const Call*>(expression);
      SLUICE_RETURN_IF_ERROR(check(node->callee.get(), soft));
      return check(node->arguments, soft);
    }
    case ExpressionKind::kFilter: {
      const auto* node = static_cast<const Filter*>(expression);
      SLUICE_RETURN_IF_ERROR(check(node->input.get(), soft));
      return check_operation(node->operation, true, soft);
    }
    case ExpressionKind::kTest: {
      const auto* node = static_cast<const Test*>(expression);
      SLUICE_RETURN_IF_ERROR(check(node->input.get(), soft));
      return check_operation(node->operation, false, soft);
    }
    default:
      return check_operators(*expression, soft);
  }
}

Result<void> check(const Statement& statement, bool soft);

Result<void> check(const Body& body, bool soft) {
  for (const StatementPtr& statement : body) SLUICE_RETURN_IF_ERROR(check(*statement, soft));
  return {};
}

Result<void> check_filters(const std::vector<NamedOperation>& filters) {
  for (const NamedOperation& filter : filters) SLUICE_RETURN_IF_ERROR(check_operation(filter, true, false));
  return {};
}

Result<void> check(const MacroDefinition& macro) {
  for (const MacroParameter& parameter : macro.parameters) {
    SLUICE_RETURN_IF_ERROR(check(parameter.fallback.get(), false));
  }
  return check(macro.body, false);
}

Result<void> check_for(const For& node, bool soft) {
  SLUICE_RETURN_IF_ERROR(check(node.iterable.get(), soft));
  SLUICE_RETURN_IF_ERROR(check(node.condition.get(), false));
  SLUICE_RETURN_IF_ERROR(check(node.body, false));
  return check(node.otherwise, false);
}

Result<void> check_if(const If& node) {
  for (const auto& [condition, body] : node.branches) {
    SLUICE_RETURN_IF_ERROR(check(condition.get(), true));
    SLUICE_RETURN_IF_ERROR(check(body, true));
  }
  return check(node.otherwise, true);
}

Result<void> check(const Statement& statement, bool soft) {
  switch (statement.kind) {
    case StatementKind::kOutput:
      return check_all(static_cast<const Output&>(statement).expressions, soft);
    case StatementKind::kFor:
      return check_for(static_cast<const For&>(statement), soft);
    case StatementKind::kIf:
      return check_if(static_cast<const If&>(statement));
    case StatementKind::kSet:
      return check(static_cast<const Set&>(statement).value.get(), soft);
    case StatementKind::kSetBlock: {
      const auto& node = static_cast<const SetBlock&>(statement);
      SLUICE_RETURN_IF_ERROR(check_filters(node.filters));
      return check(node.body, false);
    }
    case StatementKind::kMacro:
      return check(static_cast<const MacroStatement&>(statement).macro);
    case StatementKind::kCallBlock: {
      const auto& node = static_cast<const CallBlock&>(statement);
      SLUICE_RETURN_IF_ERROR(check(node.call.get(), soft));
      return check(node.caller);
    }
    case StatementKind::kFilterBlock: {
      const auto& node = static_cast<const FilterBlock&>(statement);
      SLUICE_RETURN_IF_ERROR(check_filters(node.filters));
      return check(node.body, false);
    }
    case StatementKind::kWith: {
      const auto& node = static_cast<const With&>(statement);
      SLUICE_RETURN_IF_ERROR(check_all(node.bindings, false));
      return check(node.body, false);
    }
    case StatementKind::kScope:
      return check(static_cast<const ScopeBlock&>(statement).body, false);
    default:
      return {};
  }
}

}  // namespace

Result<void> check_names(const SyntaxTree& tree) { return check(tree.body, false); }

}  // namespace sluice::text::jinja
