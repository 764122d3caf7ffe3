#pragma once
// Template text to syntax tree, accepting what Jinja2's parser accepts.

#include <string_view>

#include "base/result.h"
#include "text/chat_template.h"
#include "text/jinja/ast.h"

namespace sluice::text::jinja {

// kCorruptData names the line and what was expected; kUnimplemented a statement that needs other template files;
// kTooLarge a template past the limits on size or nesting.
Result<SyntaxTree> parse_template(std::string_view source, const TemplateLimits& limits);

}  // namespace sluice::text::jinja
