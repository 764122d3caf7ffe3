#include "text/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "text/jinja/characters.h"

namespace sluice::text::jinja {
namespace {

int height(const Expression* expression) { return expression ? expression->height : 0; }
int height(const CallArguments& arguments) {
  int highest = std::max(height(arguments.spread.get()), height(arguments.spread_named.get()));
  for (const auto& argument : arguments.positional) highest = std::max(highest, argument->height);
  for (const auto& argument : arguments.named) highest = std::max(highest, argument.second->height);
  return highest;
}

// The code of up to `digits_max` digits of `text` in `base`, and how many there were.
struct Code {
  uint32_t value = 0;
  size_t digits = 0;
};
Code read_code(std::string_view text, size_t digits_max, int base) {
  Code code;
  const std::string_view window = text.substr(0, digits_max);
  const auto result = std::from_chars(window.data(), window.data() + window.size(), code.value, base);
  code.digits = static_cast<size_t>(result.ptr - window.data());
  return code;
}

}  // namespace

Result<std::string> unescape(std::string_view text) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.push_back(text[i]);
      continue;
    }
    const char c = text[++i];
    if (const size_t letter = kLetters.find(c); letter != std::string_view::npos) {
      out.push_back(kMeanings[letter]);
    } else if (c == '\n') {
      continue;
    } else if (c >= '0' && c <= '7') {
      const Code code = read_code(text.substr(i), 3, 8);
      append_character(out, code.value);
      i += code.digits - 1;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      const Code code = read_code(text.substr(i + 1), digits, 16);
      if (code.digits != digits || code.value > 0x10FFFF) {
        return corrupt_data(cat("a string has '\\", c, "' without the ", digits, " hexadecimal digits of a character"));
      }
      append_character(out, code.value);
      i += digits;
    } else if (c == 'N') {
      return Error{
          ErrorCode::kUnimplemented, "'\\N{…}' in a string is not supported; write the character or \\u", {}, {}};
    } else {
      out.append({'\\', c});
    }
  }
  return out;
}

ExpressionParser::ExpressionParser(SyntaxTree& tree, std::vector<Token> tokens, const TemplateLimits& limits)
    : tree_(tree), limits_(limits), tokens_(std::move(tokens)) {
  tree_.known = {symbol("loop"), symbol("caller"), symbol("varargs"), symbol("kwargs")};
}

Token ExpressionParser::take() {
  const Token token = current();
  if (next_ + 1 < tokens_.size()) ++next_;
  return token;
}

bool ExpressionParser::is_word(const Token& token, std::string_view word) const {
  return token.type == TokenType::kName && text(token) == word;
}

bool ExpressionParser::skip(TokenType type) {
  if (!at(type)) return false;
  take();
  return true;
}

bool ExpressionParser::skip_word(std::string_view word) {
  if (!at_word(word)) return false;
  take();
  return true;
}

Result<Token> ExpressionParser::expect(TokenType type) {
  if (!at(type)) return fail(cat("expected ", describe(type), ", got ", current_description()));
  return take();
}

Result<void> ExpressionParser::expect_word(std::string_view word) {
  if (!at_word(word)) return fail(cat("expected '", word, "', got ", current_description()));
  take();
  return {};
}

std::string_view ExpressionParser::text(const Token& token) const {
  return std::string_view(tree_.source).substr(token.begin, token.end - token.begin);
}

Symbol ExpressionParser::symbol(std::string_view name) {
  const auto [it, added] = symbols_.try_emplace(std::string(name), static_cast<Symbol>(tree_.names.size()));
  if (added) tree_.names.emplace_back(name);
  return it->second;
}

Error ExpressionParser::fail_at(const Token& token, std::string_view message) const {
  return corrupt_data(cat("chat template line ", token.line, ": ", message));
}

Error ExpressionParser::too_deep() const {
  return {ErrorCode::kTooLarge,
          cat("chat template line ", current().line, ": expressions or blocks are nested too deep"),
          {},
          {}};
}

std::string ExpressionParser::current_description() const {
  if (at(TokenType::kName)) return cat("'", text(current()), "'");
  return std::string(describe(current().type));
}

ExpressionParser::Parsed ExpressionParser::finish(ExpressionPtr node, const Token& begin,
                                                  std::initializer_list<const Expression*> children) {
  int highest = 0;
  for (const Expression* child : children) highest = std::max(highest, height(child));
  return finish(std::move(node), begin.begin, begin.line, highest);
}

ExpressionParser::Parsed ExpressionParser::finish(ExpressionPtr node, uint32_t begin, int line, int children_height) {
  node->span = {line, begin, next_ > 0 ? tokens_[next_ - 1].end : begin};
  node->height = children_height + 1;
  if (node->height > limits_.depth_max) return too_deep();
  return node;
}

ExpressionParser::Parsed ExpressionParser::expression(bool conditional_allowed) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep();
  return conditional_allowed ? conditional() : logical_or();
}

