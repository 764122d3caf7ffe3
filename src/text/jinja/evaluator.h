#pragma once
// Runs a syntax tree over one set of variables. Made for one render, used from one thread, stopped by the budget.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/jinja/arguments.h"
#include "text/jinja/ast.h"
#include "text/jinja/budget.h"
#include "text/jinja/levels.h"
#include "text/jinja/objects.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

class Evaluator {
 public:
  // All three outlive the evaluator. `variables` is an object.
  Evaluator(const SyntaxTree& tree, const TemplateLimits& limits, const Json& variables);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  Result<std::string> run();

  // For the objects a template calls.
  Budget& budget() { return budget_; }
  Result<Value> call_macro(const MacroDefinition& macro, const ScopePtr& closure, std::string_view name,
                           Arguments arguments);
  Result<Value> recurse(const Loop& loop, const Value& iterable);
  // An error that is the template's own text: raise_exception. The text comes first, its place behind it.
  Error raised(std::string message);
  // Objects that may end up inside themselves are emptied when the evaluator ends.
  void keep(std::shared_ptr<Namespace> object) { namespaces_.push_back(std::move(object)); }
  void keep(std::shared_ptr<Loop> object) { loops_.push_back(std::move(object)); }
  std::string_view name(Symbol symbol) const { return tree_.names[static_cast<size_t>(symbol)]; }

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  using Evaluated = Result<Value>;

  // Expressions.
  Evaluated eval(const Expression& expression);
  Evaluated dispatch(const Expression& expression);
  Evaluated eval_name(const Name& node);
  Evaluated eval_sequence(const SequenceLiteral& node);
  Evaluated eval_dict(const DictLiteral& node);
  Evaluated eval_attribute(const Attribute& node);
  Evaluated eval_item(const Item& node);
  Evaluated eval_slice(const Slice& node);
  Evaluated eval_call(const Call& node, std::shared_ptr<Macro> caller = nullptr);
  Evaluated eval_filter(const Filter& node);
  Evaluated eval_test(const Test& node);
  Evaluated eval_arithmetic(const Arithmetic& node);
  Evaluated eval_concat(const Concat& node);
  Evaluated eval_compare(const Compare& node);
  Evaluated eval_logical(const Logical& node);
  Evaluated eval_unary(const Unary& node);
  Evaluated eval_conditional(const Conditional& node);
  Result<bool> eval_truth(const Expression& expression);
  Result<Arguments> eval_arguments(const CallArguments& arguments);
  Evaluated apply_filter(const NamedOperation& operation, const Value& input);
  // Nothing: undefined.
  Result<std::optional<Value>> lookup(Symbol symbol);

  // Statements.
  Result<Flow> exec(const Body& body);
  Result<Flow> exec(const Statement& statement);
  Result<Flow> dispatch(const Statement& statement);
  Result<void> exec_output(const Output& node);
  Result<void> exec_for(const For& node);
  Result<void> run_loop(const For& node, const Value& iterable, const ScopePtr& outer, int64_t depth);
  Result<Items> loop_items(const For& node, const Value& iterable, const ScopePtr& outer);
  Result<Flow> exec_if(const If& node);
  Result<Flow> exec_set_block(const SetBlock& node);
  Result<void> exec_macro(const MacroStatement& node);
  Result<void> exec_call_block(const CallBlock& node);
  Result<Flow> exec_filter_block(const FilterBlock& node);
  Result<Flow> exec_with(const With& node);
  Result<Flow> exec_in(ScopePtr scope, const Body& body);
  Result<void> assign(const Target& target, const Value& value);
  Result<void> emit(std::string_view text);
  // Runs the body in a new scope with its output gathered in `text`.
  Result<Flow> capture(const Body& body, std::string& text);
  Result<void> bind_parameters(const MacroDefinition& macro, std::string_view name, Arguments arguments);
  const ScopePtr& captured_scope();

  Error located(Error error, const Span& span);
  Result<void> check_depth() const;

  const SyntaxTree& tree_;
  const Json& variables_;
  Budget budget_;
  int levels_max_;
  StackMark stack_;
  int levels_ = 0;        // nested eval and exec calls
  int macro_calls_ = 0;   // nested
  bool located_ = false;  // the error on its way out already names its place
  bool raised_ = false;   // it is the template's own
  std::string output_;
  std::string* out_ = &output_;
  ScopePtr root_;
  ScopePtr scope_;
  std::vector<std::optional<Value>> globals_;  // by symbol: what the variables or the language give
  std::vector<bool> globals_known_;
  std::vector<ScopePtr> captured_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<Loop>> loops_;
};

}  // namespace sluice::text::jinja
