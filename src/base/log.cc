#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};
std::atomic<Format> g_format{Format::kText};
constexpr const char* kNames[] = {"debug", "info", "warn", "error", "off"};

std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = millis / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char buffer[40];
  const size_t length = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(buffer + length, sizeof buffer - length, ".%03dZ", static_cast<int>(millis % 1000));
  return buffer;
}

void append_value(std::string& out, const Field& field, bool quote_text) {
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    if (quote_text || text->find_first_of(" \"\n=") != std::string::npos || text->empty()) {
      append_json_string(out, *text);
    } else {
      out += *text;
    }
  } else if (const auto* flag = std::get_if<bool>(&field.value)) {
    out += *flag ? "true" : "false";
  } else if (const auto* number = std::get_if<double>(&field.value)) {
    out += cat(*number);
  } else {
    out += std::to_string(std::get<long long>(field.value));
  }
}

}  // namespace

void configure(Level level, Format format) {
  g_level = level;
  g_format = format;
}

Result<Level> parse_level(std::string_view name) {
  for (int i = 0; i < 5; ++i) {
    if (name == kNames[i]) return static_cast<Level>(i);
  }
  return invalid_argument(cat("log level must be debug, info, warn, error or off, not '", name, "'"));
}

bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  std::string line;
  if (g_format.load(std::memory_order_relaxed) == Format::kJson) {
    line += "{\"time\":\"" + timestamp() + "\",\"level\":\"" + kNames[static_cast<int>(level)] + "\",\"message\":";
    append_json_string(line, message);
    for (const Field& field : fields) {
      line += ',';
      append_json_string(line, field.name);
      line += ':';
      append_value(line, field, true);
    }
    line += "}\n";
  } else {
    line += timestamp() + ' ' + kNames[static_cast<int>(level)] + ' ';
    line += message;
    for (const Field& field : fields) {
      line += ' ';
      line += field.name;
      line += '=';
      append_value(line, field, false);
    }
    line += '\n';
  }
  // One write(2) per line: lines of several threads do not mix.
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

}  // namespace sluice::log
