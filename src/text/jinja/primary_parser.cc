// Literals, subscripts, calls and assignment targets: the leaves of the expression grammar.

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "text/jinja/expression_parser.h"

namespace sluice::text::jinja {
namespace {

std::string without_underscores(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '_') out.push_back(c);
  }
  return out;
}

}  // namespace

ExpressionParser::Parsed ExpressionParser::primary() {
  switch (current().type) {
    case TokenType::kName:
      return literal_name(take());
    case TokenType::kString:
      return string_literal();
    case TokenType::kInteger:
    case TokenType::kFloat:
      return number_literal();
    case TokenType::kLeftBracket:
      return list_literal();
    case TokenType::kLeftBrace:
      return dict_literal();
    case TokenType::kLeftParen: {
      take();
      SLUICE_TRY(ExpressionPtr inner, tuple(true, {}, true));
      SLUICE_TRY([[maybe_unused]] const Token close, expect(TokenType::kRightParen));
      return inner;
    }
    default:
      return fail(cat("expected an expression, got ", current_description()));
  }
}

ExpressionParser::Parsed ExpressionParser::literal_name(const Token& token) {
  const std::string_view name = text(token);
  if (name == "true" || name == "True") return finish(std::make_unique<Constant>(Value(true)), token, {});
  if (name == "false" || name == "False") return finish(std::make_unique<Constant>(Value(false)), token, {});
  if (name == "none" || name == "None") return finish(std::make_unique<Constant>(Value()), token, {});
  auto node = std::make_unique<Name>(symbol(name));
  for (SpecialUses& uses : macro_uses_) {
    uses.caller |= node->symbol == tree_.known.caller;
    uses.rest |= node->symbol == tree_.known.varargs;
    uses.named |= node->symbol == tree_.known.kwargs;
  }
  return finish(std::move(node), token, {});
}

ExpressionParser::Parsed ExpressionParser::string_literal() {
  const Token begin = current();
  std::string value;
  while (at(TokenType::kString)) {
    const std::string_view quoted = text(take());
    auto part = unescape(quoted.substr(1, quoted.size() - 2));
    if (!part.ok()) {
      Error error = std::move(part).error();
      error.message = cat("chat template line ", begin.line, ": ", error.message);
      return error;
    }
    value += *part;
  }
  return finish(std::make_unique<Constant>(Value(std::move(value))), begin, {});
}

ExpressionParser::Parsed ExpressionParser::number_literal() {
  const Token token = take();
  std::string digits = without_underscores(text(token));
  if (token.type == TokenType::kFloat) {
    double number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return finish(std::make_unique<Constant>(Value(number)), token, {});
  }
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0' && digits[1] > '9') {
    base = (digits[1] | 0x20) == 'x' ? 16 : (digits[1] | 0x20) == 'o' ? 8 : 2;
    digits = digits.substr(2);
  }
  int64_t number = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), number, base).ec != std::errc{}) {
    return fail_at(token, cat("the integer ", text(token).substr(0, 40), " does not fit in 64 bits"));
  }
  return finish(std::make_unique<Constant>(Value(number)), token, {});
}

bool ExpressionParser::tuple_ends(std::string_view end_word) const {
  return at(TokenType::kVariableEnd) || at(TokenType::kBlockEnd) || at(TokenType::kRightParen) ||
         (!end_word.empty() && at_word(end_word));
}

ExpressionParser::Parsed ExpressionParser::tuple(bool conditional_allowed, std::string_view end_word,
                                                 bool parentheses) {
  const Token begin = current();
  auto node = std::make_unique<SequenceLiteral>();
  node->tuple = true;
  bool is_tuple = false;
  int highest = 0;
  while (!tuple_ends(end_word)) {
    SLUICE_TRY(ExpressionPtr item, expression(conditional_allowed));
    highest = std::max(highest, item->height);
    node->items.push_back(std::move(item));
    if (!skip(TokenType::kComma)) break;
    is_tuple = true;
  }
  if (!is_tuple && !node->items.empty()) return std::move(node->items.front());
  if (!is_tuple && !parentheses) return fail(cat("expected an expression, got ", current_description()));
  return finish(std::move(node), begin.begin, begin.line, highest);
}

