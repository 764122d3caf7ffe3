#pragma once
// Result<T>: a value or an Error. The only way a failure travels between functions (ARCHITECTURE.md, "Errors").
// A bug is a CHECK (check.h); a normal outcome such as "no room now" is an enum or an optional, never an Error.

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace sluice {

// What kind of failure; the caller's reaction depends on this alone. server/http/status.h maps it to HTTP.
enum class ErrorCode {
  kInvalidArgument,    // the request or flag is wrong and will stay wrong
  kUnauthenticated,    // no valid credential was shown
  kPermissionDenied,   // a valid credential without the right
  kNotFound,           // no such model, file or route
  kTooLarge,           // a limit on size was passed
  kResourceExhausted,  // a queue or budget is full; try again later
  kUnavailable,        // shutting down or a dependency is gone
  kDeadlineExceeded,   // a bounded wait ended
  kCancelled,          // the caller went away
  kUnimplemented,      // known, but not supported by this build or model
  kCorruptData,        // a file or message breaks its format
  kIo,                 // the operating system refused
  kInternal,           // anything else that is our fault
};

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // what was expected, what came, what to do; one or two sentences for a person
  std::string param;    // the request field or flag at fault, if one is
  std::string reason;   // machine-readable detail such as "context_length_exceeded", if the API defines one
};

inline Error invalid_argument(std::string message, std::string param = {}) {
  return {ErrorCode::kInvalidArgument, std::move(message), std::move(param), {}};
}
inline Error corrupt_data(std::string message) { return {ErrorCode::kCorruptData, std::move(message), {}, {}}; }
inline Error not_found(std::string message) { return {ErrorCode::kNotFound, std::move(message), {}, {}}; }
inline Error unimplemented(std::string message) { return {ErrorCode::kUnimplemented, std::move(message), {}, {}}; }
inline Error io_error(std::string message) { return {ErrorCode::kIo, std::move(message), {}, {}}; }

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    SLUICE_CHECK(ok(), error().message);
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    SLUICE_CHECK(ok(), error().message);
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    SLUICE_CHECK(ok(), error().message);
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

}  // namespace sluice

#define SLUICE_CONCAT_INNER(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_INNER(a, b)

// SLUICE_TRY(auto x, f()): x gets f()'s value, or the enclosing function returns f()'s error.
#define SLUICE_TRY(declaration, expression) \
  SLUICE_TRY_INNER(SLUICE_CONCAT(try_result_, __LINE__), declaration, expression)
#define SLUICE_TRY_INNER(result, declaration, expression) \
  auto result = (expression);                             \
  if (!result.ok()) return std::move(result).error();     \
  declaration = std::move(result).value()

#define SLUICE_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                          \
    if (auto try_status = (expression); !try_status.ok()) return std::move(try_status).error(); \
  } while (false)
