#pragma once
// The expression half of the parser: precedence climbing over the token list, nesting bounded by depth_max.

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/chat_template.h"
#include "text/jinja/ast.h"
#include "text/jinja/levels.h"
#include "text/jinja/lexer.h"

namespace sluice::text::jinja {

class ExpressionParser {
 public:
  using Parsed = Result<ExpressionPtr>;

  ExpressionParser(SyntaxTree& tree, std::vector<Token> tokens, const TemplateLimits& limits);

  // One expression; without `conditional`, an "if" after it is left for the statement.
  Parsed expression(bool conditional = true);
  // Expressions joined by commas make a tuple. Ends before '}}', '%}', ')' or the word `end_word`.
  Parsed tuple(bool conditional = true, std::string_view end_word = {}, bool parentheses = false);
  Result<Target> target(bool allow_namespace, std::string_view end_word = {});
  Result<NamedOperation> filter_operation();  // after the '|'

 protected:
  // Guards recursion: every nested construct holds one.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    bool too_deep() const { return parser_.depth_ > parser_.limits_.depth_max || parser_.stack_.exhausted(); }

   private:
    ExpressionParser& parser_;
  };

  const Token& current() const { return tokens_[next_]; }
  const Token& ahead() const { return tokens_[std::min(next_ + 1, tokens_.size() - 1)]; }
  Token take();
  bool at(TokenType type) const { return current().type == type; }
  bool at_word(std::string_view word) const { return is_word(current(), word); }
  bool is_word(const Token& token, std::string_view word) const;
  bool skip(TokenType type);
  bool skip_word(std::string_view word);
  Result<Token> expect(TokenType type);
  Result<void> expect_word(std::string_view word);
  std::string_view text(const Token& token) const;
  uint32_t previous_end() const { return next_ > 0 ? tokens_[next_ - 1].end : 0; }
  Symbol symbol(std::string_view name);
  Error fail(std::string_view message) const { return fail_at(current(), message); }
  Error fail_at(const Token& token, std::string_view message) const;
  Error too_deep() const;
  std::string current_description() const;

  // Names of call blocks and macros that a body refers to: caller, varargs, kwargs.
  struct SpecialUses {
    bool caller = false, rest = false, named = false;
  };
  std::vector<SpecialUses> macro_uses_;

  SyntaxTree& tree_;
  const TemplateLimits& limits_;
  int depth_ = 0;
  StackMark stack_;

 private:
  using Level = Parsed (ExpressionParser::*)();

  Parsed conditional();
  Parsed logical_or() { return logical("or", &ExpressionParser::logical_and); }
  Parsed logical_and() { return logical("and", &ExpressionParser::logical_not); }
  Parsed logical(std::string_view word, Level operand);
  Parsed logical_not();
  Parsed compare();
  Parsed sum();
  Parsed concat();
  Parsed product();
  Parsed power();
  Parsed arithmetic(Level operand, std::initializer_list<std::pair<TokenType, ArithmeticOperator>> operators);
  Parsed unary(bool with_filter);
  Parsed unary_filtered() { return unary(true); }
  Parsed primary();
  Parsed literal_name(const Token& token);
  Parsed string_literal();
  Parsed number_literal();
  Parsed list_literal();
  Parsed dict_literal();
  Parsed postfix(ExpressionPtr operand);
  Parsed filters_and_tests(ExpressionPtr operand);
  Parsed attribute(ExpressionPtr object);
  Parsed subscript(ExpressionPtr object);
  Parsed slice_or_item(ExpressionPtr object, const Token& open);
  Parsed call(ExpressionPtr callee);
  Parsed test(ExpressionPtr input);
  Result<std::string> dotted_name();
  Result<CallArguments> call_arguments();
  Result<void> call_argument(CallArguments& arguments);
  Result<Target> target_part(bool allow_namespace);
  bool tuple_ends(std::string_view end_word) const;

  // Completes a node begun at `begin`: span, height. Fails when the tree under it is too high.
  Parsed finish(ExpressionPtr node, const Token& begin, std::initializer_list<const Expression*> children);
  Parsed finish(ExpressionPtr node, uint32_t begin, int line, int children_height);

  std::vector<Token> tokens_;
  size_t next_ = 0;
  std::unordered_map<std::string, Symbol> symbols_;
};

// "\n", "é", octal, hex, … as Python reads the inside of a string literal.
Result<std::string> unescape(std::string_view text);

}  // namespace sluice::text::jinja
