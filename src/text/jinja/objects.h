#pragma once
// The objects with state that templates make: namespaces, loops, macros, cyclers, joiners.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/callable.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

// The variables of one block, on top of those around it.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> p) : parent(std::move(p)) {}

  const Value* find(Symbol symbol) const;  // here or further out
  void set(Symbol symbol, Value value);    // here

  std::shared_ptr<Scope> parent;
  std::vector<std::pair<Symbol, Value>> variables;
  bool captured = false;  // a macro refers to it; the evaluator empties it at the end, which breaks cycles
};
using ScopePtr = std::shared_ptr<Scope>;

class Namespace : public Object {
 public:
  std::string_view type() const override { return "Namespace"; }
  std::optional<Value> attribute(std::string_view name) override;
  void repr(TextBuilder& out) const override;
  void set(std::string_view name, Value value) { attributes_.set(Value(name), std::move(value)); }
  void clear() { attributes_ = Dict(); }

 private:
  Dict attributes_;
  mutable bool printing_ = false;  // a namespace may hold itself
};

// "loop" inside a for block.
class Loop : public Callable, public std::enable_shared_from_this<Loop> {
 public:
  Loop(const For& block, Items items, ScopePtr outer, int64_t depth)
      : block(block), items(std::move(items)), outer(std::move(outer)), depth(depth) {}

  std::string_view type() const override { return "LoopContext"; }
  void repr(TextBuilder& out) const override;
  std::optional<Value> attribute(std::string_view name) override;
  // Renders the block again over other items: {% for … recursive %}.
  Result<Value> call(Evaluator& evaluator, Arguments arguments) override;

  const For& block;
  const Items items;
  const ScopePtr outer;
  const int64_t depth;  // 0 for the outermost
  int64_t index = -1;   // of the current item
  void clear() { last_changed_.reset(); }

 private:
  Result<Value> cycle(Arguments arguments) const;
  Result<Value> changed(Evaluator& evaluator, Arguments arguments);

  std::optional<Items> last_changed_;
};

class Macro : public Callable {
 public:
  Macro(const MacroDefinition& definition, std::string name, ScopePtr closure)
      : definition_(definition), name_(std::move(name)), closure_(std::move(closure)) {}

  std::string_view type() const override { return "Macro"; }
  void repr(TextBuilder& out) const override;
  std::optional<Value> attribute(std::string_view name) override;
  Result<Value> call(Evaluator& evaluator, Arguments arguments) override;

 private:
  const MacroDefinition& definition_;
  std::string name_;
  ScopePtr closure_;
};

// cycler(a, b, …): .next() walks round.
class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(Items items) : items_(std::move(items)) {}
  std::string_view type() const override { return "Cycler"; }
  std::optional<Value> attribute(std::string_view name) override;
  Value next();
  void reset() { position_ = 0; }

 private:
  Items items_;
  size_t position_ = 0;
};

// joiner(", "): nothing at the first call, the separator afterwards.
class Joiner : public Callable {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string_view type() const override { return "Joiner"; }
  Result<Value> call(Evaluator& evaluator, Arguments arguments) override;

 private:
  Value separator_;
  bool used_ = false;
};

// A function of the language or of one of the objects above.
template <class Function>
class NativeFunction : public Callable {
 public:
  explicit NativeFunction(Function function) : function_(std::move(function)) {}
  std::string_view type() const override { return "function"; }
  Result<Value> call(Evaluator& evaluator, Arguments arguments) override {
    return function_(evaluator, std::move(arguments));
  }

 private:
  Function function_;
};

template <class Function>
Value native_function(Function function) {
  return Value(std::shared_ptr<Object>(std::make_shared<NativeFunction<Function>>(std::move(function))));
}

}  // namespace sluice::text::jinja
