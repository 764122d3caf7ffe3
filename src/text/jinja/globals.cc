#include "text/jinja/globals.h"

#include <array>
#include <chrono>
#include <ctime>

#include "base/strings.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/lookup.h"
#include "text/jinja/objects.h"
#include "text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

constexpr int64_t kRangeMax = 100000;  // Jinja2's sandbox has the same limit
constexpr size_t kTimeFormatMax = 4096;

Result<Value> range(Evaluator&, Arguments arguments) {
  const Items& given = arguments.positional;
  if (!arguments.named.empty()) return type_error("range() takes no keyword arguments");
  if (given.empty() || given.size() > 3) return type_error(cat("range() takes 1 to 3 arguments, not ", given.size()));
  for (const Value& value : given) {
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_integer()) return type_error(cat("range() takes integers, not ", value.type()));
  }
  Range range;
  range.stop = given[given.size() == 1 ? 0 : 1].integer();
  if (given.size() > 1) range.start = given[0].integer();
  if (given.size() > 2) range.step = given[2].integer();
  if (range.step == 0) return invalid_argument("range() arg 3 must not be zero");
  if (range.size() > kRangeMax)
    return invalid_argument(cat("range too big: at most ", kRangeMax, " items are allowed"));
  return Value(range);
}

// dict(mapping or pairs, key=value, …)
Result<Dict> dict_of(Evaluator& evaluator, Arguments arguments) {
  Dict dict;
  if (arguments.positional.size() > 1) return type_error("dict expected at most 1 argument");
  if (!arguments.positional.empty() && arguments.positional[0].is(Kind::kDict)) {
    dict = arguments.positional[0].dict();
    SLUICE_RETURN_IF_ERROR(evaluator.budget().make_values(2 * dict.size()));
  } else if (!arguments.positional.empty()) {
    SLUICE_TRY(const Items pairs, iterate(evaluator.budget(), arguments.positional[0]));
    for (const Value& pair : pairs) {
      SLUICE_TRY(const Items parts, iterate(evaluator.budget(), pair));
      if (parts.size() != 2) return invalid_argument("dict() takes pairs of key and value");
      if (!hashable(parts[0])) return type_error(cat("unhashable type: '", parts[0].type(), "'"));
      SLUICE_RETURN_IF_ERROR(evaluator.budget().step(parts[0].extent().weight));
      dict.set(parts[0], parts[1]);
    }
  }
  for (auto& [name, value] : arguments.named) dict.set(Value(std::move(name)), std::move(value));
  return dict;
}

Result<Value> dict(Evaluator& evaluator, Arguments arguments) {
  SLUICE_TRY(Dict made, dict_of(evaluator, std::move(arguments)));
  return make_dict(std::move(made));
}

Result<Value> make_namespace(Evaluator& evaluator, Arguments arguments) {
  SLUICE_TRY(const Dict attributes, dict_of(evaluator, std::move(arguments)));
  SLUICE_RETURN_IF_ERROR(evaluator.budget().make_values(4 + attributes.size()));
  auto space = std::make_shared<Namespace>();
  for (const auto& [key, value] : attributes.entries()) {
    if (!key.is_string()) continue;
    if (key.text().starts_with('_')) {
      return invalid_argument(cat("a namespace cannot hold the name '", key.text(), "' with a leading underscore"));
    }
    space->set(key.text(), value);
  }
  evaluator.keep(space);
  return Value(std::shared_ptr<Object>(std::move(space)));
}

Result<Value> cycler(Evaluator&, Arguments arguments) {
  if (arguments.positional.empty()) return invalid_argument("cycler(): at least one item has to be provided");
  return Value(std::shared_ptr<Object>(std::make_shared<Cycler>(std::move(arguments.positional))));
}

Result<Value> joiner(Evaluator&, Arguments arguments) {
  SLUICE_TRY(const auto bound, BoundArguments::bind("joiner", std::move(arguments), {"sep"}));
  return Value(std::shared_ptr<Object>(std::make_shared<Joiner>(bound.value_or(0, Value(", ")))));
}

Result<Value> raise_exception(Evaluator& evaluator, Arguments arguments) {
  SLUICE_TRY(const auto bound, BoundArguments::bind("raise_exception", std::move(arguments), {"message"}, 1));
  SLUICE_TRY(std::string message, print(evaluator.budget(), bound[0]));
  return evaluator.raised(std::move(message));
}

Result<Value> strftime_now(Evaluator&, Arguments arguments) {
  SLUICE_TRY(const auto bound, BoundArguments::bind("strftime_now", std::move(arguments), {"format"}, 1));
  SLUICE_TRY(const std::string given, bound.text_or(0, ""));
  if (given.size() > kTimeFormatMax) return invalid_argument("strftime_now(): the format is too long");
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  localtime_r(&seconds, &local);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1000000;
  // A time without zone, as Python's datetime.now(): %z and %Z are empty, %f is its own addition.
  std::string format;
  for (size_t i = 0; i < given.size(); ++i) {
    const char next = given[i] == '%' && i + 1 < given.size() ? given[i + 1] : 0;
    if (next == 'f') {
      const std::string digits = std::to_string(micros);
      format += std::string(6 - digits.size(), '0') + digits;
    } else if (next != 'z' && next != 'Z') {
      format.push_back(given[i]);
      if (next) format.push_back(next);
    }
    if (next) ++i;
  }
  format.push_back(' ');  // so that an empty result is told from a full buffer
  std::string text(16 * kTimeFormatMax, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &local));
  if (text.empty()) return invalid_argument("strftime_now(): the result is too long");
  text.pop_back();
  return Value(std::move(text));
}

}  // namespace

std::optional<Value> find_global(std::string_view name) {
  if (name == "range") return native_function(range);
  if (name == "dict") return native_function(dict);
  if (name == "namespace") return native_function(make_namespace);
  if (name == "cycler") return native_function(cycler);
  if (name == "joiner") return native_function(joiner);
  if (name == "raise_exception") return native_function(raise_exception);
  if (name == "strftime_now") return native_function(strftime_now);
  return std::nullopt;
}

}  // namespace sluice::text::jinja
