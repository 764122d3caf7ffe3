#include "text/jinja/parser.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "text/jinja/expression_parser.h"
#include "text/jinja/name_check.h"

namespace sluice::text::jinja {
namespace {

using Words = std::initializer_list<std::string_view>;

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Result<void> run() {
    SLUICE_TRY(tree_.body, body({}));
    return {};
  }

 private:
  using ParsedStatement = Result<StatementPtr>;

  // Statements up to a tag whose word is among `ends`; that word is the current token afterwards. No `ends`: all.
  Result<Body> body(Words ends) {
    const Nesting nesting(*this);
    if (nesting.too_deep()) return too_deep();
    Body statements;
    const Token begin = current();
    while (!at(TokenType::kEnd)) {
      const Token token = take();
      StatementPtr statement;
      if (token.type == TokenType::kData) {
        auto data = std::make_unique<TextOutput>();
        data->text = std::string(text(token));
        statement = std::move(data);
      } else if (token.type == TokenType::kVariableBegin) {
        SLUICE_TRY(statement, output());
      } else {
        if (std::any_of(ends.begin(), ends.end(), [&](std::string_view word) { return at_word(word); })) {
          return statements;
        }
        SLUICE_TRY(statement, tag());
        SLUICE_TRY([[maybe_unused]] const Token close, expect(TokenType::kBlockEnd));
      }
      statement->span = {token.line, token.begin, previous_end()};
      statements.push_back(std::move(statement));
    }
    if (ends.size() == 0) return statements;
    return fail_at(begin, cat("the block opened here is never closed: expected '", *(ends.end() - 1), "'"));
  }

  // The rest of an opening tag, then its body.
  Result<Body> block(Words ends) {
    skip(TokenType::kColon);
    SLUICE_TRY([[maybe_unused]] const Token close, expect(TokenType::kBlockEnd));
    return body(ends);
  }
  // The same up to `end`, which is taken too.
  Result<Body> whole_block(std::string_view end) {
    SLUICE_TRY(Body statements, block({end}));
    take();
    return statements;
  }

  static ParsedStatement done(StatementPtr node) { return node; }

  ParsedStatement output() {
    auto node = std::make_unique<Output>();
    SLUICE_TRY(ExpressionPtr value, tuple());
    node->expressions.push_back(std::move(value));
    SLUICE_TRY([[maybe_unused]] const Token close, expect(TokenType::kVariableEnd));
    return done(std::move(node));
  }

  ParsedStatement tag() {
    if (!at(TokenType::kName)) return fail(cat("expected the name of a tag, got ", current_description()));
    const Token token = take();
    const std::string_view word = text(token);
    if (word == "if") return if_tag();
    if (word == "for") return for_tag();
    if (word == "set") return set_tag();
    if (word == "macro") return macro_tag();
    if (word == "call") return call_tag();
    if (word == "filter") return filter_tag();
    if (word == "with") return with_tag();
    if (word == "print") return print_tag();
    if (word == "block") return block_tag();
    if (word == "generation") return generation_tag();
    if (word == "autoescape") return autoescape_tag(token);
    if (word == "break") return jump_tag(StatementKind::kBreak, token);
    if (word == "continue") return jump_tag(StatementKind::kContinue, token);
    for (const std::string_view other : {"include", "import", "from", "extends"}) {
      if (word != other) continue;
      return Error{ErrorCode::kUnimplemented,
                   cat("chat template line ", token.line, ": '{% ", word,
                       " %}' is not supported: a chat template is a single file"),
                   {},
                   {}};
    }
    return fail_at(token, cat("unknown tag '", word, "'"));
  }

  ParsedStatement if_tag() {
    auto node = std::make_unique<If>();
    for (;;) {
      SLUICE_TRY(ExpressionPtr condition, tuple(false));
      SLUICE_TRY(Body then, block({"elif", "else", "endif"}));
      node->branches.emplace_back(std::move(condition), std::move(then));
      const std::string_view word = text(take());
      if (word == "elif") continue;
      if (word == "else") {
        SLUICE_TRY(node->otherwise, whole_block("endif"));
      }
      return done(std::move(node));
    }
  }

  // Names no loop variable may take: Jinja2 keeps "loop" for itself.
  Result<void> check_no_loop(const Target& target) const {
    if (target.symbol == tree_.known.loop && target.attribute.empty()) {
      return corrupt_data(cat("chat template line ", target.span.line, ": 'loop' cannot be a loop variable"));
    }
    for (const Target& part : target.parts) SLUICE_RETURN_IF_ERROR(check_no_loop(part));
    return {};
  }

