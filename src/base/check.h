#pragma once
// SLUICE_CHECK(condition[, message]): a bug stops the process with file, line and message. Always on, also in release.
// No input from outside may reach one: outside input gets an Error (result.h).

#include <string>
#include <string_view>

namespace sluice {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view message);
}  // namespace sluice

#define SLUICE_CHECK_INNER(condition, message, ...) \
  ((condition) ? void(0) : ::sluice::check_failed(__FILE__, __LINE__, #condition, message))
#define SLUICE_CHECK(...) SLUICE_CHECK_INNER(__VA_ARGS__, "", )