ExpressionParser::Parsed ExpressionParser::conditional() {
  const Token begin = current();
  SLUICE_TRY(ExpressionPtr value, logical_or());
  while (skip_word("if")) {
    auto node = std::make_unique<Conditional>();
    node->then = std::move(value);
    SLUICE_TRY(node->condition, logical_or());
    if (skip_word("else")) {
      SLUICE_TRY(node->otherwise, expression());
    }
    const int highest = std::max({node->then->height, node->condition->height, height(node->otherwise.get())});
    SLUICE_TRY(value, finish(std::move(node), begin.begin, begin.line, highest));
  }
  return value;
}

ExpressionParser::Parsed ExpressionParser::logical(std::string_view word, Level operand) {
  const Token begin = current();
  SLUICE_TRY(ExpressionPtr first, (this->*operand)());
  if (!at_word(word)) return first;
  auto node = std::make_unique<Logical>();
  node->conjunction = word == "and";
  int highest = first->height;
  node->operands.push_back(std::move(first));
  while (skip_word(word)) {
    SLUICE_TRY(ExpressionPtr next, (this->*operand)());
    highest = std::max(highest, next->height);
    node->operands.push_back(std::move(next));
  }
  return finish(std::move(node), begin.begin, begin.line, highest);
}

ExpressionParser::Parsed ExpressionParser::logical_not() {
  if (!at_word("not")) return compare();
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep();
  const Token begin = take();
  auto node = std::make_unique<Not>();
  SLUICE_TRY(node->operand, logical_not());
  const Expression* operand = node->operand.get();
  return finish(std::move(node), begin, {operand});
}

ExpressionParser::Parsed ExpressionParser::compare() {
  const Token begin = current();
  SLUICE_TRY(ExpressionPtr first, sum());
  auto node = std::make_unique<Compare>();
  int highest = first->height;
  for (;;) {
    Comparison comparison{};
    switch (current().type) {
      case TokenType::kEqual:
        comparison = Comparison::kEqual;
        break;
      case TokenType::kNotEqual:
        comparison = Comparison::kNotEqual;
        break;
      case TokenType::kLess:
        comparison = Comparison::kLess;
        break;
      case TokenType::kLessEqual:
        comparison = Comparison::kLessEqual;
        break;
      case TokenType::kGreater:
        comparison = Comparison::kGreater;
        break;
      case TokenType::kGreaterEqual:
        comparison = Comparison::kGreaterEqual;
        break;
      default: {
        const bool negated = at_word("not") && is_word(ahead(), "in");
        if (!negated && !at_word("in")) {
          if (node->rest.empty()) return first;
          node->first = std::move(first);
          return finish(std::move(node), begin.begin, begin.line, highest);
        }
        if (negated) take();
        comparison = negated ? Comparison::kNotIn : Comparison::kIn;
      }
    }
    take();
    SLUICE_TRY(ExpressionPtr operand, sum());
    highest = std::max(highest, operand->height);
    node->rest.emplace_back(comparison, std::move(operand));
  }
}

ExpressionParser::Parsed ExpressionParser::arithmetic(
    Level operand, std::initializer_list<std::pair<TokenType, ArithmeticOperator>> operators) {
  const Token begin = current();
  SLUICE_TRY(ExpressionPtr first, (this->*operand)());
  std::unique_ptr<Arithmetic> node;
  int highest = first->height;
  for (;;) {
    const auto op = std::find_if(operators.begin(), operators.end(), [&](const auto& o) { return at(o.first); });
    if (op == operators.end()) break;
    take();
    if (!node) node = std::make_unique<Arithmetic>();
    SLUICE_TRY(ExpressionPtr next, (this->*operand)());
    highest = std::max(highest, next->height);
    node->rest.emplace_back(op->second, std::move(next));
  }
  if (!node) return first;
  node->first = std::move(first);
  return finish(std::move(node), begin.begin, begin.line, highest);
}

ExpressionParser::Parsed ExpressionParser::sum() {
  return arithmetic(&ExpressionParser::concat,
                    {{TokenType::kAdd, ArithmeticOperator::kAdd}, {TokenType::kSub, ArithmeticOperator::kSub}});
}

ExpressionParser::Parsed ExpressionParser::concat() {
  const Token begin = current();
  SLUICE_TRY(ExpressionPtr first, product());
  if (!at(TokenType::kTilde)) return first;
  auto node = std::make_unique<Concat>();
  int highest = first->height;
  node->parts.push_back(std::move(first));
  while (skip(TokenType::kTilde)) {
    SLUICE_TRY(ExpressionPtr part, product());
    highest = std::max(highest, part->height);
    node->parts.push_back(std::move(part));
  }
  return finish(std::move(node), begin.begin, begin.line, highest);
}

ExpressionParser::Parsed ExpressionParser::product() {
  return arithmetic(&ExpressionParser::power, {{TokenType::kMul, ArithmeticOperator::kMul},
                                               {TokenType::kDiv, ArithmeticOperator::kDiv},
                                               {TokenType::kFloorDiv, ArithmeticOperator::kFloorDiv},
                                               {TokenType::kMod, ArithmeticOperator::kMod}});
}

ExpressionParser::Parsed ExpressionParser::power() {
  return arithmetic(&ExpressionParser::unary_filtered, {{TokenType::kPow, ArithmeticOperator::kPow}});
}