  ParsedStatement for_tag() {
    auto node = std::make_unique<For>();
    SLUICE_TRY(node->target, target(false, "in"));
    SLUICE_RETURN_IF_ERROR(check_no_loop(node->target));
    SLUICE_RETURN_IF_ERROR(expect_word("in"));
    SLUICE_TRY(node->iterable, tuple(false, "recursive"));
    if (skip_word("if")) {
      SLUICE_TRY(node->condition, expression());
    }
    node->recursive = skip_word("recursive");
    ++loops_;
    auto parsed = block({"else", "endfor"});
    --loops_;
    SLUICE_TRY(node->body, std::move(parsed));
    if (text(take()) == "else") {
      SLUICE_TRY(node->otherwise, whole_block("endfor"));
    }
    return done(std::move(node));
  }

  Result<std::vector<NamedOperation>> filters_after_pipes() {
    std::vector<NamedOperation> filters;
    while (skip(TokenType::kPipe)) {
      SLUICE_TRY(NamedOperation filter, filter_operation());
      filters.push_back(std::move(filter));
    }
    return filters;
  }

  ParsedStatement set_tag() {
    SLUICE_TRY(Target assigned, target(true));
    if (skip(TokenType::kAssign)) {
      auto node = std::make_unique<Set>();
      node->target = std::move(assigned);
      SLUICE_TRY(node->value, tuple());
      return done(std::move(node));
    }
    auto node = std::make_unique<SetBlock>();
    node->target = std::move(assigned);
    SLUICE_TRY(node->filters, filters_after_pipes());
    SLUICE_TRY(node->body, whole_block("endset"));
    return done(std::move(node));
  }