ExpressionParser::Parsed ExpressionParser::list_literal() {
  const Token begin = take();
  auto node = std::make_unique<SequenceLiteral>();
  int highest = 0;
  while (!at(TokenType::kRightBracket)) {
    SLUICE_TRY(ExpressionPtr item, expression());
    highest = std::max(highest, item->height);
    node->items.push_back(std::move(item));
    if (at(TokenType::kRightBracket)) break;
    SLUICE_TRY([[maybe_unused]] const Token comma, expect(TokenType::kComma));
  }
  take();
  return finish(std::move(node), begin.begin, begin.line, highest);
}

ExpressionParser::Parsed ExpressionParser::dict_literal() {
  const Token begin = take();
  auto node = std::make_unique<DictLiteral>();
  int highest = 0;
  while (!at(TokenType::kRightBrace)) {
    SLUICE_TRY(ExpressionPtr key, expression());
    SLUICE_TRY([[maybe_unused]] const Token colon, expect(TokenType::kColon));
    SLUICE_TRY(ExpressionPtr value, expression());
    highest = std::max({highest, key->height, value->height});
    node->items.emplace_back(std::move(key), std::move(value));
    if (at(TokenType::kRightBrace)) break;
    SLUICE_TRY([[maybe_unused]] const Token comma, expect(TokenType::kComma));
  }
  take();
  return finish(std::move(node), begin.begin, begin.line, highest);
}

ExpressionParser::Parsed ExpressionParser::subscript(ExpressionPtr object) {
  const Token open = take();
  const Span begin = object->span;
  SLUICE_TRY(ExpressionPtr first, slice_or_item(std::move(object), open));
  if (at(TokenType::kComma) && first->kind == ExpressionKind::kItem) {
    auto& item = static_cast<Item&>(*first);
    auto key = std::make_unique<SequenceLiteral>();
    key->tuple = true;
    int highest = item.index->height;
    const Span key_begin = item.index->span;
    key->items.push_back(std::move(item.index));
    while (skip(TokenType::kComma)) {
      SLUICE_TRY(ExpressionPtr next, expression());
      highest = std::max(highest, next->height);
      key->items.push_back(std::move(next));
    }
    SLUICE_TRY(item.index, finish(std::move(key), key_begin.begin, key_begin.line, highest));
  }
  SLUICE_TRY([[maybe_unused]] const Token close, expect(TokenType::kRightBracket));
  const int below = first->height - 1;
  return finish(std::move(first), begin.begin, begin.line, below);
}

ExpressionParser::Parsed ExpressionParser::slice_or_item(ExpressionPtr object, const Token& open) {
  const int inner = object->height;
  ExpressionPtr start;
  if (!at(TokenType::kColon)) {
    if (at(TokenType::kRightBracket)) {  // object[]: Jinja2 reads an empty tuple
      auto empty = std::make_unique<SequenceLiteral>();
      empty->tuple = true;
      SLUICE_TRY(start, finish(std::move(empty), open, {}));
    } else {
      SLUICE_TRY(start, expression());
    }
    if (!at(TokenType::kColon)) {
      auto item = std::make_unique<Item>();
      item->object = std::move(object);
      item->index = std::move(start);
      const int highest = std::max(inner, item->index->height);
      return finish(std::move(item), open.begin, open.line, highest);
    }
  }
  auto slice = std::make_unique<Slice>();
  slice->object = std::move(object);
  slice->start = std::move(start);
  take();  // :
  const auto part_follows = [&] {
    return !at(TokenType::kColon) && !at(TokenType::kRightBracket) && !at(TokenType::kComma);
  };
  if (part_follows()) {
    SLUICE_TRY(slice->stop, expression());
  }
  if (skip(TokenType::kColon) && part_follows()) {
    SLUICE_TRY(slice->step, expression());
  }
  int highest = inner;
  for (const ExpressionPtr* part : {&slice->start, &slice->stop, &slice->step}) {
    if (*part) highest = std::max(highest, (*part)->height);
  }
  return finish(std::move(slice), open.begin, open.line, highest);
}

