#pragma once
// The one logger. A line is a message and named values, as text for people or as JSON for collectors, on stderr.
// Any thread. Lines are written whole. Prompts, answers and secrets are never logged.

#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace sluice::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };
enum class Format { kText, kJson };

struct Field {
  Field(std::string_view name, std::string_view text) : name(name), value(std::string(text)) {}
  Field(std::string_view name, const char* text) : name(name), value(std::string(text)) {}
  Field(std::string_view name, const std::string& text) : name(name), value(text) {}
  Field(std::string_view name, bool flag) : name(name), value(flag) {}
  Field(std::string_view name, double number) : name(name), value(number) {}
  template <class Integer>
    requires std::is_integral_v<Integer>
  Field(std::string_view name, Integer number) : name(name), value(static_cast<long long>(number)) {}

  std::string_view name;
  std::variant<std::string, bool, double, long long> value;
};

// Process-wide, set once at start (default: info, text).
void configure(Level level, Format format);
Result<Level> parse_level(std::string_view name);
bool enabled(Level level);

void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});
inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kDebug, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kInfo, message, fields);
}
inline void warn(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kWarn, message, fields);
}
inline void error(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kError, message, fields);
}

}  // namespace sluice::log
