#pragma once
// Refuses unknown filters and tests when the template is parsed, where Jinja2 does: everywhere but directly under an
// {% if %} or inside a conditional expression, where the name may depend on what is installed and only using it fails.

#include "base/result.h"
#include "text/jinja/ast.h"

namespace sluice::text::jinja {

Result<void> check_names(const SyntaxTree& tree);

}  // namespace sluice::text::jinja