Result<void> ExpressionParser::call_argument(CallArguments& arguments) {
  const auto misplaced = [&] { return fail("an argument is not allowed at this place of a call"); };
  if (skip(TokenType::kMul)) {
    if (arguments.spread || arguments.spread_named) return misplaced();
    SLUICE_TRY(arguments.spread, expression());
  } else if (skip(TokenType::kPow)) {
    if (arguments.spread_named) return misplaced();
    SLUICE_TRY(arguments.spread_named, expression());
  } else if (at(TokenType::kName) && ahead().type == TokenType::kAssign) {
    if (arguments.spread_named) return misplaced();
    std::string name(text(take()));
    take();  // =
    for (const auto& argument : arguments.named) {
      if (argument.first == name) return fail(cat("the argument '", name, "' is given twice"));
    }
    SLUICE_TRY(ExpressionPtr value, expression());
    arguments.named.emplace_back(std::move(name), std::move(value));
  } else {
    if (arguments.spread || arguments.spread_named || !arguments.named.empty()) return misplaced();
    SLUICE_TRY(ExpressionPtr value, expression());
    arguments.positional.push_back(std::move(value));
  }
  return {};
}

Result<CallArguments> ExpressionParser::call_arguments() {
  CallArguments arguments;
  take();  // (
  while (!at(TokenType::kRightParen)) {
    SLUICE_RETURN_IF_ERROR(call_argument(arguments));
    if (at(TokenType::kRightParen)) break;
    SLUICE_TRY([[maybe_unused]] const Token comma, expect(TokenType::kComma));
  }
  take();  // )
  return arguments;
}

ExpressionParser::Parsed ExpressionParser::call(ExpressionPtr callee) {
  const Span begin = callee->span;
  int highest = callee->height;
  auto node = std::make_unique<Call>();
  node->callee = std::move(callee);
  SLUICE_TRY(node->arguments, call_arguments());
  const CallArguments& arguments = node->arguments;
  for (const auto& argument : arguments.positional) highest = std::max(highest, argument->height);
  for (const auto& argument : arguments.named) highest = std::max(highest, argument.second->height);
  if (arguments.spread) highest = std::max(highest, arguments.spread->height);
  if (arguments.spread_named) highest = std::max(highest, arguments.spread_named->height);
  return finish(std::move(node), begin.begin, begin.line, highest);
}

Result<Target> ExpressionParser::target_part(bool allow_namespace) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep();
  const Token begin = current();
  if (skip(TokenType::kLeftParen)) {
    SLUICE_TRY(Target inner, target(false, {}));
    SLUICE_TRY([[maybe_unused]] const Token close, expect(TokenType::kRightParen));
    return inner;
  }
  if (!at(TokenType::kName)) return fail(cat("expected a name to assign to, got ", current_description()));
  const std::string_view name = text(take());
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) return fail_at(begin, cat("cannot assign to '", name, "'"));
  }
  Target target;
  target.symbol = symbol(name);
  if (allow_namespace && skip(TokenType::kDot)) {
    SLUICE_TRY(const Token attribute, expect(TokenType::kName));
    target.attribute = std::string(text(attribute));
  }
  target.span = {begin.line, begin.begin, tokens_[next_ - 1].end};
  return target;
}

Result<Target> ExpressionParser::target(bool allow_namespace, std::string_view end_word) {
  const Token begin = current();
  Target all;
  bool is_tuple = false;
  while (!tuple_ends(end_word)) {
    SLUICE_TRY(Target part, target_part(allow_namespace));
    all.parts.push_back(std::move(part));
    if (!skip(TokenType::kComma)) break;
    is_tuple = true;
  }
  if (all.parts.empty()) return fail(cat("expected a name to assign to, got ", current_description()));
  if (!is_tuple) return std::move(all.parts.front());
  all.span = {begin.line, begin.begin, tokens_[next_ - 1].end};
  return all;
}

}  // namespace sluice::text::jinja
