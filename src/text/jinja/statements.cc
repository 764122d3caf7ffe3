// The evaluator's statements: output, control flow, scopes, macros.

#include <algorithm>

#include "base/strings.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/lookup.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

// Puts a value in place of a variable for as long as it lives.
template <class T>
class Replaced {
 public:
  Replaced(T& variable, T value) : variable_(variable), old_(std::exchange(variable, std::move(value))) {}
  ~Replaced() { variable_ = std::move(old_); }
  Replaced(const Replaced&) = delete;
  Replaced& operator=(const Replaced&) = delete;

 private:
  T& variable_;
  T old_;
};

}  // namespace

Result<void> Evaluator::emit(std::string_view text) {
  SLUICE_RETURN_IF_ERROR(budget_.scan(text.size()));
  if (text.size() > budget_.text_bytes_max() - out_->size()) {
    return Error{
        ErrorCode::kTooLarge, cat("the output is longer than ", format_bytes(budget_.text_bytes_max())), {}, {}};
  }
  out_->append(text);
  return {};
}

Result<Evaluator::Flow> Evaluator::exec(const Body& body) {
  for (const StatementPtr& statement : body) {
    SLUICE_TRY(const Flow flow, exec(*statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::exec(const Statement& statement) {
  const Levels level(levels_);
  Result<void> allowed = check_depth();
  if (allowed.ok()) allowed = budget_.step();
  if (!allowed.ok()) return located(std::move(allowed).error(), statement.span);
  auto flow = dispatch(statement);
  if (!flow.ok()) return located(std::move(flow).error(), statement.span);
  return flow;
}

Result<Evaluator::Flow> Evaluator::dispatch(const Statement& statement) {
  Result<void> outcome;
  switch (statement.kind) {
    case StatementKind::kText:
      outcome = emit(static_cast<const TextOutput&>(statement).text);
      break;
    case StatementKind::kOutput:
      outcome = exec_output(static_cast<const Output&>(statement));
      break;
    case StatementKind::kFor:
      outcome = exec_for(static_cast<const For&>(statement));
      break;
    case StatementKind::kMacro:
      outcome = exec_macro(static_cast<const MacroStatement&>(statement));
      break;
    case StatementKind::kCallBlock:
      outcome = exec_call_block(static_cast<const CallBlock&>(statement));
      break;
    case StatementKind::kSet: {
      const auto& node = static_cast<const Set&>(statement);
      SLUICE_TRY(const Value value, eval(*node.value));
      outcome = assign(node.target, value);
      break;
    }
    case StatementKind::kIf:
      return exec_if(static_cast<const If&>(statement));
    case StatementKind::kSetBlock:
      return exec_set_block(static_cast<const SetBlock&>(statement));
    case StatementKind::kFilterBlock:
      return exec_filter_block(static_cast<const FilterBlock&>(statement));
    case StatementKind::kWith:
      return exec_with(static_cast<const With&>(statement));
    case StatementKind::kScope: {
      const auto& node = static_cast<const ScopeBlock&>(statement);
      return exec_in(std::make_shared<Scope>(node.isolated ? root_ : scope_), node.body);
    }
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  if (!outcome.ok()) return std::move(outcome).error();
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::exec_in(ScopePtr scope, const Body& body) {
  const Replaced<ScopePtr> inner(scope_, std::move(scope));
  return exec(body);
}

Result<Evaluator::Flow> Evaluator::capture(const Body& body, std::string& text) {
  const Replaced<std::string*> redirected(out_, &text);
  return exec_in(std::make_shared<Scope>(scope_), body);
}

Result<void> Evaluator::exec_output(const Output& node) {
  for (const ExpressionPtr& expression : node.expressions) {
    SLUICE_TRY(const Value value, eval(*expression));
    if (value.is_string()) {
      SLUICE_RETURN_IF_ERROR(emit(value.text()));
    } else {
      SLUICE_TRY(const std::string text, print(budget_, value));
      SLUICE_RETURN_IF_ERROR(emit(text));
    }
  }
  return {};
}

Result<Evaluator::Flow> Evaluator::exec_if(const If& node) {
  for (const auto& [condition, body] : node.branches) {
    SLUICE_TRY(const bool holds, eval_truth(*condition));
    if (holds) return exec(body);
  }
  return exec(node.otherwise);
}

Result<void> Evaluator::exec_for(const For& node) {
  SLUICE_TRY(const Value iterable, eval(*node.iterable));
  return run_loop(node, iterable, scope_, 0);
}

Result<Items> Evaluator::loop_items(const For& node, const Value& iterable, const ScopePtr& outer) {
  SLUICE_TRY(Items items, iterate(budget_, iterable));
  if (!node.condition) return items;
  Items kept;
  for (Value& item : items) {
    const Replaced<ScopePtr> inner(scope_, std::make_shared<Scope>(outer));
    SLUICE_RETURN_IF_ERROR(assign(node.target, item));
    SLUICE_TRY(const bool holds, eval_truth(*node.condition));
    if (holds) kept.push_back(std::move(item));
  }
  return kept;
}

Result<void> Evaluator::run_loop(const For& node, const Value& iterable, const ScopePtr& outer, int64_t depth) {
  SLUICE_TRY(Items items, loop_items(node, iterable, outer));
  const auto loop = std::make_shared<Loop>(node, std::move(items), outer, depth);
  bool completed = false;  // Jinja2's else runs unless one round reached its end: not after break or continue alone
  for (const Value& item : loop->items) {
    ++loop->index;
    const Replaced<ScopePtr> inner(scope_, std::make_shared<Scope>(outer));
    scope_->set(tree_.known.loop, Value(std::shared_ptr<Object>(loop)));
    SLUICE_RETURN_IF_ERROR(assign(node.target, item));
    SLUICE_TRY(const Flow flow, exec(node.body));
    if (flow == Flow::kBreak) break;
    if (flow == Flow::kNext) completed = true;
  }
  if (completed || node.otherwise.empty()) return {};
  SLUICE_TRY([[maybe_unused]] const Flow flow, exec_in(std::make_shared<Scope>(outer), node.otherwise));
  return {};
}

Result<Value> Evaluator::recurse(const Loop& loop, const Value& iterable) {
  const Levels level(macro_calls_);
  if (macro_calls_ > budget_.depth_max()) {
    return Error{
        ErrorCode::kTooLarge, cat("recursive loops are nested more than ", budget_.depth_max(), " deep"), {}, {}};
  }
  std::string text;
  {
    const Replaced<std::string*> redirected(out_, &text);
    SLUICE_RETURN_IF_ERROR(run_loop(loop.block, iterable, loop.outer, loop.depth + 1));
  }
  SLUICE_RETURN_IF_ERROR(budget_.make_text(text.size()));
  return Value(std::move(text));
}

Result<Evaluator::Flow> Evaluator::exec_set_block(const SetBlock& node) {
  std::string text;
  SLUICE_TRY(const Flow flow, capture(node.body, text));
  if (flow != Flow::kNext) return flow;
  SLUICE_RETURN_IF_ERROR(budget_.make_text(text.size()));
  Value value(std::move(text));
  for (const NamedOperation& filter : node.filters) {
    SLUICE_TRY(value, apply_filter(filter, value));
  }
  SLUICE_RETURN_IF_ERROR(assign(node.target, value));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::exec_filter_block(const FilterBlock& node) {
  std::string text;
  SLUICE_TRY(const Flow flow, capture(node.body, text));
  if (flow != Flow::kNext) return flow;
  SLUICE_RETURN_IF_ERROR(budget_.make_text(text.size()));
  Value value(std::move(text));
  for (const NamedOperation& filter : node.filters) {
    SLUICE_TRY(value, apply_filter(filter, value));
  }
  if (!value.is_string()) {
    return type_error(cat("the filters of a filter block must end in a string, not ", value.type()));
  }
  SLUICE_RETURN_IF_ERROR(emit(value.text()));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::exec_with(const With& node) {
  const auto inner = std::make_shared<Scope>(scope_);
  std::vector<Value> values;
  for (const auto& [target, expression] : node.bindings) {
    SLUICE_TRY(Value value, eval(*expression));
    values.push_back(std::move(value));
  }
  const Replaced<ScopePtr> entered(scope_, inner);
  for (size_t i = 0; i < values.size(); ++i) SLUICE_RETURN_IF_ERROR(assign(node.bindings[i].first, values[i]));
  return exec(node.body);
}

const ScopePtr& Evaluator::captured_scope() {
  for (ScopePtr scope = scope_; scope && !scope->captured; scope = scope->parent) {
    scope->captured = true;
    captured_.push_back(scope);
  }
  return scope_;
}

Result<void> Evaluator::exec_macro(const MacroStatement& node) {
  SLUICE_RETURN_IF_ERROR(budget_.make_values(4));
  auto macro = std::make_shared<Macro>(node.macro, std::string(name(node.macro.name)), captured_scope());
  scope_->set(node.macro.name, Value(std::shared_ptr<Object>(std::move(macro))));
  return {};
}

Result<void> Evaluator::exec_call_block(const CallBlock& node) {
  SLUICE_RETURN_IF_ERROR(budget_.make_values(4));
  auto caller = std::make_shared<Macro>(node.caller, "caller", captured_scope());
  auto result = eval_call(static_cast<const Call&>(*node.call), std::move(caller));
  if (!result.ok()) return located(std::move(result).error(), node.call->span);
  SLUICE_TRY(const std::string text, print(budget_, *result));
  return emit(text);
}

Result<void> Evaluator::bind_parameters(const MacroDefinition& macro, std::string_view macro_name,
                                        Arguments arguments) {
  const size_t count = macro.parameters.size();
  std::vector<std::optional<Value>> given(count);
  const size_t positional = std::min(count, arguments.positional.size());
  for (size_t i = 0; i < positional; ++i) given[i] = arguments.positional[i];
  auto& named = arguments.named;
  const auto take = [&](std::string_view wanted) -> std::optional<Value> {
    const auto found = std::find_if(named.begin(), named.end(), [&](const auto& a) { return a.first == wanted; });
    if (found == named.end()) return std::nullopt;
    Value value = std::move(found->second);
    named.erase(found);
    return value;
  };
  bool caller_is_parameter = false;
  for (size_t i = positional; i < count; ++i) given[i] = take(name(macro.parameters[i].symbol));
  for (const MacroParameter& p : macro.parameters) caller_is_parameter |= p.symbol == tree_.known.caller;
  if (macro.takes_caller && !caller_is_parameter) {
    scope_->set(tree_.known.caller, take("caller").value_or(make_undefined("No caller defined")));
  }
  if (macro.takes_named) {
    Dict rest;
    for (auto& [key, value] : named) rest.set(Value(std::move(key)), std::move(value));
    SLUICE_TRY(Value dict, make_dict(std::move(rest)));
    scope_->set(tree_.known.kwargs, std::move(dict));
  } else if (!named.empty()) {
    return type_error(cat("macro '", macro_name, "' takes no keyword argument '", named.front().first, "'"));
  }
  if (macro.takes_rest) {
    SLUICE_TRY(Value rest, make_tuple(Items(arguments.positional.begin() + static_cast<std::ptrdiff_t>(positional),
                                            arguments.positional.end())));
    scope_->set(tree_.known.varargs, std::move(rest));
  } else if (arguments.positional.size() > count) {
    return type_error(cat("macro '", macro_name, "' takes not more than ", count, " argument(s)"));
  }
  for (size_t i = 0; i < count; ++i) {
    scope_->set(macro.parameters[i].symbol,
                given[i] ? *given[i]
                         : make_undefined(cat("parameter '", name(macro.parameters[i].symbol), "' was not provided")));
  }
  for (size_t i = 0; i < count; ++i) {
    if (given[i] || !macro.parameters[i].fallback) continue;
    SLUICE_TRY(Value fallback, eval(*macro.parameters[i].fallback));
    scope_->set(macro.parameters[i].symbol, std::move(fallback));
  }
  return {};
}

Result<Value> Evaluator::call_macro(const MacroDefinition& macro, const ScopePtr& closure, std::string_view macro_name,
                                    Arguments arguments) {
  const Levels level(macro_calls_);
  if (macro_calls_ > budget_.depth_max()) {
    return Error{ErrorCode::kTooLarge, cat("macros call macros more than ", budget_.depth_max(), " deep"), {}, {}};
  }
  const Replaced<ScopePtr> entered(scope_, std::make_shared<Scope>(closure));
  SLUICE_RETURN_IF_ERROR(bind_parameters(macro, macro_name, std::move(arguments)));
  std::string text;
  {
    const Replaced<std::string*> redirected(out_, &text);
    SLUICE_TRY([[maybe_unused]] const Flow flow, exec(macro.body));
  }
  SLUICE_RETURN_IF_ERROR(budget_.make_text(text.size()));
  return Value(std::move(text));
}

Result<void> Evaluator::assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) {
    SLUICE_TRY(const auto owner, lookup(target.symbol));
    auto* space = owner && owner->is(Kind::kObject) ? dynamic_cast<Namespace*>(owner->object().get()) : nullptr;
    if (!space) {
      return located(type_error("cannot assign an attribute on an object that is no namespace"), target.span);
    }
    if (target.attribute.starts_with('_')) {
      return located(invalid_argument("a namespace cannot hold a name with a leading underscore"), target.span);
    }
    space->set(target.attribute, value);
    return {};
  }
  if (target.symbol >= 0) {
    scope_->set(target.symbol, value);
    return {};
  }
  if (!iterable(value)) {
    return located(type_error(cat("cannot unpack a non-iterable ", value.type(), " object")), target.span);
  }
  SLUICE_TRY(const Items items, iterate(budget_, value));
  if (items.size() != target.parts.size()) {
    return located(type_error(cat("expected ", target.parts.size(), " values to unpack, got ", items.size())),
                   target.span);
  }
  for (size_t i = 0; i < items.size(); ++i) SLUICE_RETURN_IF_ERROR(assign(target.parts[i], items[i]));
  return {};
}

}  // namespace sluice::text::jinja
