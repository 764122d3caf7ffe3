#pragma once
// The syntax tree of a template. Owned by the Program, immutable after parsing, shared by all threads that render.
// Every node knows its line and the bytes of the source it was read from, so that an error can show the expression.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace sluice::text::jinja {

using Symbol = int32_t;  // index of an identifier in Program::names

struct Span {
  int line = 1;
  uint32_t begin = 0;  // bytes in the source
  uint32_t end = 0;
};

enum class ExpressionKind : uint8_t {
  kConstant,
  kName,
  kSequence,
  kDict,
  kAttribute,
  kItem,
  kSlice,
  kCall,
  kFilter,
  kTest,
  kUnary,
  kArithmetic,
  kConcat,
  kCompare,
  kNot,
  kLogical,
  kConditional,
};

struct Expression {
  explicit Expression(ExpressionKind k) : kind(k) {}
  virtual ~Expression() = default;
  ExpressionKind kind;
  Span span;
  int height = 1;  // levels of nodes from here down: what evaluation costs in stack
};
using ExpressionPtr = std::unique_ptr<Expression>;

// (a, b, *c, key=d, **e)
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr spread;        // *expression
  ExpressionPtr spread_named;  // **expression
};

struct Constant : Expression {
  explicit Constant(Value v) : Expression(ExpressionKind::kConstant), value(std::move(v)) {}
  Value value;
};
struct Name : Expression {
  explicit Name(Symbol s) : Expression(ExpressionKind::kName), symbol(s) {}
  Symbol symbol;
};
struct SequenceLiteral : Expression {
  SequenceLiteral() : Expression(ExpressionKind::kSequence) {}
  bool tuple = false;
  std::vector<ExpressionPtr> items;
};
struct DictLiteral : Expression {
  DictLiteral() : Expression(ExpressionKind::kDict) {}
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};
struct Attribute : Expression {
  Attribute() : Expression(ExpressionKind::kAttribute) {}
  ExpressionPtr object;
  std::string name;
};
struct Item : Expression {
  Item() : Expression(ExpressionKind::kItem) {}
  ExpressionPtr object;
  ExpressionPtr index;
};
struct Slice : Expression {
  Slice() : Expression(ExpressionKind::kSlice) {}
  ExpressionPtr object;
  ExpressionPtr start, stop, step;  // any may be null
};
struct Call : Expression {
  Call() : Expression(ExpressionKind::kCall) {}
  ExpressionPtr callee;
  CallArguments arguments;
};
// A filter or test by name with its arguments.
struct NamedOperation {
  Span span;
  std::string name;
  CallArguments arguments;
};
struct Filter : Expression {
  Filter() : Expression(ExpressionKind::kFilter) {}
  ExpressionPtr input;
  NamedOperation operation;
};
struct Test : Expression {
  Test() : Expression(ExpressionKind::kTest) {}
  ExpressionPtr input;
  NamedOperation operation;
};
struct Unary : Expression {
  Unary() : Expression(ExpressionKind::kUnary) {}
  bool negate = false;
  ExpressionPtr operand;
};
enum class ArithmeticOperator : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
// first op operand op operand …, from the left.
struct Arithmetic : Expression {
  Arithmetic() : Expression(ExpressionKind::kArithmetic) {}
  ExpressionPtr first;
  std::vector<std::pair<ArithmeticOperator, ExpressionPtr>> rest;
};
struct Concat : Expression {
  Concat() : Expression(ExpressionKind::kConcat) {}
  std::vector<ExpressionPtr> parts;
};
enum class Comparison : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };
// first op operand op operand …: all neighbours must satisfy their operator, as in Python.
struct Compare : Expression {
  Compare() : Expression(ExpressionKind::kCompare) {}
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
struct Not : Expression {
  Not() : Expression(ExpressionKind::kNot) {}
  ExpressionPtr operand;
};
struct Logical : Expression {
  Logical() : Expression(ExpressionKind::kLogical) {}
  bool conjunction = false;  // and; else or
  std::vector<ExpressionPtr> operands;
};
struct Conditional : Expression {
  Conditional() : Expression(ExpressionKind::kConditional) {}
  ExpressionPtr condition, then, otherwise;  // otherwise may be null: undefined
};

// What can stand left of "=": a name, namespace.attribute, or a tuple of targets.
struct Target {
  Span span;
  Symbol symbol = -1;     // −1: a tuple
  std::string attribute;  // not empty: an attribute of the namespace `symbol`
  std::vector<Target> parts;
};

enum class StatementKind : uint8_t {
  kText,
  kOutput,
  kFor,
  kIf,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kScope,
  kBreak,
  kContinue,
};
struct Statement {
  explicit Statement(StatementKind k) : kind(k) {}
  virtual ~Statement() = default;
  StatementKind kind;
  Span span;
};
using StatementPtr = std::unique_ptr<Statement>;
using Body = std::vector<StatementPtr>;

struct TextOutput : Statement {
  TextOutput() : Statement(StatementKind::kText) {}
  std::string text;
};
struct Output : Statement {
  Output() : Statement(StatementKind::kOutput) {}
  std::vector<ExpressionPtr> expressions;
};
struct For : Statement {
  For() : Statement(StatementKind::kFor) {}
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  // may be null
  bool recursive = false;
  Body body;
  Body otherwise;
};
struct If : Statement {
  If() : Statement(StatementKind::kIf) {}
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct Set : Statement {
  Set() : Statement(StatementKind::kSet) {}
  Target target;
  ExpressionPtr value;
};
struct SetBlock : Statement {
  SetBlock() : Statement(StatementKind::kSetBlock) {}
  Target target;
  std::vector<NamedOperation> filters;
  Body body;
};
struct MacroParameter {
  Symbol symbol = -1;
  ExpressionPtr fallback;  // may be null
};
// What a macro, and the body of a call block, is.
struct MacroDefinition {
  Symbol name = -1;  // −1: the caller of a call block
  std::vector<MacroParameter> parameters;
  Body body;
  bool takes_caller = false;  // the body uses these names, so calls may give them
  bool takes_named = false;
  bool takes_rest = false;
};
struct MacroStatement : Statement {
  MacroStatement() : Statement(StatementKind::kMacro) {}
  MacroDefinition macro;
};
struct CallBlock : Statement {
  CallBlock() : Statement(StatementKind::kCallBlock) {}
  ExpressionPtr call;  // a Call
  MacroDefinition caller;
};
struct FilterBlock : Statement {
  FilterBlock() : Statement(StatementKind::kFilterBlock) {}
  std::vector<NamedOperation> filters;
  Body body;
};
struct With : Statement {
  With() : Statement(StatementKind::kWith) {}
  std::vector<std::pair<Target, ExpressionPtr>> bindings;
  Body body;
};
// {% generation %}, {% autoescape %}, {% block %}: a body whose assignments stay inside.
struct ScopeBlock : Statement {
  ScopeBlock() : Statement(StatementKind::kScope) {}
  bool isolated = false;  // a block: sees the template's own names only, not those of loops around it
  Body body;
};
struct Jump : Statement {
  explicit Jump(StatementKind k) : Statement(k) {}
};

// The names the language itself gives meaning.
struct WellKnownSymbols {
  Symbol loop, caller, varargs, kwargs;
};

struct SyntaxTree {
  std::string source;  // normalised
  std::vector<std::string> names;
  WellKnownSymbols known{};
  Body body;
};

}  // namespace sluice::text::jinja
