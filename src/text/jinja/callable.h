#pragma once
// Things a template can call.

#include "text/jinja/arguments.h"
#include "text/jinja/value.h"

namespace sluice::text::jinja {

class Evaluator;

class Callable : public Object {
 public:
  bool callable() const override { return true; }
  virtual Result<Value> call(Evaluator& evaluator, Arguments arguments) = 0;
};

}  // namespace sluice::text::jinja