  Result<void> signature(MacroDefinition& macro) {
    SLUICE_TRY([[maybe_unused]] const Token open, expect(TokenType::kLeftParen));
    while (!at(TokenType::kRightParen)) {
      if (!macro.parameters.empty()) {
        SLUICE_TRY([[maybe_unused]] const Token comma, expect(TokenType::kComma));
      }
      SLUICE_TRY(const Token name, expect(TokenType::kName));
      MacroParameter parameter;
      parameter.symbol = symbol(text(name));
      for (const MacroParameter& other : macro.parameters) {
        if (other.symbol == parameter.symbol) return fail_at(name, cat("two parameters are called '", text(name), "'"));
      }
      if (skip(TokenType::kAssign)) {
        SLUICE_TRY(parameter.fallback, expression());
      } else if (!macro.parameters.empty() && macro.parameters.back().fallback) {
        return fail("a parameter without a default follows one with a default");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    take();
    return {};
  }

  const MacroParameter* parameter(const MacroDefinition& macro, Symbol name) const {
    for (const MacroParameter& candidate : macro.parameters) {
      if (candidate.symbol == name) return &candidate;
    }
    return nullptr;
  }

  // The body of a macro or call block, up to `end`.
  Result<void> macro_body(MacroDefinition& macro, std::string_view end) {
    macro_uses_.emplace_back();
    const int outer_loops = std::exchange(loops_, 0);
    auto parsed = whole_block(end);
    loops_ = outer_loops;
    const SpecialUses uses = macro_uses_.back();
    macro_uses_.pop_back();
    SLUICE_TRY(macro.body, std::move(parsed));
    const MacroParameter* caller = parameter(macro, tree_.known.caller);
    if (uses.caller && caller && !caller->fallback) return fail("the parameter 'caller' needs a default");
    macro.takes_caller = uses.caller;
    macro.takes_named = uses.named && !parameter(macro, tree_.known.kwargs);
    macro.takes_rest = uses.rest && !parameter(macro, tree_.known.varargs);
    return {};
  }

  ParsedStatement macro_tag() {
    auto node = std::make_unique<MacroStatement>();
    SLUICE_TRY(const Token name, expect(TokenType::kName));
    node->macro.name = symbol(text(name));
    SLUICE_RETURN_IF_ERROR(signature(node->macro));
    SLUICE_RETURN_IF_ERROR(macro_body(node->macro, "endmacro"));
    return done(std::move(node));
  }

  ParsedStatement call_tag() {
    auto node = std::make_unique<CallBlock>();
    if (at(TokenType::kLeftParen)) SLUICE_RETURN_IF_ERROR(signature(node->caller));
    const Token begin = current();
    SLUICE_TRY(node->call, expression());
    if (node->call->kind != ExpressionKind::kCall) return fail_at(begin, "expected a call after 'call'");
    SLUICE_RETURN_IF_ERROR(macro_body(node->caller, "endcall"));
    return done(std::move(node));
  }

  ParsedStatement filter_tag() {
    auto node = std::make_unique<FilterBlock>();
    SLUICE_TRY(NamedOperation first, filter_operation());
    SLUICE_TRY(node->filters, filters_after_pipes());
    node->filters.insert(node->filters.begin(), std::move(first));
    SLUICE_TRY(node->body, whole_block("endfilter"));
    return done(std::move(node));
  }

  ParsedStatement with_tag() {
    auto node = std::make_unique<With>();
    while (!at(TokenType::kBlockEnd)) {
      if (!node->bindings.empty()) {
        SLUICE_TRY([[maybe_unused]] const Token comma, expect(TokenType::kComma));
      }
      SLUICE_TRY(Target name, target(false));
      SLUICE_TRY([[maybe_unused]] const Token assign, expect(TokenType::kAssign));
      SLUICE_TRY(ExpressionPtr value, expression());
      node->bindings.emplace_back(std::move(name), std::move(value));
    }
    SLUICE_TRY(node->body, whole_block("endwith"));
    return done(std::move(node));
  }

  ParsedStatement print_tag() {
    auto node = std::make_unique<Output>();
    while (!at(TokenType::kBlockEnd)) {
      if (!node->expressions.empty()) {
        SLUICE_TRY([[maybe_unused]] const Token comma, expect(TokenType::kComma));
      }
      SLUICE_TRY(ExpressionPtr value, expression());
      node->expressions.push_back(std::move(value));
    }
    return done(std::move(node));
  }

  ParsedStatement block_tag() {
    auto node = std::make_unique<ScopeBlock>();
    SLUICE_TRY(const Token name, expect(TokenType::kName));
    node->isolated = !skip_word("scoped");
    skip_word("required");
    const std::string block_name(text(name));
    if (std::find(blocks_.begin(), blocks_.end(), block_name) != blocks_.end()) {
      return fail_at(name, cat("the block '", block_name, "' is defined twice"));
    }
    blocks_.push_back(block_name);
    const int outer_loops = std::exchange(loops_, 0);
    auto parsed = whole_block("endblock");
    loops_ = outer_loops;
    SLUICE_TRY(node->body, std::move(parsed));
    skip_word(block_name);
    return done(std::move(node));
  }

  ParsedStatement generation_tag() {
    auto node = std::make_unique<ScopeBlock>();
    const int outer_loops = std::exchange(loops_, 0);
    auto parsed = whole_block("endgeneration");
    loops_ = outer_loops;
    SLUICE_TRY(node->body, std::move(parsed));
    return done(std::move(node));
  }

  ParsedStatement autoescape_tag(const Token& token) {
    SLUICE_TRY(const ExpressionPtr enabled, expression());
    const bool off = enabled->kind == ExpressionKind::kConstant && !static_cast<Constant&>(*enabled).value.truth();
    if (!off) {
      return Error{
          ErrorCode::kUnimplemented,
          cat("chat template line ", token.line, ": escaping for HTML ('{% autoescape true %}') is not supported"),
          {},
          {}};
    }
    auto node = std::make_unique<ScopeBlock>();
    SLUICE_TRY(node->body, whole_block("endautoescape"));
    return done(std::move(node));
  }

  ParsedStatement jump_tag(StatementKind kind, const Token& token) {
    if (loops_ == 0) return fail_at(token, cat("'", text(token), "' stands outside a loop"));
    return done(std::make_unique<Jump>(kind));
  }

  int loops_ = 0;  // around the statement being read, inside the same macro
  std::vector<std::string> blocks_;
};

}  // namespace

Result<SyntaxTree> parse_template(std::string_view source, const TemplateLimits& limits) {
  if (source.size() > limits.source_bytes_max) {
    return Error{ErrorCode::kTooLarge,
                 cat("the chat template has ", format_bytes(source.size()), ", more than the limit of ",
                     format_bytes(limits.source_bytes_max)),
                 {},
                 {}};
  }
  SyntaxTree tree;
  tree.source = normalize_source(source);
  SLUICE_TRY(std::vector<Token> tokens, tokenize(tree.source));
  SLUICE_RETURN_IF_ERROR(Parser(tree, std::move(tokens), limits).run());
  SLUICE_RETURN_IF_ERROR(check_names(tree));
  return tree;
}

}  // namespace sluice::text::jinja