ExpressionParser::Parsed ExpressionParser::unary(bool with_filter) {
  const Token begin = current();
  ExpressionPtr value;
  if (at(TokenType::kSub) || at(TokenType::kAdd)) {
    const Nesting nesting(*this);
    if (nesting.too_deep()) return too_deep();
    auto node = std::make_unique<Unary>();
    node->negate = take().type == TokenType::kSub;
    SLUICE_TRY(node->operand, unary(false));
    const Expression* operand = node->operand.get();
    SLUICE_TRY(value, finish(std::move(node), begin, {operand}));
  } else {
    SLUICE_TRY(value, primary());
  }
  SLUICE_TRY(value, postfix(std::move(value)));
  if (!with_filter) return value;
  return filters_and_tests(std::move(value));
}

ExpressionParser::Parsed ExpressionParser::postfix(ExpressionPtr operand) {
  for (;;) {
    if (at(TokenType::kDot)) {
      SLUICE_TRY(operand, attribute(std::move(operand)));
    } else if (at(TokenType::kLeftBracket)) {
      SLUICE_TRY(operand, subscript(std::move(operand)));
    } else if (at(TokenType::kLeftParen)) {
      SLUICE_TRY(operand, call(std::move(operand)));
    } else {
      return operand;
    }
  }
}

ExpressionParser::Parsed ExpressionParser::filters_and_tests(ExpressionPtr operand) {
  for (;;) {
    if (skip(TokenType::kPipe)) {
      auto node = std::make_unique<Filter>();
      const Span begin = operand->span;
      node->input = std::move(operand);
      SLUICE_TRY(node->operation, filter_operation());
      const int highest = std::max(node->input->height, height(node->operation.arguments));
      SLUICE_TRY(operand, finish(std::move(node), begin.begin, begin.line, highest));
    } else if (at_word("is")) {
      SLUICE_TRY(operand, test(std::move(operand)));
    } else if (at(TokenType::kLeftParen)) {
      SLUICE_TRY(operand, call(std::move(operand)));
    } else {
      return operand;
    }
  }
}

Result<std::string> ExpressionParser::dotted_name() {
  SLUICE_TRY(const Token first, expect(TokenType::kName));
  std::string name(text(first));
  while (skip(TokenType::kDot)) {
    SLUICE_TRY(const Token part, expect(TokenType::kName));
    name += cat(".", text(part));
  }
  return name;
}

Result<NamedOperation> ExpressionParser::filter_operation() {
  NamedOperation operation;
  const Token begin = current();
  SLUICE_TRY(operation.name, dotted_name());
  if (at(TokenType::kLeftParen)) {
    SLUICE_TRY(operation.arguments, call_arguments());
  }
  operation.span = {begin.line, begin.begin, tokens_[next_ - 1].end};
  return operation;
}

ExpressionParser::Parsed ExpressionParser::test(ExpressionPtr input) {
  const Span begin = input->span;
  take();  // is
  const bool negated = skip_word("not");
  auto node = std::make_unique<Test>();
  node->input = std::move(input);
  const Token name = current();
  SLUICE_TRY(node->operation.name, dotted_name());
  node->operation.span = {name.line, name.begin, name.end};
  if (at(TokenType::kLeftParen)) {
    SLUICE_TRY(node->operation.arguments, call_arguments());
  } else {
    const TokenType type = current().type;
    const bool starts_operand = type == TokenType::kName || type == TokenType::kString || type == TokenType::kInteger ||
                                type == TokenType::kFloat || type == TokenType::kLeftBracket ||
                                type == TokenType::kLeftBrace;
    if (starts_operand && !at_word("else") && !at_word("or") && !at_word("and")) {
      if (at_word("is")) return fail("tests cannot be chained with 'is'");
      SLUICE_TRY(ExpressionPtr argument, primary());
      SLUICE_TRY(argument, postfix(std::move(argument)));
      node->operation.arguments.positional.push_back(std::move(argument));
    }
  }
  const int highest = std::max(node->input->height, height(node->operation.arguments));
  SLUICE_TRY(ExpressionPtr result, finish(std::move(node), begin.begin, begin.line, highest));
  if (!negated) return result;
  auto inverted = std::make_unique<Not>();
  inverted->operand = std::move(result);
  const int inner = inverted->operand->height;
  return finish(std::move(inverted), begin.begin, begin.line, inner);
}

ExpressionParser::Parsed ExpressionParser::attribute(ExpressionPtr object) {
  take();  // .
  const Span begin = object->span;
  const int inner = object->height;
  if (at(TokenType::kInteger)) {
    auto item = std::make_unique<Item>();
    item->object = std::move(object);
    SLUICE_TRY(item->index, number_literal());
    return finish(std::move(item), begin.begin, begin.line, inner);
  }
  if (!at(TokenType::kName)) return fail(cat("expected a name or number after '.', got ", current_description()));
  auto node = std::make_unique<Attribute>();
  node->object = std::move(object);
  node->name = std::string(text(take()));
  return finish(std::move(node), begin.begin, begin.line, inner);
}

}  // namespace sluice::text::jinja
