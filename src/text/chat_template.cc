#include "text/chat_template.h"

#include "base/json.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/parser.h"

namespace sluice::text {

struct ChatTemplate::Program {
  jinja::SyntaxTree tree;
  TemplateLimits limits;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const TemplateLimits& limits) {
  SLUICE_TRY(jinja::SyntaxTree tree, jinja::parse_template(source, limits));
  return ChatTemplate(std::make_unique<const Program>(Program{std::move(tree), limits}));
}

Result<std::string> ChatTemplate::render(const Json& variables) const {
  if (!variables.is_object()) return invalid_argument("the variables of a chat template must be a JSON object");
  return jinja::Evaluator(program_->tree, program_->limits, variables).run();
}

}  // namespace sluice::text
