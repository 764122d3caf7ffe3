#include "text/jinja/objects.h"

#include <algorithm>

#include "base/strings.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
const Value* Scope::find(Symbol symbol) const {
  for (const Scope* scope = this; scope; scope = scope->parent.get()) {
    for (const auto& [name, value] : scope->variables) {
      if (name == symbol) return &value;
    }
  }
  return nullptr;
}

void Scope::set(Symbol symbol, Value value) {
  for (auto& [name, old] : variables) {
    if (name != symbol) continue;
    old = std::move(value);
    return;
  }
  variables.emplace_back(symbol, std::move(value));
}

std::optional<Value> Namespace::attribute(std::string_view name) {
  const Value* found = attributes_.find(name);
  return found ? std::optional<Value>(*found) : std::nullopt;
}

void Namespace::repr(TextBuilder& out) const {
  if (printing_) return out.append("<Namespace {...}>");
  printing_ = true;
  out.append("<Namespace {");
  bool first = true;
  for (const auto& [key, value] : attributes_.entries()) {
    if (!first) out.append(", ");
    first = false;
    repr_to(out, key);
    out.append(": ");
    repr_to(out, value);
  }
  out.append("}>");
  printing_ = false;
}

void Loop::repr(TextBuilder& out) const { out.append(cat("<LoopContext ", index + 1, "/", items.size(), ">")); }

std::optional<Value> Loop::attribute(std::string_view name) {
  const auto size = static_cast<int64_t>(items.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(size - index);
  if (name == "revindex0") return Value(size - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == size);
  if (name == "length") return Value(size);
  if (name == "depth") return Value(depth + 1);
  if (name == "depth0") return Value(depth);
  if (name == "previtem") {
    return index <= 0 ? make_undefined("there is no previous item") : items[static_cast<size_t>(index - 1)];
  }
  if (name == "nextitem") {
    return index + 1 >= size ? make_undefined("there is no next item") : items[static_cast<size_t>(index + 1)];
  }
  if (name == "cycle") {
    return native_function([self = shared_from_this()](Evaluator&, Arguments a) { return self->cycle(std::move(a)); });
  }
  if (name == "changed") {
    return native_function(
        [self = shared_from_this()](Evaluator& e, Arguments a) { return self->changed(e, std::move(a)); });
  }
  return std::nullopt;
}

Result<Value> Loop::cycle(Arguments arguments) const {
  if (arguments.positional.empty()) return type_error("loop.cycle() needs items to cycle through");
  return arguments.positional[static_cast<size_t>(index) % arguments.positional.size()];
}

Result<Value> Loop::changed(Evaluator& evaluator, Arguments arguments) {
  const Items& now = arguments.positional;
  if (!last_changed_) evaluator.keep(shared_from_this());
  int64_t cost = 1;
  for (const Value& value : now) cost += value.extent().weight;
  SLUICE_RETURN_IF_ERROR(evaluator.budget().step(cost));
  if (last_changed_ && std::equal(now.begin(), now.end(), last_changed_->begin(), last_changed_->end(), equal)) {
    return Value(false);
  }
  last_changed_ = now;
  return Value(true);
}

Result<Value> Loop::call(Evaluator& evaluator, Arguments arguments) {
  SLUICE_TRY(const auto bound, BoundArguments::bind("loop", std::move(arguments), {"iterable"}, 1));
  if (!block.recursive) return type_error("the loop must have the 'recursive' marker to be called recursively");
  return evaluator.recurse(*this, bound[0]);
}

Result<Value> Macro::call(Evaluator& evaluator, Arguments arguments) {
  // The macro may be dropped by its own body; its definition outlives the render, the closure is held here.
  const ScopePtr closure = closure_;
  const std::string name = name_;
  return evaluator.call_macro(definition_, closure, name, std::move(arguments));
}

void Macro::repr(TextBuilder& out) const { out.append(cat("<Macro '", name_, "'>")); }

std::optional<Value> Macro::attribute(std::string_view name) {
  if (name == "name") return Value(name_);
  if (name == "caller") return Value(definition_.takes_caller);
  if (name == "catch_kwargs") return Value(definition_.takes_named);
  if (name == "catch_varargs") return Value(definition_.takes_rest);
  return std::nullopt;
}

Value Cycler::next() {
  const Value value = items_[position_];
  position_ = (position_ + 1) % items_.size();
  return value;
}

std::optional<Value> Cycler::attribute(std::string_view name) {
  if (name == "current") return items_[position_];
  if (name == "next") {
    return native_function(
        [self = shared_from_this()](Evaluator&, Arguments) -> Result<Value> { return self->next(); });
  }
  if (name == "reset") {
    return native_function([self = shared_from_this()](Evaluator&, Arguments) -> Result<Value> {
      self->reset();
      return Value();
    });
  }
  return std::nullopt;
}

Result<Value> Joiner::call(Evaluator&, Arguments arguments) {
  if (!arguments.empty()) return type_error("a joiner takes no arguments");
  if (used_) return separator_;
  used_ = true;
  return Value("");
}

}  // namespace sluice::text::jinja
